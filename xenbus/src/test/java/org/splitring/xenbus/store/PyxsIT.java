package org.splitring.xenbus.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.hypervisor.DomId;

/// Debian's `python3-pyxs` against our server, as domain 0 over a Unix socket.
@Timeout(60)
class PyxsIT {
    /// Debian's, which has Debian's packages, whatever else is in the path.
    private static final Path PYTHON = Path.of("/usr/bin/python3");

    private static final Path PYXS = Path.of("/usr/lib/python3/dist-packages/pyxs/__init__.py");

    @TempDir private Path folder;

    @Test
    void pyxsReadsWritesTransactsAndMonitors() throws Exception {
        HostSocket.require(PYTHON, "python3-minimal");
        HostSocket.require(PYXS, "python3-pyxs");
        try (HostSocket host = new HostSocket(folder)) {
            Process process = host.start(List.of(PYTHON.toString(), "-u", script()));
            try (BufferedReader out = process.inputReader();
                    PrintWriter in = new PrintWriter(process.outputWriter(), true)) {
                talk(host.control, out, in);
                assertNull(out.readLine());
                assertTrue(process.waitFor(20, TimeUnit.SECONDS));
                assertEquals(0, process.exitValue());
            } finally {
                process.destroyForcibly();
            }
        }
    }

    private String script() throws IOException {
        Path script = folder.resolve("session.py");
        try (InputStream resource = PyxsIT.class.getResourceAsStream("pyxs_session.py")) {
            Files.copy(Objects.requireNonNull(resource), script);
        }
        return script.toString();
    }

    private static void expect(BufferedReader out, String... lines) throws IOException {
        for (String line : lines) {
            assertEquals(line, out.readLine());
        }
    }

    private static void talk(Store control, BufferedReader out, PrintWriter in) throws Exception {
        expect(
                out,
                "read b'one two'",
                "default b'nothing'",
                "missing ENOENT",
                "list [b'a', b'b']",
                "exists True False",
                "list [b'a']",
                "permissions [b'n0']",
                "permissions [b'n0', b'r7']",
                "home b'/local/domain/7'",
                "introduced True False");
        assertEquals(
                List.of(Permission.none(DomId.ZERO), Permission.read(new DomId(7))),
                control.permissions("/py/a"));
        expect(out, "in transaction?");
        assertEquals(Optional.empty(), control.read("/py/t"));
        in.println();
        expect(out, "commit True", "after commit?");
        assertEquals(Optional.of("1"), control.read("/py/t"));
        in.println();
        expect(out, "rolled back b'1'", "change t?");
        control.write("/py/t", "3");
        in.println();
        expect(out, "commit False b'3'", "event b'/py/w' b'token'", "write below w?");
        control.write("/py/w/x", "1");
        in.println();
        expect(out, "event b'/py/w/x' b'token'", "event b'/py/w' b'token'", "watches set()");
    }
}
