package org.splitring.testkit;

import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.EventChannelStatus;
import org.splitring.hypervisor.EventChannels;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantException;
import org.splitring.hypervisor.GrantTable;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.PageAllocator;

/// Domains whose event channels lose one event: the n-th that each port sends, or the first that
/// it hears.
public final class LossyDoorbells {
    private LossyDoorbells() {}

    /// A guest's domain.
    ///
    /// @param lost which of the events that a port sends is lost: 1 is the first, 0 none
    public record Guest(GuestDomain domain, int lost) implements GuestDomain {
        @Override
        public DomId id() {
            return domain.id();
        }

        @Override
        public GuestMemory memory() {
            return domain.memory();
        }

        @Override
        public PageAllocator pages() {
            return domain.pages();
        }

        @Override
        public GrantTable grants() {
            return domain.grants();
        }

        @Override
        public EventChannels eventChannels() {
            return new Channels(domain.eventChannels(), lost, false);
        }

        @Override
        public void close() {
            domain.close();
        }
    }

    /// A driver domain.
    ///
    /// @param lost as in [Guest]
    /// @param isDeafAtFirst whether a port that is bound seems to have no event pending
    public record Driver(DriverDomain domain, int lost, boolean isDeafAtFirst)
            implements DriverDomain {
        public Driver(DriverDomain domain, int lost) {
            this(domain, lost, false);
        }

        @Override
        public DomId id() {
            return domain.id();
        }

        @Override
        public EventChannels eventChannels() {
            return new Channels(domain.eventChannels(), lost, isDeafAtFirst);
        }

        @Override
        public ForeignPages foreignPages(DomId frontend, int maxMappings) throws GrantException {
            return domain.foreignPages(frontend, maxMappings);
        }
    }

    private record Channels(EventChannels channels, int lost, boolean isDeafAtFirst)
            implements EventChannels {
        @Override
        public EventChannel allocUnbound(DomId remote) throws EventChannelException {
            return new Lossy(channels.allocUnbound(remote), lost, isDeafAtFirst);
        }

        @Override
        public EventChannel bindInterdomain(DomId remote, int port) throws EventChannelException {
            return new Lossy(channels.bindInterdomain(remote, port), lost, isDeafAtFirst);
        }
    }

    private static final class Lossy implements EventChannel {
        private final EventChannel channel;
        private int untilLost;
        private boolean deaf;

        Lossy(EventChannel channel, int lost, boolean isDeafAtFirst) {
            this.channel = channel;
            this.untilLost = lost;
            this.deaf = isDeafAtFirst;
        }

        @Override
        public int port() {
            return channel.port();
        }

        @Override
        public EventChannelStatus status() {
            return channel.status();
        }

        @Override
        public void send() {
            if (--untilLost != 0) {
                channel.send();
            }
        }

        @Override
        public void listen(DeviceLoop loop, Runnable onEvent) {
            channel.listen(
                    loop,
                    () -> {
                        if (deaf) {
                            deaf = false;
                            channel.unmask();
                        } else {
                            onEvent.run();
                        }
                    });
        }

        @Override
        public void mask() {
            channel.mask();
        }

        @Override
        public void unmask() {
            channel.unmask();
        }

        @Override
        public void close() {
            channel.close();
        }
    }
}
