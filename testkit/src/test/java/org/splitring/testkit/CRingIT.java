package org.splitring.testkit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.io.IOException;
import java.io.OutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.splitring.ring.BackRing;
import org.splitring.ring.FrontRing;

/// Our ring halves against Xen's own macros in a C process, over a file that both map, with the
/// doorbells on the process's standard streams. Whole entries are compared, every one is numbered,
/// and both sides sleep by the event rules: a lost event ends in the C side's watchdog.
@Timeout(60)
class CRingIT {
    private static final int PAGE = 4096;
    private static final ValueLayout.OfInt U32 = ValueLayout.JAVA_INT;
    private static final Pattern REPORT =
            Pattern.compile("ok done=(\\d+) sleeps=(\\d+) kicks=(\\d+)");

    // blkif_request fields by offset, as the C side has them for x86_64.
    private static final int REQUEST_BYTES = 112;
    private static final int READ = 0;
    private static final int WRITE = 1;
    private static final int FLUSH = 3;

    @TempDir Path folder;

    @ParameterizedTest(name = "{0} bytes, {1} pages, from {2}")
    @CsvSource({
        "112, 1, 0xFFFFFFFE, 100000",
        "112, 16, 0xFFFFFF00, 100000",
        "108, 1, 0xFFFFFFF0, 60000",
        "108, 4, 0xFFFFFFFE, 60000",
        "12, 1, 0xFFFFFFFE, 100000",
        "12, 2, 0x7FFFFFF0, 100000",
        "8, 1, 0xFFFFFFF0, 100000",
        "8, 8, 0, 100000",
    })
    void frontRingAgreesWithABackendInC(int entry, int pages, String first, int count)
            throws Exception {
        try (Peer peer = new Peer("back", entry, pages, decode(first), count, 0)) {
            FrontRing ring = FrontRing.attach(peer.ring, entry, peer.first);
            MemorySegment response = peer.arena.allocate(entry, 8);
            Random random = new Random(peer.seed);
            // The first requests stand before the C side does, so that we surely sleep once.
            int sent =
                    putEntries(peer, ring, 0, Math.min(count, 1 + random.nextInt(ring.entries())));
            assertTrue(ring.pushRequestsAndCheckNotify());
            assertFalse(ring.finalCheckForResponses());
            peer.start();
            peer.awaitEvent();
            int done = checkEntries(peer, ring, response, 0);
            while (done < count) {
                int batch = Math.min(count - sent, 1 + random.nextInt(ring.entries()));
                sent += putEntries(peer, ring, sent, batch);
                if (ring.pushRequestsAndCheckNotify()) {
                    peer.kick();
                }
                if (!ring.finalCheckForResponses()) {
                    peer.awaitEvent();
                }
                done += checkEntries(peer, ring, response, done);
            }
            assertEquals(0, ring.outstandingRequests());
            peer.assertFinishedWithSleeps();
        }
    }

    @ParameterizedTest(name = "{0} bytes, {1} pages, from {2}")
    @CsvSource({
        "112, 1, 0xFFFFFFFE, 100000",
        "112, 16, 0xFFFFFF00, 100000",
        "108, 1, 0xFFFFFFF0, 60000",
        "108, 4, 0xFFFFFFFE, 60000",
        "12, 1, 0xFFFFFFFE, 100000",
        "12, 2, 0x7FFFFFF0, 100000",
        "8, 1, 0xFFFFFFF0, 100000",
        "8, 8, 0, 100000",
    })
    void backRingAgreesWithAFrontendInC(int entry, int pages, String first, int count)
            throws Exception {
        try (Peer peer = new Peer("front", entry, pages, decode(first), count, 0)) {
            BackRing ring = BackRing.attach(peer.ring, entry, peer.first);
            peer.start();
            MemorySegment request = peer.arena.allocate(entry, 8);
            int done = 0;
            int pause = 0;
            while (done < count) {
                if (done >= pause) {
                    peer.letItSleep();
                    pause += count / 20;
                }
                for (int n = ring.unconsumedRequests(); n > 0; n--) {
                    ring.copyRequest(request);
                    int pattern = (int) mix(peer.seed + done);
                    assertEquals(done, request.get(U32, 0));
                    for (int i = 1; i < entry / 4; i++) {
                        assertEquals(pattern + i, request.get(U32, 4L * i));
                    }
                    MemorySegment slot = ring.slot(ring.takeResponseIndex());
                    for (int i = 0; i < entry / 4; i++) {
                        slot.set(U32, 4L * i, ~request.get(U32, 4L * i));
                    }
                    done++;
                }
                if (ring.pushResponsesAndCheckNotify()) {
                    peer.kick();
                }
                if (done < count && !ring.finalCheckForRequests()) {
                    peer.awaitEvent();
                }
            }
            peer.assertFinishedWithSleeps();
        }
    }

    /// Our frontend half writes blkif requests by the book, a C backend with Xen's structures
    /// serves them from its own disk, and everything is read back.
    @ParameterizedTest(name = "{0} pages, from {1}")
    @CsvSource({"1, 0xFFFFFFFE", "4, 0xFFFFFFF0", "16, 0"})
    void blockRequestsAreServedByABackendInC(int pages, String first) throws Exception {
        int blocks = 512;
        int segments = 2;
        int count = 2 * blocks + 1;
        try (Peer peer =
                new Peer("blkback", REQUEST_BYTES, pages, decode(first), count, 32 * segments)) {
            FrontRing ring = FrontRing.attach(peer.ring, REQUEST_BYTES, peer.first);
            peer.start();
            for (int block = 0; block < blocks; block += 32) {
                for (int i = 0; i < 32; i++) {
                    peer.fillData(i * segments, segments, block + i);
                    putRequest(ring, WRITE, block + i, i * segments, segments);
                }
                exchange(peer, ring, 32);
            }
            putRequest(ring, FLUSH, 0, 0, 0);
            exchange(peer, ring, 1);
            for (int block = 0; block < blocks; block += 32) {
                peer.data.fill((byte) 0x77);
                for (int i = 0; i < 32; i++) {
                    putRequest(ring, READ, block + i, i * segments, segments);
                }
                exchange(peer, ring, 32);
                for (int i = 0; i < 32; i++) {
                    peer.checkData(i * segments, segments, block + i);
                }
            }
            peer.assertFinished();
        }
    }

    /// A request that the C side's header finds out of range is answered with an error, which
    /// shows that both mean the same fields.
    @Test
    void aRequestOutOfRangeIsAnsweredWithAnErrorByTheBackendInC() throws Exception {
        try (Peer peer = new Peer("blkback", REQUEST_BYTES, 1, 0, 1, 2)) {
            FrontRing ring = FrontRing.attach(peer.ring, REQUEST_BYTES, 0);
            peer.start();
            putRequest(ring, WRITE, 4096, 0, 1); // the disk has 8192 sectors
            assertTrue(ring.pushRequestsAndCheckNotify());
            peer.kick();
            assertEquals(-1, takeStatus(peer, ring));
            peer.assertFinished();
        }
    }

    /// Puts numbered requests until the ring is full, up to `batch`, and says how many.
    private static int putEntries(Peer peer, FrontRing ring, int sent, int batch) {
        int put = 0;
        for (; put < batch && !ring.isFull(); put++) {
            MemorySegment slot = ring.slot(ring.takeRequestIndex());
            int pattern = (int) mix(peer.seed + sent + put);
            slot.set(U32, 0, sent + put);
            for (int i = 1; i < slot.byteSize() / 4; i++) {
                slot.set(U32, 4L * i, pattern + i);
            }
        }
        return put;
    }

    /// Compares the responses that are there, from number `done` on, and says how many.
    private static int checkEntries(Peer peer, FrontRing ring, MemorySegment response, int done) {
        int responses = ring.unconsumedResponses();
        for (int n = 0; n < responses; n++) {
            ring.copyResponse(response);
            int pattern = (int) mix(peer.seed + done + n);
            assertEquals(~(done + n), response.get(U32, 0));
            for (int i = 1; i < response.byteSize() / 4; i++) {
                assertEquals(~(pattern + i), response.get(U32, 4L * i));
            }
        }
        return responses;
    }

    private static void putRequest(FrontRing ring, int op, int block, int gref, int segments) {
        MemorySegment slot = ring.slot(ring.takeRequestIndex());
        slot.fill((byte) 0);
        slot.set(ValueLayout.JAVA_BYTE, 0, (byte) op);
        slot.set(ValueLayout.JAVA_BYTE, 1, (byte) segments);
        slot.set(ValueLayout.JAVA_LONG, 8, block);
        slot.set(ValueLayout.JAVA_LONG, 16, (long) block * Math.max(segments, 2) * 8);
        for (int i = 0; i < segments; i++) {
            slot.set(U32, 24 + 8L * i, gref + i);
            slot.set(ValueLayout.JAVA_BYTE, 29 + 8L * i, (byte) 7);
        }
    }

    private static void exchange(Peer peer, FrontRing ring, int count) throws IOException {
        if (ring.pushRequestsAndCheckNotify()) {
            peer.kick();
        }
        for (int i = 0; i < count; i++) {
            assertEquals(0, takeStatus(peer, ring));
        }
    }

    private static int takeStatus(Peer peer, FrontRing ring) throws IOException {
        MemorySegment response = peer.arena.allocate(REQUEST_BYTES, 8);
        while (!ring.finalCheckForResponses()) {
            peer.awaitEvent();
        }
        ring.copyResponse(response);
        return response.get(ValueLayout.JAVA_SHORT, 10);
    }

    private static int decode(String text) {
        return Long.decode(text).intValue();
    }

    private static long mix(long seed) {
        long x = seed + 0x9E3779B97F4A7C15L;
        x = (x ^ (x >>> 30)) * 0xBF58476D1CE4E5B9L;
        x = (x ^ (x >>> 27)) * 0x94D049BB133111EBL;
        return x ^ (x >>> 31);
    }

    /// The C process, the file shared with it, and the doorbells.
    private final class Peer implements AutoCloseable {
        final Arena arena = Arena.ofShared();
        final long seed = System.nanoTime() >>> 8;
        final int first;
        final MemorySegment ring;
        final MemorySegment data;
        private final ProcessBuilder program;
        private @Nullable Process process;
        private final byte[] eventBytes = new byte[256];
        private final int count;
        private long sleeps;

        Peer(String half, int entry, int pages, int first, int count, int dataPages)
                throws IOException {
            Path file = folder.resolve("ring");
            this.first = first;
            this.count = count;
            System.out.printf("%s, %d bytes, %d pages: seed %d%n", half, entry, pages, seed);
            try (FileChannel channel =
                    FileChannel.open(
                            file,
                            StandardOpenOption.CREATE,
                            StandardOpenOption.READ,
                            StandardOpenOption.WRITE)) {
                MemorySegment all =
                        channel.map(
                                FileChannel.MapMode.READ_WRITE,
                                0,
                                (long) (pages + dataPages) * PAGE,
                                arena);
                ring = all.asSlice(0, (long) pages * PAGE);
                data = all.asSlice((long) pages * PAGE);
            }
            // As if both halves had come this far: producers at `first`, events one ahead.
            ring.set(U32, 0, first);
            ring.set(U32, 4, first + 1);
            ring.set(U32, 8, first);
            ring.set(U32, 12, first + 1);
            program =
                    new ProcessBuilder(
                            CPrograms.ring().toString(),
                            half,
                            file.toString(),
                            Integer.toString(entry),
                            Integer.toString(pages),
                            Integer.toUnsignedString(first),
                            Integer.toString(count),
                            Long.toString(seed));
        }

        void start() throws IOException {
            process = program.start();
        }

        private Process running() {
            return Objects.requireNonNull(process, "the C side has not been started");
        }

        void kick() throws IOException {
            OutputStream kicks = running().getOutputStream();
            kicks.write('!');
            kicks.flush();
        }

        void awaitEvent() throws IOException {
            sleeps++;
            if (running().getInputStream().read(eventBytes) < 0) {
                fail("the C side ended early: " + errors());
            }
        }

        /// So long that the C side has nothing to do and waits for us: when it is then woken, our
        /// look for more comes before it has any, and it is for us to sleep. Without this a C
        /// side that is never interrupted can keep the ring filled to the end.
        void letItSleep() {
            LockSupport.parkNanos(2_000_000);
        }

        void fillData(int page, int pages, int block) {
            for (long at = 0; at < (long) pages * PAGE; at += 8) {
                data.set(ValueLayout.JAVA_LONG, (long) page * PAGE + at, mix(seed + block) + at);
            }
        }

        void checkData(int page, int pages, int block) {
            for (long at = 0; at < (long) pages * PAGE; at += 8) {
                assertEquals(
                        mix(seed + block) + at,
                        data.get(ValueLayout.JAVA_LONG, (long) page * PAGE + at),
                        "block " + block + " at " + at);
            }
        }

        String errors() throws IOException {
            return new String(running().getErrorStream().readAllBytes(), StandardCharsets.UTF_8)
                    .trim();
        }

        Matcher assertFinished() throws Exception {
            assertTrue(running().waitFor(10, TimeUnit.SECONDS), "the C side does not end");
            String said = errors();
            Matcher report = REPORT.matcher(said);
            assertTrue(report.matches(), "exit " + running().exitValue() + ": " + said);
            assertEquals(Integer.toString(count), report.group(1));
            return report;
        }

        void assertFinishedWithSleeps() throws Exception {
            Matcher report = assertFinished();
            assertTrue(Long.parseLong(report.group(2)) > 0, "the C side never slept");
            assertTrue(sleeps > 0, "the Java side never slept");
        }

        @Override
        public void close() {
            if (process != null) {
                process.destroyForcibly().onExit().join();
            }
            arena.close();
        }
    }
}
