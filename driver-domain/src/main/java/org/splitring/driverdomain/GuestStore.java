package org.splitring.driverdomain;

import io.netty.channel.Channel;
import java.io.IOException;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GrantException;
import org.splitring.hypervisor.XenstorePage;
import org.splitring.hypervisor.attached.AttachedPeer;
import org.splitring.hypervisor.attached.NettyDeviceLoop;
import org.splitring.xenbus.store.StorePageServer;
import org.splitring.xenbus.store.StoreTree;
import org.splitring.xenbus.store.StoreWireServer;

/// All that one attached guest has of the store: the socket that came with its attachment, and its
/// page when it named one. Each is a connection of its own with the rights of the guest's domain;
/// the quotas are for both together.
final class GuestStore implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(GuestStore.class);

    private final Channel socket;
    private final @Nullable StorePageServer page;

    private GuestStore(Channel socket, @Nullable StorePageServer page) {
        this.socket = socket;
        this.page = page;
    }

    /// Serves a guest until [#close]. Not on the loop.
    ///
    /// @param peer its store descriptor belongs to the result, also when this fails
    /// @param loop serves both
    /// @throws IOException when the socket cannot be served; a page that the guest has spoilt
    ///     already is only logged
    static GuestStore serve(StoreTree tree, AttachedPeer peer, NettyDeviceLoop loop)
            throws IOException {
        DomId domain = peer.domid();
        Channel socket = new StoreWireServer(tree).serve(peer.storeFd(), domain, loop.eventLoop());
        StorePageServer page = null;
        try {
            Optional<XenstorePage> shared = peer.openXenstorePage();
            if (shared.isPresent()) {
                page = StorePageServer.serve(tree, domain, shared.get(), loop);
            }
        } catch (GrantException | EventChannelException e) {
            LOG.warn("domain {}: no xenstore page: {}", domain, e.getMessage());
        }
        return new GuestStore(socket, page);
    }

    /// Ends both connections; their watches and transactions end, the nodes stay. Waits, so not on
    /// the loop.
    @Override
    public void close() {
        if (page != null) {
            page.close();
        }
        socket.close().awaitUninterruptibly();
    }
}
