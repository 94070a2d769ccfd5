package org.splitring.xenbus.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.hypervisor.DomId;

/// Debian's own xenstore clients against our server, as domain 0 over a Unix socket.
@Timeout(120)
class StockClientsIT {
    private static final Path BIN = Path.of("/usr/bin");

    @TempDir private Path folder;

    private HostSocket host;

    @BeforeEach
    void listen() throws IOException {
        HostSocket.require(BIN.resolve("xenstore-ls"), "xenstore-utils");
        host = new HostSocket(folder);
    }

    @AfterEach
    void stop() {
        if (host != null) {
            host.close();
        }
    }

    private Process start(String... command) throws IOException {
        List<String> all = new ArrayList<>(List.of(command));
        all.set(0, BIN.resolve(command[0]).toString());
        return host.start(all);
    }

    private String run(int exit, String... command) throws Exception {
        Process process = start(command);
        process.getOutputStream().close();
        String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertTrue(process.waitFor(20, TimeUnit.SECONDS), String.join(" ", command));
        assertEquals(exit, process.exitValue(), String.join(" ", command) + ": " + out);
        return out;
    }

    @Test
    void stockClientsReadWriteListAndRemove() throws Exception {
        assertEquals("", run(0, "xenstore-write", "/a/b", "one", "/a/c", "two words"));
        assertEquals(Optional.of("one"), host.control.read("/a/b"));
        assertEquals("one\n", run(0, "xenstore-read", "/a/b"));
        assertEquals(Optional.of("two words"), host.control.read("/a/c"));
        assertEquals("b\nc\n", run(0, "xenstore-list", "/a"));
        assertEquals("b = \"one\"\nc = \"two words\"\n", run(0, "xenstore-ls", "/a"));
        assertEquals("/a/b = \"one\"\n/a/c = \"two words\"\n", run(0, "xenstore-ls", "-f", "/a"));
        assertEquals("", run(0, "xenstore-exists", "/a/b"));
        assertEquals("", run(1, "xenstore-exists", "/a/x"));
        assertTrue(run(1, "xenstore-read", "/a/x").contains("couldn't read path /a/x"));
        assertEquals("", run(0, "xenstore-chmod", "/a/b", "n0", "r7"));
        assertEquals(
                List.of(Permission.none(DomId.ZERO), Permission.read(new DomId(7))),
                host.control.permissions("/a/b"));
        assertTrue(run(0, "xenstore-ls", "-p", "/a").contains("(n0,r7)"));
        assertEquals("", run(0, "xenstore-rm", "/a/b"));
        assertEquals("c\n", run(0, "xenstore-list", "/a"));
        assertEquals(Optional.empty(), host.control.read("/a/b"));
    }

    @Test
    void stockWatchHearsOfOurChanges() throws Exception {
        Process watch = start("xenstore-watch", "-n", "3", "/a");
        try (BufferedReader out = watch.inputReader()) {
            assertEquals("/a", out.readLine());
            host.control.write("/a/x", "1");
            assertEquals("/a/x", out.readLine());
            host.control.write("/a/y", "1");
            assertEquals("/a/y", out.readLine());
            assertTrue(watch.waitFor(20, TimeUnit.SECONDS));
        } finally {
            watch.destroyForcibly();
        }
    }
}
