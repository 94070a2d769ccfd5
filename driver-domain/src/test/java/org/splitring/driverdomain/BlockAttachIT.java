package org.splitring.driverdomain;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.splitring.driverdomain.LabUnderTest.PATIENCE;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.blkback.DiskImage;
import org.splitring.blkback.DiskMode;
import org.splitring.driverdomain.LabUnderTest.Ended;
import org.splitring.testkit.ExternalTools;

/// Disks come to running guests and go, as their users do it: with clients at work on them, with a
/// driver domain that is killed meanwhile, and with what users get wrong.
@Timeout(180)
class BlockAttachIT {
    private static final int IMAGE_MIB = 4;

    @TempDir static Path dir;
    private static LabUnderTest program;
    private final List<VerifiedDisk> clients = new ArrayList<>();

    @BeforeAll
    static void up() throws Exception {
        program = new LabUnderTest(dir);
        program.image("web.img", IMAGE_MIB);
        program.image("db.img", IMAGE_MIB);
        Files.writeString(
                program.lab(),
                """
                [domains.web]
                disk = ["web.img,raw,xvda,rw"]
                memory = 32
                [domains.db]
                disk = ["db.img,raw,xvda,rw"]
                memory = 32
                [domains.victim]
                memory = 16
                """);
        program.up();
    }

    @AfterAll
    static void down() throws Exception {
        try {
            program.down();
        } finally {
            program.cleanUp();
        }
    }

    @AfterEach
    void hangUp() throws Exception {
        for (VerifiedDisk client : clients) {
            client.close();
        }
        Ended io = program.qemuIo("write -P 5 0 64k", "flush", "read -P 5 0 64k");
        assertEquals(0, io.code(), "the guest's first disk was disturbed: " + io.output());
    }

    /// A command of the program, in this process.
    private static Ended command(String... words) {
        StringWriter said = new StringWriter();
        List<String> line = new ArrayList<>(List.of(words));
        line.addAll(List.of("--run-dir", program.run().toString()));
        int code =
                Splitring.commandLine()
                        .setOut(new PrintWriter(said))
                        .setErr(new PrintWriter(said))
                        .execute(line.toArray(String[]::new));
        return new Ended(code, said.toString());
    }

    private static void succeeds(String output, String... words) {
        Ended ended = command(words);
        assertEquals(0, ended.code(), ended.output());
        assertEquals(output + System.lineSeparator(), ended.output());
    }

    private static void fails(String message, String... words) {
        Ended ended = command(words);
        assertEquals(1, ended.code(), ended.output());
        assertEquals(1, ended.output().lines().count(), ended.output());
        assertTrue(ended.output().startsWith("splitring: "), ended.output());
        assertTrue(ended.output().contains(message), ended.output());
    }

    private VerifiedDisk client(String disk, long seed) throws Exception {
        VerifiedDisk client =
                new VerifiedDisk(disk, program.run().resolve(disk + ".nbd"), IMAGE_MIB, seed);
        clients.add(client);
        return client;
    }

    private static void progress(VerifiedDisk client, int answers) {
        long before = client.answers();
        await().atMost(Duration.ofSeconds(40))
                .pollInterval(Duration.ofMillis(2))
                .until(() -> client.answers() >= before + answers || client.failure() != null);
        assertEquals(null, client.failure());
    }

    private static void isGone(Path socket) {
        await().atMost(PATIENCE).until(() -> Files.notExists(socket));
    }

    @Test
    void aDiskIsResizedWhileItsGuestUsesIt() throws Exception {
        long bytes = (long) IMAGE_MIB << 20;
        succeeds(
                "xvda of web has " + Sizes.text(2 * bytes) + " now",
                "block-resize",
                "web",
                "xvda",
                2 * IMAGE_MIB + "M");
        assertEquals(2 * bytes, Files.size(program.lab().resolveSibling("web.img")));
        await().until(() -> exportSize("xvda") == 2 * bytes);
        Ended io = program.qemuIo("write -P 6 " + bytes + " 64k", "read -P 6 " + bytes + " 64k");
        assertEquals(0, io.code(), io.output());
        fails("not a whole number of sectors", "block-resize", "web", "xvda", "1000");
        fails("is no size", "block-resize", "web", "xvda", "much");
        fails("has no disk xvdz", "block-resize", "web", "xvdz", "1M");
        succeeds(
                "xvda of web has " + Sizes.text(bytes) + " now",
                "block-resize",
                "web",
                "xvda",
                IMAGE_MIB + "M");
        await().until(() -> exportSize("xvda") == bytes);
        Ended beyond = program.qemuIo("read " + bytes + " 64k");
        assertTrue(beyond.code() != 0 || !beyond.output().contains("read 65536/65536"));
    }

    /// Its table becomes longer, for which blocks move while the guest uses them.
    @Test
    void aVhdIsResizedWhileItsGuestUsesIt() throws Exception {
        Path image = dir.resolve("grows.vhd");
        Ended made =
                program.tool(
                        "qemu-img",
                        "qemu-utils",
                        "create",
                        "-f",
                        "vpc",
                        "-o",
                        "force_size=on",
                        image.toString(),
                        IMAGE_MIB + "M");
        assertEquals(0, made.code(), made.output());
        succeeds(
                "attached vbd/xvdd to db",
                "block-attach",
                "db",
                "format=vhd, vdev=xvdd, access=rw, target=" + image);
        VerifiedDisk client = client("db/xvdd", 6);
        progress(client, 50);
        succeeds("xvdd of db has 300 GiB now", "block-resize", "db", "xvdd", "300G");
        progress(client, 50);
        fails("a VHD has at most 2040 GiB", "block-resize", "db", "xvdd", "3T");
        succeeds("xvdd of db has 5 MiB now", "block-resize", "db", "xvdd", "5M");
        progress(client, 50);
        client.close();
        succeeds("detached vbd/xvdd from db", "block-detach", "db", "xvdd");
        Ended info = program.tool("qemu-img", "qemu-utils", "info", "-f", "vpc", image.toString());
        assertTrue(info.output().contains("(5242880 bytes)"), info.output());
        Files.delete(image);
    }

    @Test
    void aPausedDiskGoesOnWithAnotherImageAndItsGuestOnlyWaits() throws Exception {
        Path image = program.image("old.img", IMAGE_MIB);
        succeeds(
                "attached vbd/xvdc to db",
                "block-attach",
                "db",
                "format=raw, vdev=xvdc, access=rw, target=" + image);
        VerifiedDisk client = client("db/xvdc", 5);
        progress(client, 50);
        succeeds("xvdc of db is paused; its image is closed", "block-pause", "db", "xvdc");
        DiskImage.open(image, DiskMode.WRITEBACK).close(); // nobody has it
        long before = client.answersAtRest();
        Path copy = dir.resolve("new.qcow2");
        Ended converted =
                program.tool(
                        "qemu-img",
                        "qemu-utils",
                        "convert",
                        "-f",
                        "raw",
                        "-O",
                        "qcow2",
                        image.toString(),
                        copy.toString());
        assertEquals(0, converted.code(), converted.output());
        // A client keeps several requests under way; none of them is answered.
        assertEquals(before, client.answers());
        fails(
                "no such file",
                "block-unpause",
                "--image",
                "qcow2:" + dir.resolve("nowhere.qcow2"),
                "db",
                "xvdc");
        assertEquals(before, client.answers(), "it is paused still");
        succeeds("xvdc of db runs", "block-unpause", "--image", "qcow2:" + copy, "db", "xvdc");
        progress(client, 50);
        DiskImage.open(image, DiskMode.WRITEBACK).close(); // the old one is nobody's now

        // Whoever serves it next has the new image too.
        assertTrue(program.driverDomain().destroyForcibly());
        Ended replaced = program.splitring("replace", "--run-dir", program.run().toString());
        assertEquals(0, replaced.code(), replaced.output());
        progress(client, 50);
        client.close();
        succeeds("detached vbd/xvdc from db", "block-detach", "db", "xvdc");
        Ended check = program.tool("qemu-img", "qemu-utils", "check", copy.toString());
        // A driver domain that is killed may leave clusters that nobody has, and no other damage.
        assertTrue(check.code() == 0 || check.code() == 3, check.output());
        Files.delete(image);
    }

    @Test
    void aDiskIsLimitedWhileItsGuestUsesIt() throws Exception {
        Path image = program.image("slow.img", IMAGE_MIB);
        succeeds(
                "attached vbd/xvdd to db",
                "block-attach",
                "db",
                "format=raw, vdev=xvdd, access=rw, iops=100, burst=10ms, target=" + image);
        VerifiedDisk client = client("db/xvdd", 6);
        progress(client, 5);
        long begin = System.nanoTime();
        progress(client, 100);
        double seconds = (System.nanoTime() - begin) / 1e9;
        assertTrue(seconds > 0.85, "100 answers of 100 a second came within " + seconds + " s");
        succeeds(
                "xvdd of db is limited now; weight 100",
                "block-limit",
                "--bps",
                "1MiB",
                "db",
                "xvdd");
        progress(client, 5);
        fails("bps \"fast\" is no size", "block-limit", "--bps", "fast", "db", "xvdd");
        fails("weight 0 is not in 1..1000", "block-limit", "--weight", "0", "db", "xvdd");
        succeeds(
                "xvdd of db has no limit now; weight 50",
                "block-limit",
                "--weight",
                "50",
                "db",
                "xvdd");
        progress(client, 300);
        client.close();
        succeeds("detached vbd/xvdd from db", "block-detach", "db", "xvdd");
    }

    /// How the driver domain has opened a file: the flags that `/proc` shows, and any other.
    private static int openFlags(Path file) throws Exception {
        Path process = Path.of("/proc/" + program.driverDomain().pid());
        int flags = 0;
        try (var open = Files.list(process.resolve("fd"))) {
            for (Path fd : open.toList()) {
                if (Files.exists(fd) && Files.isSameFile(fd, file)) {
                    String info =
                            Files.readString(process.resolve("fdinfo").resolve(fd.getFileName()));
                    String octal = info.lines().toList().get(1).replace("flags:", "").strip();
                    flags |= Integer.parseInt(octal, 8);
                }
            }
        }
        return flags;
    }

    @Test
    void aDiskIsOpenedAsItsModeSays() throws Exception {
        int sync = 010000; // O_DSYNC
        int direct = 040000; // O_DIRECT
        for (DiskMode mode : DiskMode.values()) {
            Path image = program.image("mode-" + mode.label() + ".img", IMAGE_MIB);
            succeeds(
                    "attached vbd/xvdm to db",
                    "block-attach",
                    "db",
                    "vdev=xvdm,cache=" + mode.label() + ",target=" + image);
            VerifiedDisk client = client("db/xvdm", 3);
            progress(client, 50);
            int flags = openFlags(image);
            assertEquals(mode == DiskMode.WRITETHROUGH, (flags & sync) != 0, mode.label());
            assertEquals(mode == DiskMode.DIRECT, (flags & direct) != 0, mode.label());
            Path list = ExternalTools.require("xenstore-ls", "xenstore-utils");
            Ended nodes =
                    program.execute(
                            List.of(
                                    "/usr/bin/env",
                                    "XENSTORED_PATH=" + program.run().resolve("xenstored/socket"),
                                    list.toString(),
                                    "/local/domain/0/backend/vbd"));
            assertTrue(
                    nodes.output().contains("cache-mode = \"" + mode.label() + "\""),
                    nodes.output());
            client.close();
            succeeds("detached vbd/xvdm from db", "block-detach", "db", "xvdm");
        }
        fails(
                "cache \"fast\" is none of writeback, writethrough, unsafe, direct",
                "block-attach",
                "db",
                "x.img,raw,xvdm,rw,cache=fast");
    }

    private static long exportSize(String disk) throws Exception {
        Ended info = program.tool("nbdinfo", "libnbd-bin", "--size", program.uri(disk));
        assertEquals(0, info.code(), info.output());
        return Long.parseLong(info.output().strip());
    }

    @Test
    void aDiskThatIsDetachedUnderLoadIsDrained() throws Exception {
        Path image = program.image("data.img", IMAGE_MIB);
        Path socket = program.run().resolve("web/xvdb.nbd");
        succeeds(
                "attached vbd/xvdb to web",
                "attach",
                "web",
                "vbd",
                "format=raw, vdev=xvdb, access=rw, target=" + image);
        assertTrue(Files.exists(socket), "attached, and not offered");
        VerifiedDisk client = client("web/xvdb", 1);
        progress(client, 5); // at once: what attach has said must be saved already

        // A driver domain that replaces one that was killed has the disk too, and its image.
        assertTrue(program.driverDomain().destroyForcibly());
        Ended replaced = program.splitring("replace", "--run-dir", program.run().toString());
        assertEquals(0, replaced.code(), replaced.output());
        progress(client, 100);
        fails(
                "image " + image + " is in use by vbd/xvdb of domain web",
                "block-attach",
                "db",
                image + ",raw,xvdb,ro");

        client.expectEnd();
        succeeds("detached vbd/51728 from web", "detach", "web", "vbd/51728");
        assertEquals(0, client.awaitEnd(), "requests were refused");
        assertEquals(null, client.failure());
        assertEquals(List.of(), client.broken(image));
        isGone(socket);

        // The image is free at once.
        succeeds("attached vbd/xvdb to db", "block-attach", "db", image + ",raw,xvdb,ro");
        succeeds("detached vbd/xvdb from db", "block-detach", "db", "xvdb");
        DiskImage.open(image, DiskMode.WRITEBACK).close();
        // A successor does not bring back what was detached.
        Ended again = program.splitring("replace", "--run-dir", program.run().toString());
        assertEquals(0, again.code(), again.output());
        assertFalse(Files.exists(socket));
        DiskImage.open(image, DiskMode.WRITEBACK).close();
    }

    @Test
    void aDiskThatIsDetachedByForceAnswersAndLosesNothing() throws Exception {
        Path image = program.image("force.img", IMAGE_MIB);
        String disk = "format=raw, vdev=xvdc, target=" + image;
        for (int round = 0; round < 3; round++) {
            succeeds("attached vbd/xvdc to web", "block-attach", "web", disk);
            VerifiedDisk client = client("web/xvdc", 10 + round);
            progress(client, 50);
            client.expectEnd();
            succeeds("detached vbd/xvdc from web", "detach", "web", "vbd/xvdc", "--force");
            client.awaitEnd();
            assertEquals(null, client.failure());
            assertEquals(List.of(), client.broken(image));
            isGone(program.run().resolve("web/xvdc.nbd"));
            program.image("force.img", IMAGE_MIB); // zeroes, as the next client expects
        }
    }

    /// The lock outlives the guest, and ends with the disk.
    @Test
    void theImageOfAGuestThatWasKilledStaysLockedUntilItsDiskIsDetached() throws Exception {
        Path image = program.image("victim.img", 1);
        succeeds("attached vbd/xvda to victim", "block-attach", "victim", image + ",raw,xvda");
        assertTrue(program.guest("victim").destroyForcibly());
        isGone(program.run().resolve("victim/xvda.nbd"));
        fails(
                "image " + image + " is in use by vbd/xvda of domain victim",
                "block-attach",
                "db",
                image + ",raw,xvdd");
        fails(
                "domain victim has a device vbd/xvda already",
                "block-attach",
                "victim",
                image + ",raw,xvda");
        succeeds("detached vbd/xvda from victim", "detach", "victim", "vbd/xvda");
        succeeds("attached vbd/xvdd to db", "block-attach", "db", image + ",raw,xvdd");
        succeeds("detached vbd/xvdd from db", "detach", "db", "vbd/xvdd");
    }

    @Test
    void whatCannotBeAttachedIsOneLineAndDisturbsNobody() throws Exception {
        Path image = program.image("mine.img", 1);
        Path missing = dir.resolve("missing.img");
        fails("image " + missing + ": no such file", "attach", "web", "vbd", missing + ",raw,xvde");
        fails("image " + dir + ": is a folder", "block-attach", "web", dir + ",raw,xvde");
        fails(
                "image " + dir.resolve("db.img") + " is in use by vbd/xvda of domain db",
                "block-attach",
                "web",
                dir.resolve("db.img") + ",raw,xvde,ro");
        try (DiskImage held = DiskImage.open(image, DiskMode.WRITEBACK)) {
            assertFalse(held.readOnly());
            fails(
                    "image " + image + " is in use by process " + ProcessHandle.current().pid(),
                    "block-attach",
                    "web",
                    image + ",raw,xvde");
        }
        fails(
                "domain web has a device vbd/xvda already",
                "block-attach",
                "web",
                image + ",raw,xvda");
        fails(
                "unknown key \"acces\" (did you mean access?)",
                "attach",
                "web",
                "vbd",
                "vdev=xvde,acces=rw,target=" + image);
        fails("vdev is missing", "attach", "web", "vbd", "target=" + image);
        fails("vdev \"sdz9x\" is no name of a disk", "attach", "web", "vbd,vdev=sdz9x,target=x");
        fails("no domain \"wbe\" runs", "block-attach", "wbe", image + ",raw,xvde");
        fails("domain web has no device vbd/xvde", "detach", "web", "vbd/xvde");
        fails("is not CLASS/ID", "detach", "web", "vbd/first");
        try (var sockets = Files.list(program.run().resolve("web"))) {
            assertEquals(
                    List.of("xvda.nbd"),
                    sockets.map(path -> path.getFileName().toString())
                            .filter(name -> name.endsWith(".nbd"))
                            .toList());
        }
    }
}
