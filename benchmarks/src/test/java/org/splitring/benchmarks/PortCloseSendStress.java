package org.splitring.benchmarks;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import java.util.concurrent.ConcurrentLinkedQueue;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.local.LocalGuestDomain;
import org.splitring.hypervisor.local.LocalHypervisor;

/// The peer notifies while a loop closes its port. An event is delivered before the close, once, or
/// not at all; nothing is delivered once the close has returned on the port's loop, neither what
/// was queued before nor what is sent later.
///
/// Events delivered before the close, and after it.
@JCStressTest
@Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "the event came too late")
@Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "the event came before the close")
@Outcome(expect = FORBIDDEN, desc = "delivered to a closed port, or twice")
@State
public class PortCloseSendStress {
    private static final DomId GUEST = new DomId(1);
    private static final DomId BACKEND = new DomId(0);
    private static final LocalHypervisor HYPERVISOR = new LocalHypervisor();
    private static final LocalGuestDomain DOMAIN =
            HYPERVISOR.createGuest(GUEST, 1 << 16, new DomainLimits(1 << 20, 1, 16, 1 << 20));

    private final QueueLoop loop = new QueueLoop();
    private final EventChannel listening;
    private final EventChannel sending;
    private int delivered;

    /// For jcstress: the driver domain's end listens, and the event of the binding is done with.
    public PortCloseSendStress() {
        try {
            sending = DOMAIN.eventChannels().allocUnbound(BACKEND);
            listening =
                    HYPERVISOR
                            .driverDomain(BACKEND)
                            .eventChannels()
                            .bindInterdomain(GUEST, sending.port());
        } catch (EventChannelException e) {
            throw new IllegalStateException(e);
        }
        listening.listen(loop, () -> delivered++);
        loop.runQueued();
        if (delivered != 1) {
            throw new IllegalStateException("the event of the binding: " + delivered);
        }
        delivered = 0;
        listening.unmask();
    }

    @Actor
    public void peer() {
        sending.send();
    }

    @Actor
    public void owner(II_Result r) {
        loop.runQueued();
        listening.close();
        r.r1 = delivered;
        loop.runQueued();
    }

    @Arbiter
    public void end(II_Result r) {
        sending.send();
        loop.runQueued();
        r.r2 = delivered - r.r1;
        sending.close();
    }

    /// A loop whose thread is whoever says so: the owner while the actors run.
    private static final class QueueLoop implements DeviceLoop {
        private final ConcurrentLinkedQueue<Runnable> tasks = new ConcurrentLinkedQueue<>();

        void runQueued() {
            for (Runnable task = tasks.poll(); task != null; task = tasks.poll()) {
                task.run();
            }
        }

        @Override
        public void execute(Runnable task) {
            tasks.add(task);
        }

        @Override
        public Runnable schedule(Runnable task, long delayNanos) {
            throw new UnsupportedOperationException("no timers here");
        }

        @Override
        public boolean inLoop() {
            return true;
        }

        @Override
        public long nanoTime() {
            return 0;
        }

        @Override
        public long spinNanos() {
            return 0;
        }
    }
}
