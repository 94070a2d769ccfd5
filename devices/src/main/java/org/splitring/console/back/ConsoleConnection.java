package org.splitring.console.back;

import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.Pace;
import org.splitring.wire.ConsoleRingLayout;
import org.splitring.xenbus.BackendHooks;
import org.splitring.xenbus.RingViews;
import org.splitring.xenbus.device.StreamRing;

/// A guest that is connected: its page, and the thread that takes what it prints.
final class ConsoleConnection implements BackendHooks.Connection {
    private final ForeignPages pages;
    private final MemorySegment page;
    private final StreamRing ring;
    private final GuestConsole console;
    private final CompletableFuture<Void> ended = new CompletableFuture<>();
    private final byte[] bytes = new byte[ConsoleRingLayout.OUT_SIZE_BYTES];
    private final MemorySegment view = MemorySegment.ofArray(bytes);

    ConsoleConnection(
            ForeignPages pages, MemorySegment page, StreamRing ring, GuestConsole console) {
        this.pages = pages;
        this.page = page;
        this.ring = ring;
        this.console = console;
    }

    /// Shows from now on what the guest prints.
    void start() {
        console.connected(ring);
        Thread.ofVirtual().name("console of " + pages.frontend()).start(this::run);
    }

    private void run() {
        Pace allowed =
                new Pace(
                        GuestConsole.BYTES_PER_SECOND, GuestConsole.BURST_NANOS, System.nanoTime());
        try {
            while (true) {
                ring.awaitReadable();
                int count = takeAndPrint();
                if (count == StreamRing.CLOSED) {
                    return;
                }
                long waitNanos = allowed.take(count, System.nanoTime());
                if (waitNanos > 0) {
                    ring.pause(waitNanos);
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            ended.complete(null);
        }
    }

    private synchronized int takeAndPrint() {
        int count = ring.readNow(view, 0, bytes.length);
        if (count > 0) {
            console.print(bytes, count);
        }
        return count;
    }

    @Override
    public CompletableFuture<RingViews> rings(Executor executor) {
        return CompletableFuture.completedFuture(
                new RingViews(List.of(), ring.view("console").stream().toList()));
    }

    /// Takes the guest's last words first, as many as the page holds.
    @Override
    public void close(Executor executor, Runnable closed) {
        console.connected(null);
        takeAndPrint();
        ring.close();
        var ignored =
                ended.thenRunAsync(
                        () -> {
                            pages.unmapContiguous(page);
                            pages.close();
                            closed.run();
                        },
                        executor);
    }
}
