package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Executor;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.attached.NettyDeviceLoop;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.StoreWireClient;

/// How this domain reaches Xen's store: the daemon's socket where that runs here, else through the
/// kernel.
///
/// @param path of a socket or a device
record XenStoreWay(Path path) {
    static final List<Path> SOCKETS =
            List.of(Path.of("/run/xenstored/socket"), Path.of("/var/run/xenstored/socket"));
    static final Path DEVICE = Path.of("/dev/xen/xenbus");

    /// The usual way of this domain.
    ///
    /// @throws CommandException when there is none
    static XenStoreWay find() throws CommandException {
        for (Path socket : SOCKETS) {
            if (Files.exists(socket)) {
                return new XenStoreWay(socket);
            }
        }
        if (Files.exists(DEVICE)) {
            return new XenStoreWay(DEVICE);
        }
        throw new CommandException(
                "there is no xenstore: neither "
                        + SOCKETS.getFirst()
                        + " nor "
                        + DEVICE
                        + " is there; in dom0 start xenstored (systemctl start xenstored), in a"
                        + " driver domain modprobe xenfs");
    }

    /// Connects, and finds out which domain this is.
    ///
    /// @param loop reads answers
    /// @param watchExecutor runs listeners
    /// @throws CommandException when it cannot be reached
    StoreWireClient connect(NettyDeviceLoop loop, Executor watchExecutor) throws CommandException {
        DomId self;
        try (StoreWireClient first = open(DomId.ZERO, loop, watchExecutor)) {
            Optional<String> domid = first.read("domid");
            String text = domid.orElse("");
            if (!text.matches("[0-9]{1,5}") || Integer.parseInt(text) >= DomId.FIRST_RESERVED) {
                throw new CommandException(
                        "xenstore at "
                                + path
                                + " does not know the number of this domain (domid is \""
                                + text
                                + "\"): in dom0 run xen-init-dom0");
            }
            self = new DomId(Integer.parseInt(text));
        } catch (StoreException e) {
            throw new CommandException("xenstore at " + path + ": " + e.getMessage(), e);
        }
        return open(self, loop, watchExecutor);
    }

    private StoreWireClient open(DomId self, NettyDeviceLoop loop, Executor watchExecutor)
            throws CommandException {
        try {
            return path.startsWith("/dev")
                    ? StoreWireClient.overDevice(path, self, loop, watchExecutor)
                    : StoreWireClient.connect(path, self, loop.eventLoop(), watchExecutor);
        } catch (IOException e) {
            throw new CommandException(
                    "xenstore cannot be reached: "
                            + e.getMessage()
                            + "; it takes root, and a xenstored that runs",
                    e);
        }
    }
}
