package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.testkit.ExternalTools;

/// The commands of the modules' READMEs as they stand there, and what else needs a lab or files
/// of its own. What the reader has before, a lab file, an image, a server, is made here; a word
/// in capitals, as `DIR`, is the name of a file that is there.
@Timeout(480)
@Order(3) // long
class ModuleDocumentsIT {
    private static final String DRIVER_DOMAIN = "driver-domain/README.md";
    private static final String README = "README.md";
    private static final String LAB_FILES = "docs/lab-file.md";
    private static final String JAVA_CLASS = "A Java class in a guest";
    private static final Duration LIMIT = Duration.ofSeconds(400);

    /// Ends servers of others that a test or a command has started in its network.
    private static final String END_SERVERS = "pkill --ns $$ --nslist net nbdkit";

    /// What must be there, or gone, before a command: most follow each other, these are another
    /// way to do the same.
    private static final Map<String, String> BEFORE =
            Map.of(
                    "./splitring detach web vbd/xvdb --force",
                            "./splitring attach web vbd data.img,raw,xvdb,rw",
                    "./splitring disk convert -f raw -O qcow2 web.img web.qcow2",
                            "rm web.qcow2; truncate -s 64M web.img");

    @TempDir private Path dir;

    /// What is run here.
    static List<Documents.Command> commands() throws IOException {
        List<Documents.Command> all = new ArrayList<>(ofALab());
        all.addAll(ofImages());
        all.addAll(ofLabsAtBoot());
        all.addAll(withCertificates());
        all.addAll(ofAGuestInC());
        all.addAll(ofAPlugin());
        all.addAll(ofAJavaClass());
        return all;
    }

    private static List<Documents.Command> ofALab() throws IOException {
        List<Documents.Command> all = new ArrayList<>();
        all.addAll(Documents.commands(README, "Join a guest's console, share a folder"));
        all.addAll(Documents.commands(DRIVER_DOMAIN, "Disks that come and go"));
        all.addAll(Documents.commands(DRIVER_DOMAIN, "Suspend, save, restore"));
        all.addAll(Documents.commands(DRIVER_DOMAIN, "Replacing the driver domain"));
        all.removeIf(ModuleDocumentsIT::needsCertificates);
        all.removeIf(LeftOutCommands::contains);
        return all;
    }

    private static List<Documents.Command> ofImages() throws IOException {
        List<Documents.Command> all =
                new ArrayList<>(Documents.commands(DRIVER_DOMAIN, "Images at rest"));
        all.removeIf(LeftOutCommands::contains);
        return all;
    }

    private static List<Documents.Command> ofLabsAtBoot() throws IOException {
        return Documents.commands(DRIVER_DOMAIN, "Labs at boot");
    }

    private static List<Documents.Command> withCertificates() throws IOException {
        List<Documents.Command> all = new ArrayList<>(Documents.commands(DRIVER_DOMAIN));
        all.addAll(Documents.commands("blkback/README.md"));
        all.removeIf(command -> !needsCertificates(command));
        return all;
    }

    private static boolean needsCertificates(Documents.Command command) {
        return command.text().contains("tls-c");
    }

    private static List<Documents.Command> ofAGuestInC() throws IOException {
        List<Documents.Command> all = new ArrayList<>(Documents.commands("testkit/README.md"));
        all.removeIf(LeftOutCommands::contains);
        return all;
    }

    /// With what the page about devices says before its own way begins.
    private static List<Documents.Command> ofAPlugin() throws IOException {
        List<Documents.Command> all =
                new ArrayList<>(Documents.commands(README, "Plug in a device"));
        all.addAll(Documents.commands("docs/new-device.md", "A new device in an afternoon"));
        return all;
    }

    private static List<Documents.Command> ofAJavaClass() throws IOException {
        return Documents.commands(LAB_FILES, JAVA_CLASS);
    }

    private static void runAll(DocumentShell shell, List<Documents.Command> commands) {
        for (Documents.Command command : commands) {
            if (BEFORE.containsKey(command.text())) {
                shell.prepare(BEFORE.get(command.text()));
            }
            shell.command(command);
        }
    }

    private void lab(String name, String text) throws IOException {
        Files.writeString(dir.resolve(name), text);
    }

    @Test
    void aLabWithADiskAConsoleAndAFolder() throws Exception {
        ExternalTools.require("diodls", "diod");
        DocumentShell shell = new DocumentShell(dir);
        lab(
                "lab.toml",
                """
                [domains.web]
                disk = ["format=raw, vdev=xvda, access=rw, target=web.img"]
                p9 = ["tag=share, path=./dir"]
                [images]
                "web.img" = { size = "64MiB" }
                """);
        Files.writeString(Files.createDirectory(dir.resolve("dir")).resolve("a-file"), "a");
        shell.prepare("./splitring up lab.toml --detach", "truncate -s 64M data.img");
        runAll(shell, ofALab());
        String said = shell.run(LIMIT);
        assertTrue(said.contains("a-file"), said);
    }

    @Test
    void imagesAndLabsAtBoot() throws Exception {
        ExternalTools.require("nbdkit", "nbdkit");
        DocumentShell shell = new DocumentShell(dir);
        Path labs = Files.createDirectory(dir.resolve("auto"));
        for (String name : List.of("10-net", "20-web")) {
            Files.writeString(labs.resolve(name + ".toml"), "[domains.a]\nguest = \"external\"\n");
        }
        shell.prepare(
                "trap '" + END_SERVERS + "; ./splitring boot --stop auto --run-dir labs' EXIT");
        // A machine with the name that the page has.
        shell.prepare("cp /etc/hosts hosts", "echo 127.0.0.1 backup >>hosts");
        shell.prepare("mount --bind hosts /etc/hosts", "nbdkit -e web memory 64M");
        runAll(shell, ofImages());
        runAll(shell, ofLabsAtBoot());
        String said = shell.run(LIMIT);
        assertTrue(said.contains("20-web: stopped"), said);
    }

    @Test
    void disksBehindCertificates() throws Exception {
        ExternalTools.require("nbdkit", "nbdkit");
        ExternalTools.require("nbdinfo", "libnbd-bin");
        ExternalTools.require("qemu-img", "qemu-utils");
        DocumentShell shell = new DocumentShell(dir);
        new TestCertificates(dir.resolve("DIR"));
        lab(
                "tls.toml",
                """
                [domains.web]
                disk = ["format=raw, vdev=xvda, access=rw, target=web.img"]
                export = "tcp:10809"
                [images]
                "web.img" = { size = "64MiB" }
                [nbd_tls]
                certificate = "DIR/server-cert.pem"
                key = "DIR/server-key.pem"
                client_ca = "DIR/ca-cert.pem"
                """);
        shell.prepare("trap '" + END_SERVERS + "' EXIT");
        shell.prepare("./splitring up tls.toml --detach");
        shell.prepare(
                "nbdkit -U tls.sock -e NAME --tls=require --tls-certificates=$PWD/DIR"
                        + " memory 16M");
        runAll(shell, withCertificates());
        shell.prepare("nbdinfo --size 'nbd+unix:///?socket=plain.sock'");
        String said = shell.run(LIMIT);
        assertTrue(said.lines().anyMatch("16777216"::equals), said);
    }

    @Test
    void aGuestInC() throws Exception {
        ExternalTools.require("gcc", "gcc");
        ExternalTools.requireFile("/usr/include/xen/io/ring.h", "libxen-dev");
        DocumentShell shell = new DocumentShell(dir);
        Path testkit = Documents.TOP.resolve("testkit").toRealPath();
        shell.prepare("mkdir testkit", "mount --bind " + testkit + " testkit");
        lab(
                "lab.toml",
                """
                [domains.DOMAIN]
                guest = "external"
                disk = ["external.img,raw,xvda,rw"]
                [images]
                "external.img" = { size = "16MiB" }
                """);
        shell.prepare("./splitring up lab.toml --detach", "ln -s run RUN-DIR");
        runAll(shell, ofAGuestInC());
        shell.run(LIMIT);
    }

    @Test
    void aDeviceOfAPlugin() throws Exception {
        DocumentShell shell = new DocumentShell(dir);
        Path classes =
                TestJars.compileProject(
                        Documents.TOP.resolve("examples/vrng"),
                        Files.createDirectory(dir.resolve("classes")));
        Path plugins = Files.createDirectory(dir.resolve("DIR"));
        TestJars.jar(plugins.resolve("vrng.jar"), classes, file -> true);
        Files.copy(dir.resolve("examples/vrng.toml"), dir.resolve("LAB.toml"));
        runAll(shell, ofAPlugin());
        String said = shell.run(LIMIT);
        assertTrue(said.contains("detached vrng/0 from web"), said);
        assertTrue(Files.exists(dir.resolve("clock/pom.xml")));
    }

    @Test
    void aJavaClassInAGuest() throws Exception {
        DocumentShell shell = new DocumentShell(dir);
        Files.writeString(
                dir.resolve("Echo.java"),
                "package com.example;\n"
                        + String.join("\n", Documents.others(LAB_FILES, JAVA_CLASS, "java")));
        Files.writeString(
                dir.resolve("FrameHandler.java"),
                """
                package com.example;
                class FrameHandler extends io.netty.channel.ChannelInboundHandlerAdapter {}
                """);
        lab(
                "lab.toml",
                String.join("\n", Documents.others(LAB_FILES, JAVA_CLASS, ""))
                        + """

                        [networks.lan]
                        subnet = "10.20.0.0/24"
                        [images]
                        "echo.img" = { size = "16MiB" }
                        """);
        shell.prepareJars();
        runAll(shell, ofAJavaClass());
        shell.prepare("./splitring up lab.toml --detach");
        shell.prepare("for i in $(seq 100); do");
        shell.prepare("grep disks: run/echo/console.log && break; sleep 0.1; done");
        String said = shell.run(LIMIT);
        assertTrue(said.contains("disks: [xvda]"), said);
        assertFalse(said.contains("Exception"), said);
    }
}
