package org.splitring.hypervisor.attached;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.netty.channel.IoEventLoop;
import io.netty.channel.IoHandle;
import io.netty.channel.IoHandler;
import io.netty.channel.IoHandlerContext;
import io.netty.channel.IoHandlerFactory;
import io.netty.channel.IoRegistration;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.util.concurrent.ThreadAwareExecutor;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class FairIoEventLoopTest {
    private static final int ROUNDS = 20_000;

    private final AtomicInteger looks = new AtomicInteger();
    private final MultiThreadIoEventLoopGroup group =
            new MultiThreadIoEventLoopGroup(1, new Counted()) {
                @Override
                protected IoEventLoop newChild(
                        Executor executor, IoHandlerFactory factory, Object... args) {
                    return new FairIoEventLoop(this, executor, factory);
                }
            };
    private final FairIoEventLoop loop = (FairIoEventLoop) group.next();

    /// Netty's epoll, with a count of how often it is asked.
    private final class Counted implements IoHandlerFactory {
        private final IoHandlerFactory epoll = EpollIoHandler.newFactory();

        @Override
        public boolean isChangingThreadSupported() {
            return epoll.isChangingThreadSupported();
        }

        @Override
        public IoHandler newHandler(ThreadAwareExecutor executor) {
            IoHandler handler = epoll.newHandler(executor);
            return new IoHandler() {
                @Override
                public void initialize() {
                    handler.initialize();
                }

                @Override
                public int run(IoHandlerContext context) {
                    looks.incrementAndGet();
                    return handler.run(context);
                }

                @Override
                public void prepareToDestroy() {
                    handler.prepareToDestroy();
                }

                @Override
                public void destroy() {
                    handler.destroy();
                }

                @Override
                public IoRegistration register(IoHandle handle) throws Exception {
                    return handler.register(handle);
                }

                @Override
                public void wakeup() {
                    handler.wakeup();
                }

                @Override
                public boolean isCompatible(Class<? extends IoHandle> type) {
                    return handler.isCompatible(type);
                }
            };
        }
    }

    /// Comes back in every round until it has had its number of them.
    private final class Returning implements Runnable {
        private final long nanos;
        private final CountDownLatch done = new CountDownLatch(1);
        private int left;

        Returning(int rounds, long nanos) {
            left = rounds;
            this.nanos = nanos;
        }

        @Override
        public void run() {
            long begin = System.nanoTime();
            while (System.nanoTime() - begin < nanos) {
                Thread.onSpinWait();
            }
            if (--left > 0) {
                loop.executeNextRound(this);
            } else {
                done.countDown();
            }
        }

        int looks() throws InterruptedException {
            int before = looks.get();
            loop.execute(() -> loop.executeNextRound(this));
            assertTrue(done.await(10, TimeUnit.SECONDS));
            return looks.get() - before;
        }
    }

    @AfterEach
    void end() {
        group.shutdownGracefully(0, 5, TimeUnit.SECONDS).syncUninterruptibly();
    }

    @Test
    void roundsOfNextToNothingShareALookAtTheDescriptors() throws Exception {
        int found = new Returning(ROUNDS, 0).looks();
        assertTrue(found < ROUNDS / 4, found + " looks");
    }

    @Test
    void aRoundOfWorkIsFollowedByALook() throws Exception {
        int rounds = 100;
        int found = new Returning(rounds, 20_000).looks();
        assertTrue(found >= rounds - 1, found + " looks");
    }

    @Test
    void aLoopOnWhichNothingIsToHappenSleeps() throws Exception {
        loop.submit(() -> {}).sync();
        int before = looks.get();
        for (int tries = 0; tries < 6; tries++) {
            TimeUnit.MILLISECONDS.sleep(1500);
            if (looks.get() == before) {
                break;
            }
            before = looks.get(); // it was about to sleep; Netty's would have a look each second
        }
        assertEquals(before, looks.get());
        loop.schedule(() -> {}, 100, TimeUnit.MILLISECONDS).sync();
        assertTrue(looks.get() > before);
    }
}
