package org.splitring.hypervisor.attached;

import io.netty.channel.IoEventLoop;
import io.netty.channel.IoHandlerFactory;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.util.concurrent.DefaultThreadFactory;
import io.netty.util.concurrent.EventExecutor;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/// The event loops of one process. Devices are spread over them and stay where they are.
public final class NettyDeviceLoops implements AutoCloseable {
    /// How long a poller looks on before it sleeps, where a processor is free for that: a few times
    /// the cost of being woken.
    public static final long DEFAULT_SPIN_NANOS = 30_000;

    private final Group group;
    private final List<NettyDeviceLoop> loops = new ArrayList<>();
    private final AtomicInteger next = new AtomicInteger();

    private static final class Group extends MultiThreadIoEventLoopGroup {
        Group(int threads, String name) {
            super(threads, new DefaultThreadFactory(name, true), EpollIoHandler.newFactory());
        }

        @Override
        protected IoEventLoop newChild(
                Executor executor, IoHandlerFactory ioHandlerFactory, Object... args) {
            return new FairIoEventLoop(this, executor, ioHandlerFactory);
        }
    }

    /// Loops that spin as [#DEFAULT_SPIN_NANOS] says, or not at all when the machine has one
    /// processor or fewer than there are loops.
    ///
    /// @param name of the threads
    public NettyDeviceLoops(String name, int count) {
        this(name, count, defaultSpinNanos(Runtime.getRuntime().availableProcessors(), count));
    }

    /// @param spinNanos what [NettyDeviceLoop#spinNanos] says; 0 for loops that never spin
    public NettyDeviceLoops(String name, int count, long spinNanos) {
        if (count < 1 || spinNanos < 0) {
            throw new IllegalArgumentException("loops " + count + " spinNanos " + spinNanos);
        }
        group = new Group(count, name);
        for (EventExecutor loop : group) {
            loops.add(new NettyDeviceLoop((FairIoEventLoop) loop, spinNanos));
        }
    }

    static long defaultSpinNanos(int processors, int loops) {
        return processors == 1 || loops > processors ? 0 : DEFAULT_SPIN_NANOS;
    }

    public int count() {
        return loops.size();
    }

    public NettyDeviceLoop loop(int index) {
        return loops.get(index);
    }

    /// The loop whose turn it is to get a new device.
    public NettyDeviceLoop next() {
        return loops.get(Math.floorMod(next.getAndIncrement(), loops.size()));
    }

    /// Ends the threads, after what is queued. Not from one of the loops.
    @Override
    public void close() {
        group.shutdownGracefully(0, 5, TimeUnit.SECONDS).syncUninterruptibly();
    }
}
