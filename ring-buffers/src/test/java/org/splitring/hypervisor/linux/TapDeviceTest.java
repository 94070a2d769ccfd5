package org.splitring.hypervisor.linux;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// TAPs in namespaces that these tests make themselves.
class TapDeviceTest {
    private static final String NAME = "splitring-taptest" + ProcessHandle.current().pid();
    private static final byte[] BROADCAST = {-1, -1, -1, -1, -1, -1};
    private static final byte[] PEER = {2, 0, 0, 0, 0, 2};

    @TempDir Path folder;

    private final MemorySegment header = Arena.ofAuto().allocate(VnetHeader.BYTES, 8);
    private final MemorySegment first = Arena.ofAuto().allocate(64, 8);
    private final MemorySegment rest = Arena.ofAuto().allocate(65_536, 8);
    private final IoVector pieces = new IoVector(3);

    @Test
    void layoutIsTheKernels() {
        assertEquals(10, VnetHeader.BYTES);
        VnetHeader.partial(header, 0, VnetHeader.GSO_TCPV6, 0x1234, 0x2345, 0x3456, 0x4567);
        byte[] expected = {1, 4, 0x34, 0x12, 0x45, 0x23, 0x56, 0x34, 0x67, 0x45};
        assertArrayEquals(expected, header.toArray(ValueLayout.JAVA_BYTE));
        assertEquals(VnetHeader.F_NEEDS_CSUM, VnetHeader.flags(header, 0));
        assertEquals(VnetHeader.GSO_TCPV6, VnetHeader.gsoType(header, 0));
        assertEquals(0x1234, VnetHeader.headerBytes(header, 0));
        assertEquals(0x2345, VnetHeader.gsoSizeBytes(header, 0));
        assertEquals(0x3456, VnetHeader.checksumStart(header, 0));
        assertEquals(0x4567, VnetHeader.checksumOffset(header, 0));
        VnetHeader.complete(header, 0, true);
        assertArrayEquals(
                new byte[] {2, 0, 0, 0, 0, 0, 0, 0, 0, 0}, header.toArray(ValueLayout.JAVA_BYTE));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", ".", "..", "a/b", "a b", "a:b", "tap%d", "ä", "a\nb"})
    void namesThatNoInterfaceCanHaveAreRefused(String name) {
        assertTrue(TapDevice.nameProblem(name).isPresent());
        assertThrows(IllegalArgumentException.class, () -> TapDevice.adopt(-1, name));
    }

    @Test
    void nameThatIsTooLongIsRefusedWithItsLength() {
        assertEquals(Optional.empty(), TapDevice.nameProblem("a-name-of-15-by"));
        assertEquals(
                Optional.of(
                        "\"a-name-of-16-byt\" has 16 bytes, and the name of an interface has at"
                                + " most 15"),
                TapDevice.nameProblem("a-name-of-16-byt"));
    }

    @Test
    void framesGoBothWaysWithTheirHeaders() throws Exception {
        requireRoot();
        try (NetworkNamespace namespace = NetworkNamespace.create(NAME);
                TapDevice tap = namespace.openTap("eth0")) {
            assertEquals(Optional.of(NAME), namespace.entrance().name());
            assertEquals(-Errno.EIO, write(tap, new byte[60]), "down");
            quietlyUp(namespace);
            assertEquals(-Errno.EAGAIN, tap.read(wholeFrame()));

            try (Inside syn = new Inside(namespace, "exec 3<>/dev/tcp/10.9.8.2/7")) {
                long size = await(tap);
                assertEquals(VnetHeader.BYTES + 42, size, "who has 10.9.8.2?");
                assertEquals(0, VnetHeader.flags(header, 0));
                assertEquals(0x0806, etherType());

                assertEquals(VnetHeader.BYTES + 42, write(tap, arpReply()));
                size = await(tap);
                assertEquals(0x0800, etherType());
                assertEquals(VnetHeader.BYTES + 14 + 20 + 40, size, "a SYN with its options");
                assertEquals(VnetHeader.F_NEEDS_CSUM, VnetHeader.flags(header, 0));
                assertEquals(VnetHeader.GSO_NONE, VnetHeader.gsoType(header, 0));
                assertEquals(34, VnetHeader.checksumStart(header, 0));
                assertEquals(16, VnetHeader.checksumOffset(header, 0));
                syn.process.destroyForcibly();
            }
        }
    }

    @Test
    void carrierIsSwitched() throws Exception {
        requireRoot();
        try (NetworkNamespace namespace = NetworkNamespace.create(NAME);
                TapDevice tap = namespace.openTap("eth0")) {
            quietlyUp(namespace);
            Inside.expect(namespace, "cat /sys/class/net/eth0/carrier", "1");
            tap.setCarrier(false);
            Inside.expect(namespace, "cat /sys/class/net/eth0/carrier", "0");
            tap.setCarrier(true);
            Inside.expect(namespace, "cat /sys/class/net/eth0/carrier", "1");
        }
    }

    @Test
    void interfaceGoesWithItsDescriptorThoughTheKeeperOpenedIt() throws Exception {
        requireRoot();
        try (NetworkNamespace namespace = NetworkNamespace.create(NAME)) {
            TapDevice first = namespace.openTap("eth0");
            TapDevice second = namespace.openTap("eth1");
            Inside.expect(namespace, "ls -x /sys/class/net | tr -d ' '", "eth0eth1lo");
            first.close();
            assertEquals(-Errno.EBADF, first.read(wholeFrame()));
            Inside.expect(namespace, "ls -x /sys/class/net | tr -d ' '", "eth1lo");
            second.close();
            Inside.expect(namespace, "ls -x /sys/class/net | tr -d ' '", "lo");
        }
        assertFalse(exists(NAME));
    }

    @Test
    void nameThatIsInUseIsRefusedAndOneThatWasLeftIsTakenOver() throws Exception {
        requireRoot();
        try (NetworkNamespace namespace = NetworkNamespace.create(NAME)) {
            IOException refused =
                    assertThrows(IOException.class, () -> NetworkNamespace.create(NAME));
            assertTrue(
                    String.valueOf(refused.getMessage())
                            .startsWith(
                                    "network namespace "
                                            + NAME
                                            + " exists, and process "
                                            + namespace.entrance().keeper()
                                            + " is inside"),
                    refused.getMessage());
            ProcessHandle keeper = ProcessHandle.of(namespace.entrance().keeper()).orElseThrow();
            keeper.destroyForcibly();
            keeper.onExit().get(10, TimeUnit.SECONDS);
            assertTrue(exists(NAME), "nobody was there to take the name away");
            try (NetworkNamespace next = NetworkNamespace.create(NAME)) {
                next.openTap("eth0").close();
            }
        }
        assertFalse(exists(NAME));
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void nothingIsLeftOfAHolderThatWasKilled(boolean root) throws Exception {
        requireRoot(); // also to become another user
        List<String> line =
                new ArrayList<>(
                        root
                                ? List.of()
                                : List.of(
                                        "setpriv",
                                        "--reuid=65534",
                                        "--regid=65534",
                                        "--clear-groups"));
        line.addAll(
                List.of(
                        System.getProperty("java.home") + "/bin/java",
                        "--enable-native-access=ALL-UNNAMED",
                        "-cp",
                        root ? System.getProperty("java.class.path") : readableClasses(),
                        Holder.class.getName(),
                        NAME));
        Process holder = new ProcessBuilder(line).redirectErrorStream(true).start();
        try (BufferedReader output =
                new BufferedReader(
                        new InputStreamReader(holder.getInputStream(), StandardCharsets.UTF_8))) {
            String answer = String.valueOf(output.readLine());
            if (!root && answer.contains("user.max_user_namespaces")) {
                Assumptions.abort("no user namespaces for ordinary users here: " + answer);
            }
            assertTrue(answer.startsWith("keeper "), answer);
            long pid = Long.parseLong(answer.substring("keeper ".length()));
            assertEquals(root, exists(NAME));
            String inside =
                    Inside.print(
                            new NetworkNamespace.Entrance(
                                    pid, root ? Optional.of(NAME) : Optional.empty()),
                            "ls -x /sys/class/net | tr -d ' '; cat /proc/net/dev | grep -c eth0");
            // A user namespace has no right to mount its own /sys, so that shows the host's.
            assertTrue(inside.endsWith("1"), inside);
            holder.destroyForcibly();
            holder.waitFor();
            await(() -> !ProcessHandle.of(pid).map(ProcessHandle::isAlive).orElse(false));
            await(() -> !exists(NAME));
        } finally {
            holder.destroyForcibly();
        }
    }

    /// Makes a namespace and a TAP, says which process keeps it, and waits to be killed.
    static final class Holder {
        private Holder() {}

        public static void main(String[] arguments) throws Exception {
            try (NetworkNamespace namespace = NetworkNamespace.create(arguments[0]);
                    TapDevice tap = namespace.openTap("eth0")) {
                System.out.println("keeper " + namespace.entrance().keeper());
                int end = System.in.read();
                throw new AssertionError(tap + " " + end);
            } catch (IOException e) {
                System.out.println(e.getMessage());
            }
        }
    }

    @Test
    void readingAndWritingAllocateNothing() throws Exception {
        requireRoot();
        try (NetworkNamespace namespace = NetworkNamespace.create(NAME);
                TapDevice tap = namespace.openTap("eth0")) {
            quietlyUp(namespace);
            byte[] frame = arpReply();
            MemorySegment.copy(frame, 0, first, ValueLayout.JAVA_BYTE, 0, 42);
            ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
            long least = Long.MAX_VALUE; // of several rounds: the compiler may be late
            for (int round = 0; round < 20 && least > 0; round++) {
                long before = threads.getCurrentThreadAllocatedBytes();
                passes(tap, 10_000);
                least = Math.min(least, threads.getCurrentThreadAllocatedBytes() - before);
            }
            assertEquals(0, least, "bytes for 10,000 frames each way");
        }
    }

    private void passes(TapDevice tap, int count) {
        for (int i = 0; i < count; i++) {
            VnetHeader.complete(header, 0, false);
            pieces.clear();
            pieces.add(header, 0, VnetHeader.BYTES);
            pieces.add(first, 0, 42);
            if (tap.write(pieces) != VnetHeader.BYTES + 42 || tap.read(wholeFrame()) > 0) {
                throw new AssertionError("a reply that nobody asked for is taken and not answered");
            }
        }
    }

    private static void quietlyUp(NetworkNamespace namespace) throws IOException {
        namespace.ip(
                """
                link set dev eth0 addrgenmode none
                link set dev eth0 address 02:00:00:00:00:01 mtu 1500 up
                addr add 10.9.8.1/24 dev eth0
                """);
    }

    private IoVector wholeFrame() {
        pieces.clear();
        pieces.add(header, 0, VnetHeader.BYTES);
        pieces.add(first, 0, 14);
        pieces.add(rest, 0, 65_536);
        return pieces;
    }

    private long await(TapDevice tap) {
        long[] size = new long[1];
        await(
                () -> {
                    size[0] = tap.read(wholeFrame());
                    return size[0] != -Errno.EAGAIN;
                });
        return size[0];
    }

    private static void await(BooleanSupplier condition) {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
        while (!condition.getAsBoolean()) {
            assertTrue(System.nanoTime() < deadline, "waited for 10 seconds");
            Thread.onSpinWait();
        }
    }

    private int etherType() {
        return Byte.toUnsignedInt(first.get(ValueLayout.JAVA_BYTE, 12)) << 8
                | Byte.toUnsignedInt(first.get(ValueLayout.JAVA_BYTE, 13));
    }

    private long write(TapDevice tap, byte[] frame) {
        VnetHeader.complete(header, 0, false);
        MemorySegment.copy(frame, 0, first, ValueLayout.JAVA_BYTE, 0, 14);
        MemorySegment.copy(frame, 14, rest, ValueLayout.JAVA_BYTE, 0, frame.length - 14);
        pieces.clear();
        pieces.add(header, 0, VnetHeader.BYTES);
        pieces.add(first, 0, 14);
        pieces.add(rest, 0, frame.length - 14);
        return tap.write(pieces);
    }

    /// 10.9.8.2 is at [#PEER].
    private static byte[] arpReply() {
        byte[] frame = new byte[42];
        System.arraycopy(BROADCAST, 0, frame, 0, 6);
        System.arraycopy(PEER, 0, frame, 6, 6);
        byte[] arp = {8, 6, 0, 1, 8, 0, 6, 4, 0, 2};
        System.arraycopy(arp, 0, frame, 12, arp.length);
        System.arraycopy(PEER, 0, frame, 22, 6);
        System.arraycopy(new byte[] {10, 9, 8, 2}, 0, frame, 28, 4);
        System.arraycopy(new byte[] {2, 0, 0, 0, 0, 1}, 0, frame, 32, 6);
        System.arraycopy(new byte[] {10, 9, 8, 1}, 0, frame, 38, 4);
        return frame;
    }

    /// A shell inside a namespace.
    private static final class Inside implements AutoCloseable {
        final Process process;

        Inside(NetworkNamespace namespace, String script) throws IOException {
            process = start(namespace.entrance(), script);
        }

        static Process start(NetworkNamespace.Entrance entrance, String script) throws IOException {
            return new ProcessBuilder(entrance.commandLine(List.of("bash", "-c", script)))
                    .redirectErrorStream(true)
                    .start();
        }

        static String print(NetworkNamespace.Entrance entrance, String script) throws IOException {
            Process process = start(entrance, script);
            return new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8)
                    .strip();
        }

        static void expect(NetworkNamespace namespace, String script, String output)
                throws IOException {
            assertEquals(output, print(namespace.entrance(), script));
        }

        @Override
        public void close() {
            process.destroyForcibly();
        }
    }

    private static boolean exists(String name) {
        return Files.exists(Path.of("/var/run/netns", name));
    }

    /// This package's classes where ordinary users can read them.
    private String readableClasses() throws IOException {
        Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxr-xr-x"));
        for (Class<?> type : List.of(TapDevice.class, TapDeviceTest.class)) {
            Path name = Path.of(type.getPackageName().replace('.', '/'));
            Path from = Path.of(type.getProtectionDomain().getCodeSource().getLocation().getPath());
            Path to = Files.createDirectories(folder.resolve(name));
            try (DirectoryStream<Path> classes =
                    Files.newDirectoryStream(from.resolve(name), "*.class")) {
                for (Path file : classes) {
                    Files.copy(
                            file,
                            to.resolve(file.getFileName()),
                            StandardCopyOption.REPLACE_EXISTING);
                }
            }
        }
        return folder.toString();
    }

    private static void requireRoot() {
        if (UnixSocket.effectiveUser() != 0) {
            Assumptions.abort("needs root: network namespaces and TAPs");
        }
    }
}
