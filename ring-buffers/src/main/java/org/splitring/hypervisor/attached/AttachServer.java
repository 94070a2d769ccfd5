package org.splitring.hypervisor.attached;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.MappingBudget;
import org.splitring.hypervisor.linux.UnixSocket;

/// The driver domain's side of the attach protocol (`docs/abi.md`): one Unix socket per domain, at
/// most one guest on each.
///
/// All waiting is done by the loop that is given; nothing a guest does or leaves undone keeps it.
public final class AttachServer implements AutoCloseable {
    /// Grants that may be mapped at once, of all guests together.
    public static final int DEFAULT_TOTAL_MAPPINGS = 1 << 18;

    private static final long HELLO_TIMEOUT_NANOS = 10_000_000_000L;
    private static final int BACKLOG = 16;

    private final DomId driverDomain;
    private final NettyDeviceLoop loop;
    private final MappingBudget mappings;
    private final DescriptorBudget descriptors;
    private final PortBroker broker;
    private final long helloTimeoutNanos;
    private final List<AttachSocket> sockets = new ArrayList<>();

    /// @param driverDomain domain of the backends, usually 0
    /// @param loop waits for all attach sockets; devices may use others
    public AttachServer(DomId driverDomain, NettyDeviceLoop loop) throws IOException {
        this(driverDomain, loop, DescriptorBudget.ofProcess(), HELLO_TIMEOUT_NANOS);
    }

    /// For tests that cannot wait ten seconds or use up all descriptors.
    AttachServer(
            DomId driverDomain,
            NettyDeviceLoop loop,
            DescriptorBudget descriptors,
            long helloTimeoutNanos) {
        this.driverDomain = driverDomain;
        this.loop = loop;
        this.descriptors = descriptors;
        this.helloTimeoutNanos = helloTimeoutNanos;
        mappings = new MappingBudget(DEFAULT_TOTAL_MAPPINGS);
        broker = new PortBroker(driverDomain, loop, descriptors);
    }

    /// Listens for the guest of one domain. Whoever served that domain before must have ended, or
    /// have let go of its guest's memory: marks that he left in the grant table are cleared. The
    /// path alone does not tell; the program holds a lock for that.
    ///
    /// @param path of the socket; who may connect is decided by the caller's user alone
    /// @param guest the domain that whoever connects there is
    /// @return closes the socket and ends the guest's attachment
    /// @throws IOException when the path is too long, in use, or cannot be made
    public AttachSocket listen(Path path, DomId guest, DomainLimits limits, GuestListener listener)
            throws IOException {
        return listen(path, guest, "domain " + guest, limits, listener);
    }

    /// As the shorter form.
    ///
    /// @param label what log lines call the domain: words that the owner of the socket knows
    public AttachSocket listen(
            Path path, DomId guest, String label, DomainLimits limits, GuestListener listener)
            throws IOException {
        if (guest.equals(driverDomain)) {
            throw new IllegalArgumentException("the driver domain cannot be its own guest");
        }
        UnixSocket socket = UnixSocket.listen(path, BACKLOG);
        AttachSocket listening =
                new AttachSocket(this, socket, path, guest, label, limits, listener);
        synchronized (sockets) {
            sockets.add(listening);
        }
        listening.start();
        return listening;
    }

    /// Closes all sockets; see [AttachSocket#close].
    @Override
    public void close() {
        List<AttachSocket> all;
        synchronized (sockets) {
            all = List.copyOf(sockets);
        }
        for (AttachSocket socket : all) {
            socket.close();
        }
    }

    void closed(AttachSocket socket) {
        synchronized (sockets) {
            sockets.remove(socket);
        }
    }

    DomId driverDomain() {
        return driverDomain;
    }

    NettyDeviceLoop loop() {
        return loop;
    }

    MappingBudget mappings() {
        return mappings;
    }

    DescriptorBudget descriptors() {
        return descriptors;
    }

    PortBroker broker() {
        return broker;
    }

    long helloTimeoutNanos() {
        return helloTimeoutNanos;
    }
}
