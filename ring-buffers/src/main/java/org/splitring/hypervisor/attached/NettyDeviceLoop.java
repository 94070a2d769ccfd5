package org.splitring.hypervisor.attached;

import io.netty.channel.IoEventLoop;
import io.netty.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.splitring.hypervisor.DescriptorLoop;

/// A device loop that is a Netty event loop on epoll: event channels, sockets and files that are
/// descriptors share one thread. Made by [NettyDeviceLoops].
public final class NettyDeviceLoop implements DescriptorLoop {
    private final FairIoEventLoop eventLoop;
    private final long spinNanos;

    NettyDeviceLoop(FairIoEventLoop eventLoop, long spinNanos) {
        this.eventLoop = eventLoop;
        this.spinNanos = spinNanos;
    }

    /// The event loop itself, for channels that should live on it too.
    public IoEventLoop eventLoop() {
        return eventLoop;
    }

    /// {@inheritDoc} From the loop itself: after the descriptors that are ready have been served.
    @Override
    public void execute(Runnable task) {
        if (eventLoop.inEventLoop()) {
            eventLoop.executeNextRound(task);
        } else {
            eventLoop.execute(task);
        }
    }

    @Override
    public FdWatch awaitReadable(int fd, Runnable onReady, Runnable onFailure) {
        return FdWatch.reading(this, fd, onReady, onFailure);
    }

    @Override
    public Runnable schedule(Runnable task, long delayNanos) {
        Future<?> scheduled = eventLoop.schedule(task, delayNanos, TimeUnit.NANOSECONDS);
        return () -> scheduled.cancel(false);
    }

    @Override
    public boolean inLoop() {
        return eventLoop.inEventLoop();
    }

    @Override
    public long nanoTime() {
        return System.nanoTime();
    }

    @Override
    public long spinNanos() {
        return spinNanos;
    }

    @Override
    public boolean isWanted() {
        return eventLoop.hasTasks();
    }
}
