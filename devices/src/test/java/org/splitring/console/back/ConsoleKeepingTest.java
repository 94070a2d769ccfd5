package org.splitring.console.back;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.hypervisor.Pace;

/// What is kept of a guest's output, and how much.
class ConsoleKeepingTest {
    @TempDir private Path dir;

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }

    @Test
    void scrollBackHasTheLastBytesWhateverThePieces() throws Exception {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("ConsoleKeepingTest seed " + seed);
        Random random = new Random(seed);
        ScrollBack scrollBack = new ScrollBack(100);
        byte[] all = new byte[5000];
        random.nextBytes(all);
        int written = 0;
        long place = 0;
        ScrollBack.Reader reader = scrollBack.reader();
        while (written < all.length) {
            int length = Math.min(random.nextInt(250), all.length - written);
            scrollBack.append(all, written, length);
            written += length;
            assertEquals(Math.max(0, written - 100), scrollBack.start());
            if (random.nextBoolean() && place < written) {
                byte[] bytes = new byte[1 + random.nextInt(80)];
                int count = reader.read(bytes);
                assertEquals(Math.max(0, scrollBack.start() - place), reader.missed());
                int from = (int) (place + reader.missed());
                assertArrayEquals(
                        Arrays.copyOfRange(all, from, from + count), Arrays.copyOf(bytes, count));
                place += reader.missed() + count;
            }
        }
        scrollBack.close();
        byte[] rest = new byte[200];
        while (place < written) {
            place += reader.read(rest) + reader.missed();
        }
        assertEquals(-1, reader.read(rest));
    }

    @Test
    void h129_theLogHasABoundAndKeepsTheNewest() throws Exception {
        Path file = dir.resolve("console.log");
        StringBuilder said = new StringBuilder();
        try (ConsoleLog log = new ConsoleLog(file, 1000)) {
            for (int i = 0; i < 500; i++) {
                String line = "line " + i + "\n";
                said.append(line);
                log.append(bytes(line), line.length());
            }
            log.append(new byte[5000], 5000); // more than both files in one piece
            log.append(bytes("end"), 3);
        }
        Path before = dir.resolve("console.log.1");
        assertTrue(Files.size(file) <= 1000);
        assertTrue(Files.size(before) <= 1000);
        assertTrue(Files.readString(file).endsWith("end"));
        try (ConsoleLog log = new ConsoleLog(file, 1000)) {
            assertTrue(new String(log.tail(3), StandardCharsets.US_ASCII).equals("end"));
            log.append(bytes("+"), 1);
        }
        assertTrue(Files.readString(file).endsWith("end+"));
    }

    @Test
    void aLogThatCannotBeWrittenIsGivenUp() throws Exception {
        ConsoleLog log = new ConsoleLog(dir.resolve("missing/console.log"), 1000);
        log.append(bytes("x"), 1);
        log.append(bytes("x"), 1);
        assertEquals(0, log.tail(10).length);
        log.close();
        assertFalse(Files.exists(dir.resolve("missing")));
    }

    @Test
    void h129_aGuestPrintsItsBurstAndThenItsRate() {
        long second = TimeUnit.SECONDS.toNanos(1);
        Pace bucket = new Pace(1000, second / 2, 0);
        assertEquals(0, bucket.take(500, 0));
        assertEquals(second / 10, bucket.take(100, 0));
        assertEquals(0, bucket.take(0, second / 10));
        assertEquals(0, bucket.take(500, 100 * second)); // no more than the burst is saved up
        assertEquals(second, bucket.take(1000, 100 * second));
    }
}
