package org.splitring.testkit;

import java.util.ArrayList;
import java.util.List;
import java.util.function.BooleanSupplier;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.EventChannelStatus;
import org.splitring.hypervisor.EventChannels;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantException;

/// A driver domain's process that can be killed, as with `kill -9`: from then on nothing of it
/// runs, what it had mapped is unmapped, and its ports are closed, without a word to anybody.
///
/// It may die at any step of its own too ([#mayDie]): sending an event is one, and a test's double
/// may have more.
public final class MortalDriver implements DriverDomain {
    private final DriverDomain domain;
    private final List<ForeignPages> windows = new ArrayList<>();
    private final List<EventChannel> ports = new ArrayList<>();
    private final BooleanSupplier dies;
    private boolean dead;

    /// Unwinds the stack of a process that is dead.
    public static final class Death extends Error {
        private static final long serialVersionUID = 1L;

        Death() {
            super("killed", null, false, false);
        }
    }

    /// One that dies when it is killed.
    public MortalDriver(DriverDomain domain) {
        this(domain, () -> false);
    }

    /// @param dies is asked at each step whether it is the last
    public MortalDriver(DriverDomain domain, BooleanSupplier dies) {
        this.domain = domain;
        this.dies = dies;
    }

    /// A step that may be the last.
    ///
    /// @throws Death when it was; a thread of this process ends with it
    public void mayDie() {
        if (!dead && dies.getAsBoolean()) {
            kill();
        }
        if (dead) {
            throw new Death();
        }
    }

    public void kill() {
        if (dead) {
            return;
        }
        dead = true;
        ports.forEach(EventChannel::close);
        windows.forEach(ForeignPages::close);
    }

    public boolean isDead() {
        return dead;
    }

    /// A thread of this process.
    public DeviceLoop thread(DeviceLoop loop) {
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
        } catch (Death e) {
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
        return new EventChannel() {
            @Override
            public int port() {
                return port.port();
            }

            @Override
            public EventChannelStatus status() {
                return port.status();
            }

            @Override
            public void send() {
                mayDie();
                port.send();
            }

            @Override
            public void listen(DeviceLoop loop, Runnable onEvent) {
                port.listen(loop, onEvent);
            }

            @Override
            public void mask() {
                port.mask();
            }

            @Override
            public void unmask() {
                port.unmask();
            }

            @Override
            public void close() {
                port.close();
            }
        };
    }

    @Override
    public ForeignPages foreignPages(DomId frontend, int maxMappings) throws GrantException {
        ForeignPages window = domain.foreignPages(frontend, maxMappings);
        windows.add(window);
        return window;
    }
}
