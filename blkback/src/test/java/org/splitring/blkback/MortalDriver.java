package org.splitring.blkback;

import java.util.ArrayList;
import java.util.List;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.EventChannels;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantException;

/// A driver domain's process that can be killed, as with `kill -9`: from then on nothing of it
/// runs,
/// what it had mapped is unmapped, and its ports are closed, without a word to anybody.
final class MortalDriver implements DriverDomain {
    private final DriverDomain domain;
    private final List<ForeignPages> windows = new ArrayList<>();
    private final List<EventChannel> ports = new ArrayList<>();
    private boolean dead;

    MortalDriver(DriverDomain domain) {
        this.domain = domain;
    }

    void kill() {
        if (dead) {
            return;
        }
        dead = true;
        ports.forEach(EventChannel::close);
        windows.forEach(ForeignPages::close);
    }

    boolean isDead() {
        return dead;
    }

    /// A thread of this process.
    DeviceLoop thread(DeviceLoop loop) {
        return new DeviceLoop() {
            private Runnable whileAlive(Runnable task) {
                return () -> {
                    if (!dead) {
                        runMortal(task);
                    }
                };
            }

            @Override
            public void execute(Runnable task) {
                loop.execute(whileAlive(task));
            }

            @Override
            public Runnable schedule(Runnable task, long delayNanos) {
                return loop.schedule(whileAlive(task), delayNanos);
            }

            @Override
            public boolean inLoop() {
                return loop.inLoop();
            }

            @Override
            public long nanoTime() {
                return loop.nanoTime();
            }

            @Override
            public long spinNanos() {
                return loop.spinNanos();
            }
        };
    }

    private static void runMortal(Runnable task) {
        try {
            task.run();
        } catch (MortalQueueNote.Death e) {
            // The thread has ended with its process.
        }
    }

    @Override
    public DomId id() {
        return domain.id();
    }

    @Override
    public EventChannels eventChannels() {
        EventChannels channels = domain.eventChannels();
        return new EventChannels() {
            @Override
            public EventChannel allocUnbound(DomId remote) throws EventChannelException {
                return noted(channels.allocUnbound(remote));
            }

            @Override
            public EventChannel bindInterdomain(DomId remote, int remotePort)
                    throws EventChannelException {
                return noted(channels.bindInterdomain(remote, remotePort));
            }
        };
    }

    private EventChannel noted(EventChannel port) {
        ports.add(port);
        return port;
    }

    @Override
    public ForeignPages foreignPages(DomId frontend, int maxMappings) throws GrantException {
        ForeignPages window = domain.foreignPages(frontend, maxMappings);
        windows.add(window);
        return window;
    }
}
