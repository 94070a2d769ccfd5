package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// `disk` as users call it.
@Timeout(30)
class DiskCommandTest {
    @TempDir Path dir;
    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private int run(String... arguments) {
        out.getBuffer().setLength(0);
        err.getBuffer().setLength(0);
        String[] all = new String[arguments.length + 1];
        all[0] = "disk";
        for (int i = 0; i < arguments.length; i++) {
            all[i + 1] = arguments[i].replace("%", dir + "/");
        }
        return Splitring.commandLine()
                .setOut(new PrintWriter(out, true))
                .setErr(new PrintWriter(err, true))
                .execute(all);
    }

    private void succeeds(String output, String... arguments) {
        assertEquals(0, run(arguments), err::toString);
        assertTrue(out.toString().contains(output), out::toString);
    }

    private void fails(String line, String... arguments) {
        assertEquals(1, run(arguments), out::toString);
        String said = err.toString();
        assertTrue(said.startsWith("splitring: ") && said.contains(line), said);
        assertEquals(1, said.lines().count(), said);
    }

    @Test
    void anImageIsMadeLookedAtCheckedAndMadeLarger() {
        succeeds("a disk of 20 GiB", "create", "-f", "qcow2", "%a.qcow2", "20GiB");
        succeeds("clusters of 65536 bytes", "info", "-f", "qcow2", "%a.qcow2");
        succeeds("20 GiB (21474836480 bytes)", "info", "-f", "qcow2", "%a.qcow2");
        succeeds("clean: 4 clusters, 256 KiB", "check", "-f", "qcow2", "%a.qcow2");
        succeeds("a disk of 8 TiB now", "resize", "-f", "qcow2", "%a.qcow2", "8TiB");
        fails("what is behind 1048576 would be lost", "resize", "-f", "qcow2", "%a.qcow2", "1M");
        succeeds("a disk of 1 MiB now", "resize", "-f", "qcow2", "--shrink", "%a.qcow2", "1M");
        succeeds("clean", "check", "-f", "qcow2", "%a.qcow2");
        succeeds("a disk of 3 GiB", "create", "-f", "vhd", "%a.vhd", "3GiB");
        succeeds("dynamic, blocks of 2097152 bytes", "info", "-f", "vhd", "%a.vhd");
        succeeds("a disk of 4 GiB now", "resize", "-f", "vhd", "%a.vhd", "4GiB");
        succeeds("4 GiB (4294967296 bytes)", "info", "-f", "vhd", "%a.vhd");
        fails("at most 2040 GiB", "resize", "-f", "vhd", "%a.vhd", "3TiB");
        fails("at most 2040 GiB", "create", "-f", "vhd", "%b.vhd", "3TiB");
        assertFalse(Files.exists(dir.resolve("b.vhd")), "what could not be made is gone");
    }

    @Test
    void aDiskGoesThroughEveryFormatAndComesBackTheSame() throws Exception {
        byte[] data = new byte[3 << 20];
        new Random(1).nextBytes(data);
        Arrays.fill(data, 1 << 20, 2 << 20, (byte) 0);
        Files.write(dir.resolve("a.img"), data);
        // Zeros take no room.
        succeeds("takes 2.0 MiB", "convert", "-f", "raw", "-O", "qcow2", "%a.img", "%b.qcow2");
        succeeds("made", "convert", "-f", "qcow2", "-O", "vhd", "%b.qcow2", "%c.vhd");
        succeeds("based on", "snapshot", "-f", "vhd", "%c.vhd", "%d.qcow2");
        succeeds("based on: c.vhd (vpc)", "info", "-f", "qcow2", "%d.qcow2");
        succeeds("made", "convert", "-f", "qcow2", "-O", "raw", "%d.qcow2", "%e.img");
        assertEquals(-1, Files.mismatch(dir.resolve("a.img"), dir.resolve("e.img")));
    }

    @Test
    void whatIsWrongIsOneLine() throws Exception {
        Files.write(dir.resolve("a.img"), new byte[4096]);
        fails(
                "format \"qcow\" is none of raw, qcow2, vhd, extents",
                "info",
                "-f",
                "qcow",
                "%a.img");
        fails("a.img: is no qcow2 image: it begins with", "info", "-f", "qcow2", "%a.img");
        fails("a.img: exists already", "create", "-f", "raw", "%a.img", "1M");
        fails("\"lots\" is not a size", "create", "-f", "raw", "%b.img", "lots");
        fails("1000 bytes are not one or more whole", "create", "-f", "raw", "%b.img", "1000");
        fails("raw has no tables", "check", "-f", "raw", "%a.img");
        fails("not a power of two", "create", "-f", "qcow2", "--cluster", "3000", "%b.qcow2", "1M");
        fails("no such file", "convert", "-f", "raw", "-O", "raw", "%none", "%b.img");
        Files.createDirectories(dir.resolve("sub"));
        fails("not in its folder or below", "snapshot", "-f", "raw", "%a.img", "%sub/b.qcow2");
        assertEquals(2, run("info", "%a.img"));
        assertTrue(err.toString().contains("--format"), err::toString);
    }

    @Test
    void leaksHaveTheirOwnStatusAndAreGivenBack() throws Exception {
        succeeds("made", "create", "-f", "qcow2", "%a.qcow2", "1MiB");
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(dir.resolve("a.qcow2")));
        int block = (int) bytes.getLong((int) bytes.getLong(48));
        bytes.putShort(block + 2 * 100, (short) 1);
        Files.write(dir.resolve("a.qcow2"), bytes.array());
        assertEquals(3, run("check", "-f", "qcow2", "%a.qcow2"));
        assertTrue(out.toString().contains("1 clusters leaked (64 KiB)"), out::toString);
        succeeds("given back", "check", "-f", "qcow2", "--repair-leaks", "%a.qcow2");
        succeeds("clean", "check", "-f", "qcow2", "%a.qcow2");
        bytes.putShort(block + 2 * 100, (short) 0).putShort(block + 2, (short) 0);
        Files.write(dir.resolve("a.qcow2"), bytes.array());
        fails("a.qcow2 is damaged", "check", "-f", "qcow2", "--repair-leaks", "%a.qcow2");
        assertTrue(out.toString().contains("cluster 1 has 1 owners and counts 0"), out::toString);
    }

    @Test
    void whatCannotBeServedIsOneLine() throws Exception {
        succeeds("made", "create", "-f", "raw", "%a.img", "1MiB");
        String[] serve = {"serve", "-f", "raw", "%a.img"};
        fails("neither --socket nor --port", serve);
        fails("--port 65536 is not between 0 and 65535", with(serve, "--port", "65536"));
        fails(
                "--connections 0 is not between 1 and 1000",
                with(serve, "--port=0", "--connections=0"));
        fails("cache \"fast\" is none of writeback", with(serve, "--port=0", "--cache=fast"));
        fails("TLS needs both", with(serve, "--port=0", "--tls-key=%key"));
        fails(
                "TLS is for --port",
                with(serve, "--socket=%s", "--tls-key=%key", "--tls-certificate=%cert"));
        fails(
                dir + "/cert is not there",
                with(serve, "--port=0", "--tls-key=%key", "--tls-certificate=%cert"));
        fails("cannot listen on socket " + dir + "/none/s", with(serve, "--socket=%none/s"));
        fails(
                "--name is longer than 4096 bytes",
                with(serve, "--port=0", "--name=" + "x".repeat(4097)));
        fails("is no qcow2 image", "serve", "-f", "qcow2", "--port=0", "%a.img");
        fails("b.img: no such file", "serve", "-f", "raw", "--port=0", "%b.img");
        try (ServerSocket busy = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            fails(
                    "tcp port " + busy.getLocalPort(),
                    with(serve, "--port", busy.getLocalPort() + ""));
        }
        succeeds("64 KiB", "resize", "-f", "raw", "--shrink", "%a.img", "64KiB"); // nobody has it
    }

    private static String[] with(String[] words, String... more) {
        String[] all = Arrays.copyOf(words, words.length + more.length);
        System.arraycopy(more, 0, all, words.length, more.length);
        return all;
    }
}
