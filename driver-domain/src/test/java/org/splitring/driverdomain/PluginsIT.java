package org.splitring.driverdomain;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.splitring.xenbus.device.BackendDriver;
import picocli.CommandLine;

/// `up --plugins`, `attach` and `detach`, with the example's device and with jars that are no good.
class PluginsIT {
    private static final Path EXAMPLE =
            Path.of("").toAbsolutePath().resolveSibling("examples/vrng");

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private static Path dir;

    @SuppressWarnings("NullAway.Init")
    private static LabUnderTest lab;

    @SuppressWarnings("NullAway.Init")
    private static LabUnderTest.Ended up;

    @BeforeAll
    static void upWithGoodAndBadJars() throws Exception {
        lab = new LabUnderTest(dir);
        Path plugins = Files.createDirectories(dir.resolve("jars"));
        Path classes =
                TestJars.compileProject(EXAMPLE, Files.createDirectories(dir.resolve("classes")));
        TestJars.jar(plugins.resolve("a-good.jar"), classes, file -> true);
        TestJars.jar(plugins.resolve("b-again.jar"), classes, file -> true);
        TestJars.jar(plugins.resolve("c-half.jar"), compileHalf(dir.resolve("half")), file -> true);
        TestJars.jar(plugins.resolve("d-none.jar"), classes, file -> !file.contains("META-INF"));
        Files.writeString(plugins.resolve("e-broken.jar"), "this is no jar");
        TestJars.jar(plugins.resolve("f-new.jar"), newDevice("my-vrng"), file -> true);
        Files.writeString(
                lab.lab(),
                """
                [domains.web]
                memory = 32
                devices = ["vrng", "my-vrng"]
                """);
        up =
                lab.splitring(
                        "up",
                        lab.lab().toString(),
                        "--plugins",
                        plugins.toString(),
                        "--run-dir",
                        lab.run().toString(),
                        "--detach");
    }

    @AfterAll
    static void down() throws Exception {
        lab.cleanUp();
    }

    /// A device of which only the backend is there.
    private static Path compileHalf(Path folder) throws IOException {
        Files.createDirectories(folder.resolve("java"));
        Files.writeString(
                folder.resolve("java/HalfBackend.java"),
                """
                package org.example.half;
                import org.splitring.xenbus.BackendHooks;
                import org.splitring.xenbus.device.*;
                public final class HalfBackend implements BackendDriver {
                    public String deviceClass() { return "half"; }
                    public BackendHooks create(BackendContext context) throws DeviceException {
                        throw new DeviceException("never made");
                    }
                }
                """);
        Path into = Files.createDirectories(folder.resolve("classes"));
        TestJars.compile(folder.resolve("java"), into);
        Path services = Files.createDirectories(into.resolve("META-INF/services"));
        Files.writeString(
                services.resolve(BackendDriver.class.getName()), "org.example.half.HalfBackend");
        return into;
    }

    /// The project that `device new` makes, and its classes; its test compiles, too.
    private static Path newDevice(String name) throws IOException {
        Path project = dir.resolve(name);
        LabUnderTest.Ended made = command("device", "new", name, "--dir", project.toString());
        assertEquals(0, made.code(), made.output());
        Path tests = Files.createDirectories(dir.resolve(name + "-tests"));
        TestJars.compile(project.resolve("src"), tests);
        return TestJars.compileProject(
                project, Files.createDirectories(dir.resolve(name + "-classes")));
    }

    /// A command in this process: what it says, and its exit status.
    private static LabUnderTest.Ended command(String... arguments) {
        StringWriter said = new StringWriter();
        PrintWriter out = new PrintWriter(said, true);
        CommandLine commandLine = Splitring.commandLine().setOut(out).setErr(out);
        int code = commandLine.execute(arguments);
        return new LabUnderTest.Ended(code, said.toString());
    }

    private static LabUnderTest.Ended inLab(String... arguments) {
        List<String> all = new ArrayList<>(List.of(arguments));
        all.addAll(List.of("--run-dir", lab.run().toString()));
        return command(all.toArray(String[]::new));
    }

    private static void refused(LabUnderTest.Ended ended, String... words) {
        assertEquals(1, ended.code(), ended.output());
        assertEquals(1, ended.output().lines().count(), ended.output());
        for (String word : words) {
            assertTrue(ended.output().contains(word), ended.output());
        }
    }

    private static void givesRandomBytes(int device) throws IOException {
        givesRandomBytes("vrng" + device);
    }

    private static void givesRandomBytes(String device) throws IOException {
        Path socket = lab.run().resolve("web/" + device + ".sock");
        ByteBuffer bytes = ByteBuffer.allocate(64);
        try (SocketChannel user = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            user.connect(UnixDomainSocketAddress.of(socket));
            while (bytes.hasRemaining()) {
                assertTrue(user.read(bytes) >= 0, "the device has closed");
            }
        }
        assertTrue(!ByteBuffer.allocate(64).equals(bytes.flip()), "64 zeroes are not random");
    }

    @ParameterizedTest
    @CsvSource({
        "b-again.jar, a-good.jar",
        "c-half.jar, frontend",
        "d-none.jar, META-INF/services",
        "e-broken.jar, is not a jar"
    })
    void aJarThatCannotBeUsedIsOneLineAndTheRestRuns(String jar, String why) throws Exception {
        assertEquals(0, up.code(), up.output());
        List<String> lines = up.output().lines().filter(line -> line.contains("/" + jar)).toList();
        assertEquals(1, lines.size(), up.output());
        assertTrue(lines.getFirst().contains(why), up.output());
        givesRandomBytes(0);
    }

    @Test
    void aDeviceThatWasMadeNewAnswersRequestsAtOnce() throws Exception {
        givesRandomBytes("my-vrng0");
    }

    @Test
    void aDeviceComesAndGoesWhileTheGuestRuns() throws Exception {
        LabUnderTest.Ended attached = inLab("attach", "web", "vrng");
        assertEquals(0, attached.code(), attached.output());
        assertEquals("attached vrng/1 to web\n", attached.output());
        givesRandomBytes(1);
        LabUnderTest.Ended detached = inLab("detach", "web", "vrng/1");
        assertEquals("detached vrng/1 from web\n", detached.output());
        await().atMost(LabUnderTest.PATIENCE)
                .until(() -> Files.notExists(lab.run().resolve("web/vrng1.sock")));
        refused(inLab("detach", "web", "vrng/1"), "domain web has no device vrng/1");
        givesRandomBytes(0);
    }

    @Test
    void aDeviceIsCutOffWhenForced() throws Exception {
        LabUnderTest.Ended attached = inLab("attach", "web", "vrng");
        assertEquals("attached vrng/1 to web\n", attached.output());
        LabUnderTest.Ended detached = inLab("detach", "--force", "web", "vrng/1");
        assertEquals("detached vrng/1 from web\n", detached.output());
        givesRandomBytes(0);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "web | vrgn | no device class \"vrgn\" | vrng",
                "web | vrng,colour=red | \"vrng\" has no parameter \"colour\" | it has none",
                "web | vrng,colour | \"colour\" is not key=value | ",
                "web | vr/ng | \"vr/ng\" is no class of devices | ",
                "wed | vrng | no domain \"wed\" runs | web",
                "web | 9pfs,tag=a,path=/no/such/folder | attach 9pfs/ | /no/such/folder"
            })
    void whatCannotBeAttachedIsOneLine(String domain, String device, String what, String more)
            throws Exception {
        refused(inLab("attach", domain, device), what, more == null ? "" : more);
        givesRandomBytes(0);
    }

    /// Two devices want one socket in the guest: the second is refused and taken away again, the
    /// first goes on.
    @Test
    void aDeviceThatIsTakenIsRefusedAndTakenAwayAgain() throws Exception {
        String device = "9pfs,tag=share,path=" + dir;
        LabUnderTest.Ended attached = inLab("attach", "web", device);
        assertEquals("attached 9pfs/0 to web\n", attached.output());
        refused(
                inLab("attach", "web", device),
                "attach 9pfs/1 to web: frontend /local/domain/1/device/9pfs/1 refused: ",
                "share.9p");
        refused(inLab("detach", "web", "9pfs/1"), "domain web has no device 9pfs/1");
        assertEquals(0, inLab("detach", "web", "9pfs/0").code());
        assertEquals("attached 9pfs/0 to web\n", inLab("attach", "web", device).output());
        assertEquals(0, inLab("detach", "web", "9pfs/0").code());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "web | vrng | \"vrng\" is not CLASS/ID",
                "web | vrng/x | \"vrng/x\" is not CLASS/ID",
                "web | vrng/7 | domain web has no device vrng/7",
                "wed | vrng/0 | no domain \"wed\" runs"
            })
    void whatCannotBeDetachedIsOneLine(String domain, String device, String what) throws Exception {
        refused(inLab("detach", domain, device), what);
        givesRandomBytes(0);
    }

    @Test
    void whereNoLabRunsTheRemedyIsNamed() {
        String nowhere = dir.resolve("nowhere").toString();
        refused(
                command("attach", "web", "vrng", "--run-dir", nowhere),
                "nothing runs in run directory " + nowhere,
                "./splitring up LAB.toml --run-dir " + nowhere);
        refused(
                command("detach", "web", "vrng/0", "--run-dir", nowhere),
                "nothing runs in run directory " + nowhere);
    }

    @Test
    void aFolderOfPluginsThatIsNotThereIsNamed() throws Exception {
        LabUnderTest.Ended ended =
                lab.splitring(
                        "up",
                        lab.lab().toString(),
                        "--plugins",
                        dir.resolve("no-such-folder").toString(),
                        "--run-dir",
                        dir.resolve("other").toString());
        refused(ended, "no-such-folder");
    }
}
