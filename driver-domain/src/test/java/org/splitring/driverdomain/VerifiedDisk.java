package org.splitring.driverdomain;

import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;
import org.splitring.driverdomain.nbd.RawNbdClient;

/// A client that writes, reads and flushes a guest's disk over NBD without a pause, several
/// requests at a time, and believes nothing: each answer must be to a request that is outstanding,
/// each read must give what was last acknowledged, and [#broken] compares the image with the
/// history of all that was promised.
final class VerifiedDisk implements AutoCloseable {
    static final int BLOCK_SECTORS = 16;
    private static final int SECTOR = 512;
    private static final int BLOCK_BYTES = BLOCK_SECTORS * SECTOR;

    /// How many requests are under way at most.
    static final int DEPTH = 8;

    private static final int FLUSH = -1;

    /// Leaves a processor to those whose work is watched.
    private static final long PAUSE_NANOS = 300_000;

    private final String name;
    private final RawNbdClient client;
    private final long seed;
    private final int blocks;
    private final Random random;
    private final WriteHistory history = new WriteHistory();
    private final Map<Long, Request> outstanding = new HashMap<>();
    private final Set<Integer> busyBlocks = new HashSet<>();
    private final Map<Integer, Integer> versions = new HashMap<>();
    private final Thread thread;
    private long nextCookie = 1;
    private volatile boolean stopping;
    private volatile boolean mayEnd;
    private final AtomicInteger refused = new AtomicInteger();
    private volatile @Nullable String failure;
    private final AtomicLong answers = new AtomicLong();
    private volatile long lastAnswerNanos = System.nanoTime();
    private volatile long longestSilenceNanos;

    /// @param block of a read or write, or [#FLUSH]
    /// @param version that is written, 0 for a read
    private record Request(int block, int version) {}

    VerifiedDisk(String name, Path socket, int sizeMib, long seed) throws IOException {
        this.name = name;
        this.seed = seed;
        this.blocks = (sizeMib << 20) / BLOCK_BYTES;
        this.random = new Random(seed);
        client = new RawNbdClient(socket).go();
        thread = Thread.ofPlatform().daemon().name("client of " + name).start(this::run);
    }

    private void run() {
        try {
            while (!stopping || !outstanding.isEmpty()) {
                while (!stopping && outstanding.size() < DEPTH) {
                    ask();
                }
                if (!outstanding.isEmpty()) {
                    takeAnswer();
                }
                LockSupport.parkNanos(PAUSE_NANOS);
            }
        } catch (IOException e) {
            if (!mayEnd) {
                failure = e.toString();
            }
        } catch (RuntimeException e) {
            failure = e.toString();
        }
    }

    private void ask() throws IOException {
        long cookie = nextCookie++;
        if (random.nextInt(64) == 0) {
            history.note("F", Long.toString(cookie));
            outstanding.put(cookie, new Request(FLUSH, 0));
            client.flush(cookie);
            return;
        }
        int block = random.nextInt(blocks);
        while (!busyBlocks.add(block)) {
            block = random.nextInt(blocks);
        }
        if (random.nextInt(4) == 0) {
            outstanding.put(cookie, new Request(block, 0));
            client.askToRead(cookie, (long) block * BLOCK_BYTES, BLOCK_BYTES);
            return;
        }
        int version = versions.merge(block, 1, Integer::sum);
        history.note("W", Integer.toString(block), Integer.toString(version));
        outstanding.put(cookie, new Request(block, version));
        client.write(0, cookie, (long) block * BLOCK_BYTES, contents(block, version));
    }

    private byte[] contents(int block, int version) {
        byte[] bytes = new byte[BLOCK_BYTES];
        for (int s = 0; s < BLOCK_SECTORS; s++) {
            ByteBuffer sector = ByteBuffer.wrap(bytes, s * SECTOR, SECTOR).slice();
            WriteHistory.fill(sector, (long) block * BLOCK_SECTORS + s, version, seed);
        }
        return bytes;
    }

    private void takeAnswer() throws IOException {
        RawNbdClient.Reply reply = client.reply();
        Request request = outstanding.remove(reply.cookie());
        if (request == null) {
            throw new IOException("answered twice, or never asked: " + reply.cookie());
        }
        if (reply.error() != 0 && mayEnd) {
            refused.incrementAndGet(); // whether a write was done nobody knows: the history says so
            stopping = true;
            return;
        }
        if (reply.error() != 0) {
            throw new IOException("error " + reply.error() + " for " + request);
        }
        if (request.block == FLUSH) {
            history.note("f", Long.toString(reply.cookie()));
        } else {
            busyBlocks.remove(request.block);
            if (request.version == 0) {
                checkRead(request.block, client.read(BLOCK_BYTES));
            } else {
                history.note(
                        "w", Integer.toString(request.block), Integer.toString(request.version));
            }
        }
        long now = System.nanoTime();
        longestSilenceNanos = Math.max(longestSilenceNanos, now - lastAnswerNanos);
        lastAnswerNanos = now;
        answers.incrementAndGet();
    }

    private void checkRead(int block, ByteBuffer read) throws IOException {
        for (int s = 0; s < BLOCK_SECTORS; s++) {
            long sector = (long) block * BLOCK_SECTORS + s;
            ByteBuffer bytes = read.slice(s * SECTOR, SECTOR);
            int version = WriteHistory.version(bytes.order(ByteOrder.LITTLE_ENDIAN), sector, seed);
            if (version != history.answered(block)) {
                throw new IOException(
                        "sector "
                                + sector
                                + " reads as version "
                                + version
                                + ", acknowledged "
                                + history.answered(block));
            }
        }
    }

    /// From now on the disk may be taken away: then requests are refused, or the connection ends.
    void expectEnd() {
        mayEnd = true;
    }

    /// Waits until the disk has been taken away.
    ///
    /// @return how many requests were refused before the connection ended
    int awaitEnd() throws InterruptedException {
        thread.join(TimeUnit.SECONDS.toMillis(20));
        if (thread.isAlive()) {
            failure = "the connection neither ends nor goes on";
        }
        return refused.get();
    }

    /// How many requests have been answered.
    long answers() {
        return answers.get();
    }

    /// Waits until nothing has been answered for half a second, of a disk that stands still: what
    /// was answered before that still comes in.
    ///
    /// @return as [#answers]
    long answersAtRest() {
        AtomicLong last = new AtomicLong(-1);
        await("no answers while it stands still")
                .during(Duration.ofMillis(500))
                .atMost(LabUnderTest.PATIENCE)
                .until(
                        () -> {
                            long now = answers();
                            return last.getAndSet(now) == now;
                        });
        return last.get();
    }

    /// What has gone wrong so far.
    @Nullable String failure() {
        String what = failure;
        return what == null ? null : name + ": " + what;
    }

    /// The longest time without an answer since this was last asked, also one that lasts still.
    long takeLongestSilenceMillis() {
        long longest = Math.max(longestSilenceNanos, System.nanoTime() - lastAnswerNanos);
        longestSilenceNanos = 0;
        return TimeUnit.NANOSECONDS.toMillis(longest);
    }

    /// Waits for what is outstanding and hangs up.
    void finish() throws InterruptedException {
        stopping = true;
        thread.join(TimeUnit.SECONDS.toMillis(20));
        if (thread.isAlive() && failure == null) {
            failure = outstanding.size() + " requests are not answered";
        }
    }

    /// Every promise that the image does not keep, after [#finish].
    List<String> broken(Path image) throws IOException {
        return history.broken(image, seed, BLOCK_SECTORS);
    }

    @Override
    public void close() throws IOException {
        stopping = true;
        client.close();
    }
}
