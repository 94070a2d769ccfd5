package org.splitring.xenbus.store;

import io.netty.channel.Channel;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.XenstorePage;
import org.splitring.hypervisor.attached.AttachServer;
import org.splitring.hypervisor.attached.AttachedGuest;
import org.splitring.hypervisor.attached.AttachedPeer;
import org.splitring.hypervisor.attached.GuestListener;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.hypervisor.linux.Fd;
import org.splitring.hypervisor.linux.UnixSocket;
import org.splitring.hypervisor.local.LocalGuestDomain;
import org.splitring.hypervisor.local.LocalHypervisor;
import org.splitring.xenbus.DeviceEnd;

/// A guest's connection to a store in this process, one of the ways that there are. Guest and store
/// have a loop each.
final class StoreLink {
    static final long MEMORY = 1 << 20;

    /// How a guest reaches the store.
    enum Way {
        SOCKET,
        LOCAL_PAGE,
        ATTACHED_PAGE
    }

    @FunctionalInterface
    interface Undoing {
        void run() throws Exception;
    }

    private final NettyDeviceLoops loops = new NettyDeviceLoops("store-link", 2, 0);
    private final Deque<Undoing> undoings = new ArrayDeque<>();
    private StoreWireClient client;
    private Undoing endServer;

    @SuppressWarnings("NullAway.Init") // set by open
    private StoreLink() {}

    static StoreLink open(Way way, StoreTree tree, DomId domain, Path folder) throws Exception {
        StoreLink link = new StoreLink();
        link.undoings.push(link.loops::close);
        switch (way) {
            case SOCKET -> link.openSocket(tree, domain);
            case LOCAL_PAGE -> link.openLocal(tree, domain);
            case ATTACHED_PAGE -> link.openAttached(tree, domain, folder);
        }
        link.undoings.push(link.endServer);
        link.undoings.push(link.client::close);
        return link;
    }

    private void openSocket(StoreTree tree, DomId domain) throws Exception {
        int[] pair = UnixSocket.streamPair();
        Channel served =
                new StoreWireServer(tree).serve(pair[0], domain, loops.loop(0).eventLoop());
        endServer = () -> served.close().await(10, TimeUnit.SECONDS);
        client =
                StoreWireClient.open(
                        pair[1], domain, loops.loop(1).eventLoop(), DeviceEnd.VIRTUAL_THREADS);
    }

    private void openLocal(StoreTree tree, DomId domain) throws Exception {
        LocalHypervisor hypervisor = new LocalHypervisor();
        LocalGuestDomain guest = hypervisor.createGuest(domain, MEMORY, DomainLimits.DEFAULT);
        undoings.push(guest::close);
        XenstorePage page = guest.makeXenstorePage(DomId.ZERO);
        serve(
                tree,
                domain,
                hypervisor.openXenstorePage(guest, hypervisor.driverDomain(DomId.ZERO)),
                page);
    }

    private void openAttached(StoreTree tree, DomId domain, Path folder) throws Exception {
        AttachServer server = new AttachServer(DomId.ZERO, loops.loop(0));
        undoings.push(server::close);
        CompletableFuture<AttachedPeer> attached = new CompletableFuture<>();
        Path path = folder.resolve("attach");
        server.listen(
                path,
                domain,
                DomainLimits.DEFAULT,
                new GuestListener() {
                    @Override
                    public void attached(AttachedPeer peer) {
                        Fd.close(peer.storeFd());
                        attached.complete(peer);
                    }

                    @Override
                    public void detached(AttachedPeer peer) {}
                });
        AttachedGuest guest = AttachedGuest.attach(path, MEMORY, loops.loop(1), () -> {});
        undoings.push(guest::close);
        Fd.close(guest.storeFd());
        AttachedPeer peer = attached.get(10, TimeUnit.SECONDS);
        serve(tree, domain, peer.openXenstorePage().orElseThrow(), guest.openXenstorePage());
    }

    private void serve(StoreTree tree, DomId domain, XenstorePage store, XenstorePage guest) {
        StorePageServer served = StorePageServer.serve(tree, domain, store, loops.loop(0));
        endServer = served::close;
        client = StoreWireClient.overPage(guest, domain, loops.loop(1), DeviceEnd.VIRTUAL_THREADS);
    }

    StoreWireClient client() {
        return client;
    }

    /// The store goes away, in good order.
    void endServer() throws Exception {
        endServer.run();
    }

    void close() throws Exception {
        while (!undoings.isEmpty()) {
            undoings.pop().run();
        }
    }
}
