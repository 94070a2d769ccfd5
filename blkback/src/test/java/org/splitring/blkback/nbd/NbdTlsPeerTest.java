package org.splitring.blkback.nbd;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.blkback.DiskAccess;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.image.NbdSource;

/// Servers of others that speak TLS, at a Unix socket. This client does not: it says so in one line
/// and asks them for nothing, and another program can stand between.
@Timeout(60)
class NbdTlsPeerTest {
    private static final int SIZE = 1 << 20;
    private static final String KEY = "a".repeat(64);

    @TempDir Path folder;
    private Path keys;

    @BeforeEach
    void makeKeys() throws IOException {
        keys = Files.createDirectory(folder.resolve("psk")).resolve("keys.psk");
        Files.writeString(keys, "web:" + KEY + "\n");
    }

    private ServerProcess nbdkit(String tls) throws IOException {
        return ServerProcess.nbdkit(
                folder.resolve("s"), "--tls=" + tls, "--tls-psk=" + keys, "memory", "1M");
    }

    private static NbdStore open(NbdSource source) throws DiskException {
        return NbdStore.open(source, DiskAccess.READ_WRITE, false);
    }

    private static void isRefused(NbdSource source) {
        long begin = System.nanoTime();
        DiskException refused = assertThrows(DiskException.class, () -> open(source));
        String message = String.valueOf(refused.getMessage());
        assertTrue(message.contains(source.name()), message);
        assertTrue(message.contains("the server wants TLS, which is not supported"), message);
        assertFalse(message.contains("\n"), message);
        assertTrue(System.nanoTime() - begin < 10_000_000_000L, "nobody waits for it to change");
    }

    @Test
    void nbdkitThatInsistsIsRefused() throws Exception {
        try (ServerProcess server = nbdkit("require")) {
            isRefused(server.source(""));
            isRefused(server.source("disk"));
        }
    }

    @Test
    void qemuNbdThatInsistsIsRefused() throws Exception {
        Path image = Files.write(folder.resolve("disk.img"), new byte[SIZE]);
        String credentials = "tls-creds-psk,id=t,endpoint=server,dir=" + keys.getParent();
        try (ServerProcess server =
                ServerProcess.qemuNbd(
                        folder.resolve("s"),
                        "--object",
                        credentials,
                        "--tls-creds",
                        "t",
                        "-f",
                        "raw",
                        image.toString())) {
            isRefused(server.source(""));
        }
    }

    @Test
    void nbdkitThatLeavesItToTheClientServes() throws Exception {
        try (ServerProcess server = nbdkit("on");
                NbdStore store = open(server.source(""))) {
            writesAndReads(store);
        }
    }

    /// As the README says.
    @Test
    void anotherProgramMayStandBetween() throws Exception {
        Path socket = folder.resolve("s");
        try (ServerProcess server = nbdkit("require");
                ServerProcess between =
                        ServerProcess.nbdkit(
                                folder.resolve("plain"),
                                "nbd",
                                "socket=" + socket,
                                "tls=require",
                                "tls-psk=" + keys,
                                "tls-username=web");
                NbdStore store = open(between.source(""))) {
            assertTrue(Files.exists(socket));
            writesAndReads(store);
            isRefused(server.source(""));
        }
    }

    private static void writesAndReads(NbdStore store) throws IOException {
        assertEquals(SIZE, store.sizeBytes());
        byte[] bytes = KEY.repeat(64).getBytes(US_ASCII);
        StoreBytes.write(store, 4096, bytes);
        store.sync();
        assertArrayEquals(bytes, StoreBytes.read(store, 4096, bytes.length));
    }
}
