package org.splitring.benchmarks.stress;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.splitring.hypervisor.attached.NettyDeviceLoops;

/// The receiving half of a stream finds what is wrong with frames.
final class FrameStreamTest {
    private static final int SIZE = 200;
    private static final NettyDeviceLoops LOOPS = new NettyDeviceLoops("test", 1, 0);

    private final RunEnd end = new RunEnd();
    private final StressFrame frame = new StressFrame(SIZE);
    private final FrameStream stream =
            new FrameStream(
                    0,
                    new NetGuest(1, SIZE),
                    new NetGuest(2, SIZE),
                    0,
                    new FrameStream.Settings(SIZE, 8, true),
                    new LoopPacer(LOOPS.loop(0)),
                    new KindLog(false),
                    null);

    @AfterAll
    static void close() {
        LOOPS.close();
    }

    @BeforeEach
    void expect() {
        frame.address(1, 2, SIZE);
        stream.expect(1, end);
    }

    private void receive(int epoch, long number) {
        frame.number(epoch, 0, number, 1, 1, true);
        stream.received(frame, 2);
        stream.batchEnd();
    }

    @Test
    void framesOfThisRunAreCounted() {
        receive(1, 0);
        receive(1, 1);
        receive(9, 2); // of another one
        assertEquals(2, stream.received());
        assertTrue(end.failure().isEmpty(), () -> end.failure().orElse("?"));
    }

    @Test
    void everyBitOfAFrameCounts() {
        frame.number(1, 0, 0, 1, 1, true);
        for (long at = 0; at < SIZE; at++) {
            byte was = frame.bytes().get(ValueLayout.JAVA_BYTE, at);
            frame.bytes().set(ValueLayout.JAVA_BYTE, at, (byte) (was ^ 1 << at % 8));
            assertTrue(!frame.isIntact(), "byte " + at);
            frame.bytes().set(ValueLayout.JAVA_BYTE, at, was);
        }
        assertTrue(frame.isIntact());
    }

    @Test
    void aDamagedFrameEndsTheRun() {
        frame.number(1, 0, 5, 1, 1, true);
        frame.bytes().set(ValueLayout.JAVA_BYTE, 150, (byte) 0x5A);
        stream.received(frame, 2);
        String message = end.failure().orElseThrow();
        assertTrue(
                message.matches(
                        "guest 2: frame 5 from guest 1 says checksum 0x\\w+, and its 200 bytes have"
                                + " 0x\\w+"),
                message);
    }

    @Test
    void aFrameOfAnotherSizeEndsTheRun() {
        StressFrame shorter = new StressFrame(SIZE);
        shorter.address(1, 2, SIZE - 1);
        shorter.number(1, 0, 5, 1, 1, true);
        stream.received(shorter, 2);
        assertTrue(end.failure().orElseThrow().contains("has 199 bytes instead of 200"));
    }

    @Test
    void aFrameThatComesTwiceEndsTheRun() {
        receive(1, 0);
        receive(1, 0);
        assertEquals("guest 2: frame 0 from guest 1 has come twice", end.failure().orElseThrow());
        assertEquals(1, stream.window().duplicated());
    }
}
