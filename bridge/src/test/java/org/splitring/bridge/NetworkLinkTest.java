package org.splitring.bridge;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/// A cable between two networks on two loops.
class NetworkLinkTest {
    private static final int FRAMES = 200;

    private final ExecutorService oneLoop = Executors.newSingleThreadExecutor();
    private final ExecutorService twoLoop = Executors.newSingleThreadExecutor();
    private final VirtualNetwork one = network("one", oneLoop);
    private final VirtualNetwork two = network("two", twoLoop);
    private final List<byte[]> atOne = new CopyOnWriteArrayList<>();
    private final List<byte[]> atTwo = new CopyOnWriteArrayList<>();
    private JavaPort left;
    private JavaPort right;

    private static VirtualNetwork network(String name, ExecutorService loop) {
        return new VirtualNetwork(
                name, loop, System::nanoTime, new LearningSwitch(SwitchSettings.DEFAULT));
    }

    @BeforeEach
    void plugIn() {
        left = port(one, "left", atOne);
        right = port(two, "right", atTwo);
    }

    private static JavaPort port(VirtualNetwork network, String name, List<byte[]> into) {
        return CompletableFuture.supplyAsync(
                        () ->
                                JavaPort.attach(
                                        network,
                                        PortSettings.of(name),
                                        PortCapabilities.plain(1500),
                                        (frame, checksum) -> into.add(frame)),
                        network.loop())
                .join();
    }

    @AfterEach
    void stop() {
        oneLoop.shutdownNow();
        twoLoop.shutdownNow();
    }

    /// From `from` to everybody, numbered.
    private static byte[] frame(int from, int number) {
        byte[] frame = new byte[64];
        for (int i = 0; i < 6; i++) {
            frame[i] = -1;
        }
        frame[6] = 2;
        frame[11] = (byte) from;
        frame[12] = 0x08;
        frame[20] = (byte) (number >> 8);
        frame[21] = (byte) number;
        return frame;
    }

    @Test
    void framesPassBothWaysInTheirOrder() {
        try (NetworkLink link =
                NetworkLink.connect(
                        one, PortSettings.of("two"), two, PortSettings.of("one"), 1500)) {
            for (int i = 0; i < FRAMES; i++) {
                assertTrue(left.send(frame(1, i)));
                assertTrue(right.send(frame(2, i)));
            }
            await().atMost(Duration.ofSeconds(10))
                    .until(() -> atOne.size() == FRAMES && atTwo.size() == FRAMES);
            for (int i = 0; i < FRAMES; i++) {
                assertArrayEquals(frame(2, i), atOne.get(i));
                assertArrayEquals(frame(1, i), atTwo.get(i));
            }
            assertEquals(0, link.dropped());
        }
        assertEquals(List.of("left"), names(one));
        assertEquals(List.of("right"), names(two));
    }

    private static List<String> names(VirtualNetwork network) {
        return CompletableFuture.supplyAsync(
                        () -> network.ports().stream().map(PortLink::toString).toList(),
                        network.loop())
                .join();
    }

    @Test
    void aCableThatDoesNotFitAtOneEndIsInNeither() {
        CompletionException refused =
                assertThrows(
                        CompletionException.class,
                        () ->
                                NetworkLink.connect(
                                        one,
                                        PortSettings.of("two"),
                                        two,
                                        PortSettings.of("right"),
                                        1500));
        assertTrue(
                String.valueOf(refused.getMessage()).contains("has a port right already"),
                refused::toString);
        assertEquals(List.of("left"), names(one));
    }
}
