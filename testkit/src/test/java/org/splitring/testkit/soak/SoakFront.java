package org.splitring.testkit.soak;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.RingWork;
import org.splitring.ring.FrontRing;

/// Sends numbered requests in random batches with random pauses, and checks that each is answered
/// exactly once. A watchdog counts ticks of its own loop, so a process that was stopped does not
/// count as hung. Lives on its loop.
final class SoakFront implements RingWork {
    static final long REQUEST_KEY = 0x5EED_0001;
    static final long RESPONSE_KEY = 0x5EED_0002;

    private static final long TICK_NANOS = 100_000_000;
    private static final int HUNG_TICKS = 30;
    private static final long FREE = -1;

    private final FrontRing ring;
    private final EventChannel channel;
    private final DeviceLoop loop;
    private final SplittableRandom random;
    private final long count;
    private final CompletableFuture<Void> done = new CompletableFuture<>();
    private final MemorySegment copy = Arena.ofAuto().allocate(SoakEntry.BYTES, 8);
    private final Runnable resume = this::resume;
    private final long[] numberOf;
    private final int[] freeIds;
    private int freeCount;

    private long sent;
    private long answered;
    private long pauseAt;
    private boolean paused;
    private long kicks;
    private long pauses;
    private long answeredAtTick;
    private int idleTicks;

    SoakFront(FrontRing ring, EventChannel channel, DeviceLoop loop, long count, long seed) {
        this.ring = ring;
        this.channel = channel;
        this.loop = loop;
        this.count = count;
        random = new SplittableRandom(seed);
        numberOf = new long[ring.entries()];
        freeIds = new int[ring.entries()];
        for (int id = 0; id < numberOf.length; id++) {
            numberOf[id] = FREE;
            freeIds[freeCount++] = id;
        }
    }

    /// Ends when every request is answered, or with what went wrong.
    CompletableFuture<Void> done() {
        return done;
    }

    /// Counters, for after the end.
    String report() {
        return "requests=%d kicks=%d pauses=%d".formatted(answered, kicks, pauses);
    }

    void start() {
        refill();
        tick();
    }

    @Override
    public int poll(int budget) {
        int n = Math.min(ring.unconsumedResponses(), budget);
        for (int i = 0; i < n; i++) {
            ring.copyResponse(copy);
            long number = SoakEntry.number(copy, RESPONSE_KEY);
            long id = SoakEntry.id(copy);
            if (id < 0 || id >= numberOf.length || numberOf[(int) id] != number) {
                throw new IllegalStateException(
                        "response id " + id + " number " + number + " is not outstanding");
            }
            numberOf[(int) id] = FREE;
            freeIds[freeCount++] = (int) id;
        }
        answered += n;
        if (answered == count) {
            done.complete(null);
        } else {
            refill();
        }
        return n;
    }

    @Override
    public boolean finalCheck() {
        return ring.finalCheckForResponses();
    }

    private void refill() {
        if (paused || sent == count) {
            return;
        }
        if (sent >= pauseAt) {
            pauseAt = sent + 1 + random.nextInt(random.nextInt(8) == 0 ? 100 : 100_000);
            if (sent > 0) {
                paused = true;
                pauses++;
                loop.schedule(resume, random.nextInt(10_000, 1_000_000));
                return;
            }
        }
        int batch = 1 + random.nextInt(ring.entries());
        while (batch-- > 0 && !ring.isFull() && sent < count) {
            int id = freeIds[--freeCount];
            numberOf[id] = sent;
            SoakEntry.put(ring.slot(ring.takeRequestIndex()), id, sent, REQUEST_KEY);
            sent++;
        }
        if (ring.pushRequestsAndCheckNotify()) {
            kicks++;
            channel.send();
        }
    }

    private void resume() {
        paused = false;
        refill();
    }

    private void tick() {
        boolean idle = answered == answeredAtTick && sent > answered;
        answeredAtTick = answered;
        idleTicks = idle ? idleTicks + 1 : 0;
        if (idleTicks == HUNG_TICKS) {
            done.completeExceptionally(
                    new IllegalStateException(
                            "hung: sent " + sent + " answered " + answered + " " + ring));
        }
        if (!done.isDone()) {
            loop.schedule(this::tick, TICK_NANOS);
        }
    }
}
