package org.splitring.hypervisor.attached;

import io.netty.channel.IoEvent;
import io.netty.channel.IoRegistration;
import io.netty.channel.epoll.EpollIoHandle;
import io.netty.channel.epoll.EpollIoOps;
import io.netty.channel.unix.FileDescriptor;
import io.netty.util.concurrent.Future;
import java.util.concurrent.RejectedExecutionException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DescriptorLoop;

/// Waits for one descriptor on a loop, edge-triggered. State is the loop's own.
///
/// What Netty does not forgive is dealt with here: a handle that throws stops the whole loop for a
/// second and loses events of others; a registration is found by its descriptor number, so it ends
/// before the number goes back to the kernel; and there is no pausing but cancelling.
public final class FdWatch implements EpollIoHandle, DescriptorLoop.Waiting {
    private static final Logger LOG = LoggerFactory.getLogger(FdWatch.class);

    private final NettyDeviceLoop loop;
    private final FileDescriptor fd;
    private EpollIoOps ops;
    private final Runnable onReady;
    private final Runnable onFailure;
    private @Nullable IoRegistration registration;
    private boolean stopped;

    private FdWatch(
            NettyDeviceLoop loop, int fd, EpollIoOps ops, Runnable onReady, Runnable onFailure) {
        this.loop = loop;
        this.fd = new FileDescriptor(fd);
        this.ops = ops.with(EpollIoOps.EPOLLET);
        this.onReady = onReady;
        this.onFailure = onFailure;
    }

    /// Starts to wait for something to read; as [#start].
    public static FdWatch reading(
            NettyDeviceLoop loop, int fd, Runnable onReady, Runnable onFailure) {
        return start(loop, fd, EpollIoOps.EPOLLIN, onReady, onFailure);
    }

    /// Starts waiting. Any thread. The descriptor stays the caller's, who closes it in the task
    /// that he gives to [#stop].
    ///
    /// @param ops what to wait for
    /// @param onReady runs on the loop; also once at the start when the descriptor is ready then
    /// @param onFailure runs on the loop, instead of any further `onReady`, when waiting is
    ///     impossible or `onReady` has thrown; the descriptor is not watched any more then
    static FdWatch start(
            NettyDeviceLoop loop, int fd, EpollIoOps ops, Runnable onReady, Runnable onFailure) {
        FdWatch watch = new FdWatch(loop, fd, ops, onReady, onFailure);
        if (loop.inLoop()) {
            watch.resume();
        } else {
            loop.eventLoop().execute(watch::resume);
        }
        return watch;
    }

    /// Says whether `onReady` is to run for room to write too; at first it is not, unless it was
    /// started so. On the loop.
    public void awaitRoom(boolean on) {
        ops = on ? ops.with(EpollIoOps.EPOLLOUT) : ops.without(EpollIoOps.EPOLLOUT);
        IoRegistration now = registration;
        if (now != null) {
            try {
                now.submit(ops);
            } catch (Throwable t) {
                fail(t);
            }
        }
    }

    /// Stops waiting for a while. On the loop.
    void pause() {
        IoRegistration now = registration;
        registration = null;
        if (now != null) {
            now.cancel();
        }
    }

    /// Waits again; what happened meanwhile is noticed. On the loop.
    void resume() {
        if (stopped || registration != null) {
            return;
        }
        try {
            Future<IoRegistration> future = loop.eventLoop().register(this);
            if (!future.isSuccess()) { // on the loop it is done at once
                throw new IllegalStateException("not registered", future.cause());
            }
            IoRegistration made = future.getNow();
            registration = made;
            made.submit(ops);
        } catch (Throwable t) {
            fail(t);
        }
    }

    /// {@inheritDoc} Also when the loop has ended.
    @Override
    public void stop(Runnable afterwards) {
        if (loop.inLoop()) {
            stopNow(afterwards);
            return;
        }
        try {
            loop.eventLoop().execute(() -> stopNow(afterwards));
        } catch (RejectedExecutionException e) {
            afterwards.run(); // the loop is gone and its epoll descriptor with it
        }
    }

    private void stopNow(Runnable afterwards) {
        stopped = true;
        pause();
        afterwards.run();
    }

    boolean isStopped() {
        return stopped;
    }

    @Override
    public FileDescriptor fd() {
        return fd;
    }

    @Override
    public void handle(IoRegistration from, IoEvent event) {
        if (stopped) {
            return;
        }
        try {
            onReady.run();
        } catch (Throwable t) {
            fail(t);
        }
    }

    private void fail(Throwable cause) {
        stopped = true;
        pause();
        LOG.warn("descriptor {} is not served any more", fd.intValue(), cause);
        try {
            onFailure.run();
        } catch (Throwable t) {
            LOG.error("cannot even report it", t);
        }
    }

    /// Called when the loop shuts down; the descriptor is not ours.
    @Override
    public void close() {}
}
