package org.splitring.bridge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class LoopCrossingTest {
    private static final int QUEUE = 256 * 1024;

    @Test
    void framesAndWhatIsKnownOfThemPassAQueueThatWraps() {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("LoopCrossingTest seed " + seed);
        Random random = new Random(seed);
        FrameQueue queue = new FrameQueue(QUEUE);
        ArrayDeque<byte[]> model = new ArrayDeque<>();
        Frame frame = new Frame();
        int refused = 0;
        for (int step = 0; step < 5000; step++) {
            if (random.nextInt(100) < 55) {
                byte[] payload = new byte[random.nextInt(random.nextInt(4) == 0 ? 60_000 : 2000)];
                random.nextBytes(payload);
                byte[] bytes =
                        Packets.join(
                                Packets.ethernet(Lab.mac(1), Lab.mac(2), 0x800),
                                Packets.ipv4(
                                        "10.0.0.1",
                                        "10.0.0.2",
                                        6,
                                        Packets.tcp(1, 2, 0, 0, payload, 0),
                                        0));
                Lab.fill(frame, bytes);
                assertTrue(frame.partialChecksum(34, 16));
                frame.flowHash(bytes.length, 4);
                if (queue.offer(frame)) {
                    model.add(bytes);
                } else {
                    refused++;
                    assertTrue(model.stream().mapToInt(b -> b.length).sum() > QUEUE / 4);
                }
                queue.publish();
            } else {
                Frame next = queue.next();
                assertEquals(model.isEmpty(), next == null, "seed " + seed);
                if (next != null) {
                    byte[] expected = model.remove();
                    byte[] got = new byte[next.sizeBytes()];
                    next.copyTo(MemorySegment.ofArray(got), 0, 0, got.length);
                    assertArrayEquals(expected, got, "seed " + seed);
                    assertEquals(ChecksumState.PARTIAL, next.checksumState());
                    assertEquals(34, next.checksumStart());
                    assertEquals(expected.length, next.flowHash());
                    queue.free();
                }
            }
        }
        assertTrue(refused > 0, "seed " + seed);
    }

    @Test
    void whatIsNotPublishedIsNotSeen() {
        FrameQueue queue = new FrameQueue(QUEUE);
        Frame frame = new Frame();
        Lab.fill(frame, new byte[60]);
        assertTrue(queue.offer(frame));
        assertTrue(queue.isEmpty());
        queue.publish();
        assertFalse(queue.isEmpty());
    }

    /// A device on a thread of its own that sends everything back: all frames, in order, both
    /// ways.
    @Test
    void aDeviceOnAnotherThreadKeepsTheOrder() throws Exception {
        Lab lab = new Lab(new LearningSwitch(SwitchSettings.DEFAULT));
        Lab.Port here = lab.port("here");
        int frames = 50_000;
        AtomicLong seen = new AtomicLong();
        AtomicLong wrong = new AtomicLong();
        try (ExecutorService loop = Executors.newSingleThreadExecutor()) {
            FramePort device =
                    new FramePort() {
                        @Override
                        public boolean offer(Frame frame) {
                            if (frame.i32(14) != seen.get()) {
                                wrong.incrementAndGet();
                            }
                            seen.incrementAndGet();
                            return true;
                        }

                        @Override
                        public void flush() {}
                    };
            LoopCrossing crossing =
                    LoopCrossing.attach(
                            lab.network,
                            PortSettings.of("far"),
                            PortCapabilities.everything(1500),
                            loop,
                            device,
                            QUEUE);
            byte[] bytes = Lab.frame(Lab.mac(2), Lab.mac(1), 200);
            for (int i = 0; i < frames; ) {
                Lab.fill(here.frame, bytes);
                here.frame.putI32(14, i);
                long before = crossing.link().counters().get(PortCounter.OUT_FRAMES);
                here.sendFrame();
                if (crossing.link().counters().get(PortCounter.OUT_FRAMES) > before) {
                    i++;
                } else {
                    Thread.onSpinWait(); // full: the device is behind
                }
            }
            loop.submit(
                            () -> {
                                Frame frame = new Frame();
                                for (int i = 0; i < 100; i++) {
                                    Lab.fill(frame, Lab.frame(Lab.mac(1), Lab.mac(2), 100 + i));
                                    crossing.deviceSink().receive(frame);
                                }
                                crossing.deviceSink().endBatch();
                            })
                    .get();
            while (seen.get() < frames) {
                Thread.onSpinWait();
            }
            assertEquals(0, wrong.get());
            lab.run();
            assertEquals(100, here.got.size());
            for (int i = 0; i < 100; i++) {
                assertEquals(100 + i, here.got.get(i).bytes().length);
            }
            assertEquals(0, crossing.droppedFromDevice());
        }
    }
}
