package org.splitring.driverdomain;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.driverdomain.LabUnderTest.Ended;
import org.splitring.hypervisor.linux.VectoredFile;

/// Which parts of an image are data and which are holes, as libnbd's tools hear it from
/// `disk serve` and as QEMU finds it in the file.
@Timeout(180)
class DiskServeMapIT {
    private static final long SIZE = 5L << 30; // more than one BLOCK_STATUS can ask for

    private static final Pattern OF_QEMU =
            Pattern.compile(
                    "\"start\": (\\d+), \"length\": (\\d+),[^}]*\"zero\": (true|false),"
                            + " \"data\": (true|false)");

    private static final Pattern OF_NBDINFO =
            Pattern.compile("\"offset\": (\\d+), \"length\": (\\d+), \"type\": (\\d+)");

    @TempDir Path dir;
    private LabUnderTest lab;
    private @Nullable Process server;

    @BeforeEach
    void makeTools() {
        lab = new LabUnderTest(dir);
    }

    @AfterEach
    void stop() throws Exception {
        Process started = server;
        if (started != null) {
            started.destroy();
            assertTrue(started.waitFor(30, TimeUnit.SECONDS), "disk serve does not end");
        }
    }

    private String tool(String program, String debianPackage, String... words) throws Exception {
        Ended ended = lab.tool(program, debianPackage, words);
        assertEquals(0, ended.code(), ended.output());
        return ended.output();
    }

    private Path image(String format) throws Exception {
        Path image = dir.resolve("disk." + format);
        tool("qemu-img", "qemu-utils", "create", "-f", format, image.toString(), SIZE + "");
        List<String> io = new ArrayList<>(List.of("-f", format));
        for (int i = 0; i < 100; i++) { // more extents than one answer has
            io.addAll(List.of("-c", "write -P 1 " + (100 + i) + "M 128k"));
        }
        io.addAll(List.of("-c", "write -P 2 0 64k", "-c", "write -P 3 4G 1M"));
        io.addAll(List.of("-c", "write -z 4097M 64k", "-c", "discard 150M 128k"));
        io.add(image.toString());
        tool("qemu-io", "qemu-utils", io.toArray(String[]::new));
        return image;
    }

    private String serve(String format, Path image) throws Exception {
        Path socket = dir.resolve("disk.nbd");
        Process started =
                new ProcessBuilder(
                                LabUnderTest.java(
                                        "disk",
                                        "serve",
                                        "-f",
                                        format,
                                        image.toString(),
                                        "--socket",
                                        socket.toString()))
                        .redirectErrorStream(true)
                        .redirectOutput(dir.resolve("server.log").toFile())
                        .start();
        server = started;
        await().atMost(LabUnderTest.PATIENCE)
                .until(() -> Files.exists(socket) || !started.isAlive());
        assertTrue(started.isAlive(), Files.readString(dir.resolve("server.log")));
        return NbdUri.of(socket);
    }

    private static void add(List<String> extents, long start, long size, boolean hole) {
        String kind = hole ? "hole to " : "data to ";
        if (!extents.isEmpty() && extents.getLast().startsWith(kind)) {
            extents.removeLast();
        }
        extents.add(kind + (start + size));
    }

    private List<String> ofQemu(String format, Path image) throws Exception {
        List<String> extents = new ArrayList<>();
        Matcher extent =
                OF_QEMU.matcher(
                        tool(
                                "qemu-img",
                                "qemu-utils",
                                "map",
                                "--output=json",
                                "-f",
                                format,
                                image.toString()));
        while (extent.find()) {
            boolean data = extent.group(4).equals("true"); // perhaps where the file has a hole
            assertTrue(data || extent.group(3).equals("true"), extent.group());
            long start = Long.parseLong(extent.group(1));
            add(extents, start, Long.parseLong(extent.group(2)), !data);
        }
        return extents;
    }

    private List<String> ofNbdinfo(String uri) throws Exception {
        List<String> extents = new ArrayList<>();
        Matcher extent = OF_NBDINFO.matcher(tool("nbdinfo", "libnbd-bin", "--map", "--json", uri));
        while (extent.find()) {
            int type = Integer.parseInt(extent.group(3));
            assertTrue(type == 0 || type == 3, extent.group()); // HOLE (1) and ZERO (2)
            add(
                    extents,
                    Long.parseLong(extent.group(1)),
                    Long.parseLong(extent.group(2)),
                    type == 3);
        }
        return extents;
    }

    private void checkMapAndCopy(String format) throws Exception {
        Path image = image(format);
        List<String> expected = ofQemu(format, image);
        assertTrue(expected.size() > 200 && expected.getLast().equals("hole to " + SIZE));
        Path same = dir.resolve("same.raw"); // nobody else can read the image while it is served
        tool("qemu-img", "qemu-utils", "convert", "-f", format, "-O", "raw", image + "", same + "");
        String uri = serve(format, image);
        assertEquals(expected, ofNbdinfo(uri));

        Path copy = dir.resolve("copy.raw");
        tool("nbdcopy", "libnbd-bin", uri, copy.toString());
        try (VectoredFile copied = VectoredFile.open(copy)) {
            assertEquals(SIZE, copied.sizeBytes());
            long allocated = copied.status().allocatedBytes();
            assertTrue(allocated < 64 << 20, "the copy takes " + allocated + " bytes");
        }
        tool("qemu-img", "qemu-utils", "compare", "-f", "raw", "-F", "raw", same + "", copy + "");

        // And what clients do is seen at once.
        lab.io(uri, "write -P 9 1G 64k", "discard 4G 1M");
        List<String> now = ofNbdinfo(uri);
        long gib = 1L << 30;
        int written = now.indexOf("data to " + (gib + (64 << 10)));
        assertTrue(written > 0 && now.get(written - 1).equals("hole to " + gib), now.toString());
        assertEquals("hole to " + SIZE, now.get(written + 1));
        assertEquals(written + 2, now.size());
    }

    @Test
    void aSparseRawImageIsMappedAndCopiedAsItIs() throws Exception {
        checkMapAndCopy("raw");
    }

    @Test
    void aQcow2ImageIsMappedAndCopiedAsItIs() throws Exception {
        checkMapAndCopy("qcow2");
    }
}
