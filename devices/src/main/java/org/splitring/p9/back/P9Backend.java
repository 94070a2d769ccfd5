package org.splitring.p9.back;

import java.util.function.Consumer;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GrantException;
import org.splitring.xenbus.BackendHooks;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.device.BackendContext;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreException;

/// Backend of one 9pfs device.
///
///     backend  versions, max-rings, max-ring-page-order             with InitWait
///     frontend version, num-rings, ring-refN, event-channel-N       with Initialised
///
/// Each connection is a session of its own: handles and open files end with it.
final class P9Backend implements BackendHooks {
    /// Linux's frontend wants two at least.
    static final int MAX_RINGS = 4;

    /// 64 pages: 128 KiB in each direction.
    static final int MAX_RING_PAGE_ORDER = 6;

    private final BackendContext context;
    private final SharedFolder folder;
    private final P9Limits limits;
    private final P9Meters meters;

    P9Backend(BackendContext context, SharedFolder folder, P9Limits limits) {
        this.context = context;
        this.folder = folder;
        this.limits = limits;
        meters = P9Meters.of(context.meters());
    }

    @Override
    public void offer(StoreAccess keys, String path) throws StoreException {
        keys.write(path + "/versions", P9RingKeys.VERSION);
        keys.write(path + "/max-rings", Integer.toString(MAX_RINGS));
        keys.write(path + "/max-ring-page-order", Integer.toString(MAX_RING_PAGE_ORDER));
    }

    @Override
    public Connection connect(Keys frontend, Consumer<String> broken)
            throws StoreException, HandshakeException, GrantException, EventChannelException {
        P9RingKeys keys = P9RingKeys.read(frontend, MAX_RINGS);
        return P9Connection.open(
                context.domain(),
                context.paths().frontendDomain(),
                context.loop(),
                folder,
                limits,
                meters,
                keys,
                broken);
    }

    @Override
    public void publish(StoreAccess keys, String path) {
        // Everything is said in the offer.
    }
}
