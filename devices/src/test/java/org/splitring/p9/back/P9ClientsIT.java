package org.splitring.p9.back;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.devices.DeviceLab;
import org.splitring.testkit.ExternalTools;
import org.splitring.xenbus.DevicePaths;

/// diod's clients, of Debian, on the guest's socket: they speak 9P2000.L through the rings.
class P9ClientsIT {
    private static final DevicePaths SHARE = DeviceLab.paths("9pfs", 0);

    @TempDir private Path dir;
    private Path shared;
    private Path socket;
    private DeviceLab lab;

    /// @param output bytes, one in each `char`
    private record Ended(int code, String output, String errors) {}

    @BeforeEach
    void open() throws Exception {
        shared = Files.createDirectory(dir.resolve("shared"));
        Path sockets = Files.createDirectory(dir.resolve("sockets"));
        socket = sockets.resolve("share.9p");
        lab = DeviceLab.withFrontends(sockets);
        lab.attach(SHARE, Map.of("tag", "share"), Map.of("path", shared.toString()));
    }

    @AfterEach
    void close() {
        lab.close();
    }

    private Ended run(String program, String... arguments) throws Exception {
        List<String> command = new ArrayList<>();
        command.add(ExternalTools.require(program, "diod").toString());
        command.addAll(List.of("-s", socket.toString(), "-a", "/", "-t", "20"));
        command.addAll(List.of(arguments));
        Path output = Files.createTempFile(dir, "output", "");
        Path errors = Files.createTempFile(dir, "errors", "");
        Process process =
                new ProcessBuilder(command)
                        .redirectOutput(output.toFile())
                        .redirectError(errors.toFile())
                        .start();
        if (!process.waitFor(30, TimeUnit.SECONDS)) {
            process.destroyForcibly();
            throw new AssertionError(command + " did not end: " + Files.readString(errors));
        }
        return new Ended(
                process.exitValue(),
                Files.readString(output, StandardCharsets.ISO_8859_1),
                Files.readString(errors));
    }

    @Test
    void aFileIsReadAsItIs() throws Exception {
        byte[] data = new byte[1_000_000];
        new Random(5).nextBytes(data);
        Files.createDirectories(shared.resolve("sub/deeper"));
        Files.write(shared.resolve("sub/deeper/file"), data);
        Ended ended = run("diodcat", "sub/deeper/file");
        assertEquals("", ended.errors());
        assertEquals(0, ended.code());
        assertEquals(new String(data, StandardCharsets.ISO_8859_1), ended.output());
    }

    @Test
    void foldersAreListed() throws Exception {
        for (int i = 0; i < 500; i++) {
            Files.createFile(shared.resolve("file" + i));
        }
        Ended ended = run("diodls", "/");
        assertEquals("", ended.errors());
        String listed = ended.output();
        for (int i = 0; i < 500; i++) {
            assertTrue(listed.contains("file" + i), listed);
        }
        Files.writeString(shared.resolve("file7"), "1234567");
        String longList = run("diodls", "-l", "/file7").output();
        assertTrue(longList.contains("-rw") && longList.contains(" 7 "), longList);
    }

    @Test
    void nothingOutsideIsRead() throws Exception {
        Path secret = Files.writeString(dir.resolve("secret"), "not for guests");
        Files.createSymbolicLink(shared.resolve("link"), secret);
        Files.createSymbolicLink(shared.resolve("up"), dir);
        for (String file : List.of("../secret", "link", "up/secret", "../../../../etc/passwd")) {
            Ended ended = run("diodcat", file);
            assertNotEquals(0, ended.code(), file);
            assertEquals("", ended.output(), file);
        }
    }

    @Test
    void oneClientFollowsAnotherAlsoAfterTheBackendWasReplaced() throws Exception {
        Files.writeString(shared.resolve("f"), "data");
        for (int round = 0; round < 3; round++) {
            assertEquals("data", run("diodcat", "f").output());
        }
        lab.replaceBackends();
        lab.awaitConnected(SHARE);
        assertEquals("data", run("diodcat", "f").output());
        lab.detach(SHARE);
        lab.awaitNothingGranted();
        await().atMost(10, TimeUnit.SECONDS).until(() -> Files.notExists(socket));
    }
}
