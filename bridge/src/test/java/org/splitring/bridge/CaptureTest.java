package org.splitring.bridge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CaptureTest {
    @TempDir Path folder;

    private final Lab lab = new Lab(new LearningSwitch(SwitchSettings.DEFAULT));
    private final Lab.Port a = lab.port("a");
    private final Lab.Port b = lab.port("b");

    @SuppressWarnings("ArrayRecordComponent")
    private record Packet(String port, int direction, int size, byte[] bytes) {}

    /// Reads a whole file by the block lengths; fails on anything that is not whole.
    private static List<Packet> read(Path file) throws Exception {
        ByteBuffer in = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
        List<Packet> packets = new ArrayList<>();
        List<String> ports = new ArrayList<>();
        assertEquals(0x0A0D0D0A, in.getInt(0));
        assertEquals(0x1A2B3C4D, in.getInt(8));
        int at = 0;
        while (at < in.capacity()) {
            int total = in.getInt(at + 4);
            assertEquals(total, in.getInt(at + total - 4), "both lengths");
            if (in.getInt(at) == 1) {
                assertEquals(1, in.getShort(at + 8), "Ethernet");
                byte[] name = new byte[in.getShort(at + 18)];
                in.get(at + 20, name);
                ports.add(new String(name, StandardCharsets.UTF_8));
            } else if (in.getInt(at) == 6) {
                byte[] bytes = new byte[in.getInt(at + 20)];
                in.get(at + 28, bytes);
                int options = at + 28 + (bytes.length + 3) / 4 * 4;
                packets.add(
                        new Packet(
                                ports.get(in.getInt(at + 8)),
                                in.getInt(options + 4),
                                in.getInt(at + 24),
                                bytes));
            }
            at += total;
        }
        return packets;
    }

    @Test
    void aWholeSwitchIsCapturedAndCanBeReadWhileItIsWritten() throws Exception {
        Path file = folder.resolve("lan.pcapng");
        try (Capture capture = Capture.open(file, Frame.MAX_BYTES, 1 << 20)) {
            lab.network.startCapture(capture);
            byte[] frame = Lab.frame(Lab.mac(2), Lab.mac(1), 777);
            a.send(frame);
            Awaitility.await()
                    .atMost(Duration.ofSeconds(20))
                    .until(() -> Files.size(file) > 2 * 777 && read(file).size() == 2);
            List<Packet> packets = read(file);
            assertEquals("a", packets.get(0).port());
            assertEquals(1, packets.get(0).direction());
            assertEquals("b", packets.get(1).port());
            assertEquals(2, packets.get(1).direction());
            assertArrayEquals(frame, packets.get(1).bytes());
            lab.network.stopCapture();
            a.send(frame);
            assertEquals(2, capture.frames());
        }
        assertEquals(2, read(file).size());
    }

    @Test
    void onePortIsCapturedWithAShortenedFrame() throws Exception {
        Path file = folder.resolve("b.pcapng");
        try (Capture capture = Capture.open(file, 61, 1 << 20)) {
            b.link.startCapture(capture);
            for (int size = 60; size < 70; size++) {
                a.send(Lab.frame(Lab.mac(2), Lab.mac(1), size));
            }
            b.link.stopCapture();
        }
        List<Packet> packets = read(file);
        assertEquals(10, packets.size());
        for (int i = 0; i < 10; i++) {
            assertEquals(60 + i, packets.get(i).size());
            assertArrayEquals(
                    Arrays.copyOf(Lab.frame(Lab.mac(2), Lab.mac(1), 60 + i), Math.min(60 + i, 61)),
                    packets.get(i).bytes());
        }
    }

    @Test
    void theFileEndsAtItsBoundAndTheNetworkGoesOn() throws Exception {
        Path file = folder.resolve("small.pcapng");
        try (Capture capture = Capture.open(file, Frame.MAX_BYTES, 10_000)) {
            lab.network.startCapture(capture);
            for (int i = 0; i < 100; i++) {
                a.send(Lab.frame(Lab.mac(2), Lab.mac(1), 1000));
            }
            lab.network.stopCapture();
            assertEquals(100, b.got.size());
            assertEquals(200, capture.frames() + capture.missing());
            assertTrue(capture.frames() >= 8);
        }
        assertTrue(Files.size(file) <= 10_000, Files.size(file) + " bytes");
        assertTrue(read(file).size() >= 8);
    }

    @Test
    void aCaptureThatCannotBeMadeIsNamed() {
        assertThrows(
                NoSuchFileException.class,
                () -> Capture.open(folder.resolve("no/such/file"), 100, 10_000));
        assertThrows(
                IllegalArgumentException.class,
                () -> Capture.open(folder.resolve("x"), 13, 10_000));
    }
}
