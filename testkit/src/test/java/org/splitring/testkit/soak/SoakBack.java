package org.splitring.testkit.soak;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.SplittableRandom;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.RingWork;
import org.splitring.ring.BackRing;

/// Takes numbered requests, checks that none is missing or comes twice, and answers each once, in
/// random order and with random pauses. Lives on its loop.
final class SoakBack implements RingWork {
    private final BackRing ring;
    private final EventChannel channel;
    private final DeviceLoop loop;
    private final SplittableRandom random;
    private final MemorySegment copy = Arena.ofAuto().allocate(SoakEntry.BYTES, 8);
    private final Runnable resume = this::resume;
    private final long[] heldIds;
    private final long[] heldNumbers;
    private int held;

    private long taken;
    private long pauseAt;
    private boolean paused;
    private long kicks;
    private long pauses;

    SoakBack(BackRing ring, EventChannel channel, DeviceLoop loop, long seed) {
        this.ring = ring;
        this.channel = channel;
        this.loop = loop;
        random = new SplittableRandom(seed);
        heldIds = new long[ring.entries()];
        heldNumbers = new long[ring.entries()];
        pauseAt = 1000;
    }

    /// Counters, for after the end.
    String report() {
        return "requests=%d kicks=%d pauses=%d".formatted(taken, kicks, pauses);
    }

    @Override
    public int poll(int budget) {
        int n = Math.min(ring.unconsumedRequests(), budget);
        for (int i = 0; i < n; i++) {
            ring.copyRequest(copy);
            long number = SoakEntry.number(copy, SoakFront.REQUEST_KEY);
            if (number != taken) {
                throw new IllegalStateException(
                        "request " + number + " where " + taken + " was due");
            }
            taken++;
            heldIds[held] = SoakEntry.id(copy);
            heldNumbers[held] = number;
            held++;
        }
        if (taken >= pauseAt && !paused) {
            pauseAt = taken + 1 + random.nextInt(random.nextInt(8) == 0 ? 100 : 100_000);
            paused = true;
            pauses++;
            loop.schedule(resume, random.nextInt(10_000, 1_000_000));
        }
        answer();
        return n;
    }

    @Override
    public boolean finalCheck() {
        return ring.finalCheckForRequests();
    }

    private void answer() {
        if (paused || held == 0) {
            return;
        }
        while (held > 0) {
            int i = random.nextInt(held);
            SoakEntry.put(
                    ring.slot(ring.takeResponseIndex()),
                    heldIds[i],
                    heldNumbers[i],
                    SoakFront.RESPONSE_KEY);
            held--;
            heldIds[i] = heldIds[held];
            heldNumbers[i] = heldNumbers[held];
        }
        if (ring.pushResponsesAndCheckNotify()) {
            kicks++;
            channel.send();
        }
    }

    private void resume() {
        paused = false;
        answer();
    }
}
