package org.splitring.testkit.compare;

import java.io.IOException;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GrantException;
import org.splitring.hypervisor.XenstorePage;
import org.splitring.hypervisor.local.LocalGuestDomain;
import org.splitring.hypervisor.local.LocalHypervisor;
import org.splitring.testkit.PageCarrier;
import org.splitring.testkit.RawStoreClient;
import org.splitring.xenbus.store.StoreLimits;
import org.splitring.xenbus.store.StorePageServer;
import org.splitring.xenbus.store.StoreTree;
import org.splitring.xenbus.store.StoreWireServer;

/// Our store: domain 0 over a channel in the calling thread, and so guests, or these over their
/// pages,
/// which a loop serves.
final class OurDaemon implements StoreDaemon {
    private static final long MEMORY_BYTES = 1 << 20;

    private final StoreTree tree;
    private final StoreWireServer server;
    private final @Nullable DeviceLoop loop;
    private final LocalHypervisor hypervisor = new LocalHypervisor();
    private final DriverDomain driver = hypervisor.driverDomain(DomId.ZERO);

    /// @param loop of the pages; null for guests over channels
    OurDaemon(StoreLimits limits, @Nullable DeviceLoop loop) {
        tree = new StoreTree(limits);
        server = new StoreWireServer(tree);
        this.loop = loop;
    }

    @Override
    public RawStoreClient connect(int domain) throws IOException {
        return new RawStoreClient(
                domain == 0 || loop == null
                        ? new EmbeddedCarrier(server.handler(new DomId(domain)))
                        : page(domain));
    }

    @Override
    public PageCarrier page(int domain) throws IOException {
        DeviceLoop of = Objects.requireNonNull(loop, "guests are on channels");
        DomId id = new DomId(domain);
        LocalGuestDomain guest = hypervisor.createGuest(id, MEMORY_BYTES, DomainLimits.DEFAULT);
        try {
            XenstorePage end = guest.makeXenstorePage(DomId.ZERO);
            StorePageServer serving =
                    StorePageServer.serve(tree, id, hypervisor.openXenstorePage(guest, driver), of);
            return new PageCarrier(end.memory(), new Served(end, serving, guest));
        } catch (GrantException | EventChannelException e) {
            throw new IOException(e);
        }
    }

    private record Served(XenstorePage end, StorePageServer serving, LocalGuestDomain guest)
            implements PageCarrier.Daemon {
        @Override
        public void kick() {
            end.channel().send();
        }

        @Override
        public boolean isAlive() {
            return true; // we
        }

        @Override
        public void close() {
            serving.close();
            guest.close();
        }
    }

    /// Events are handed to the loop before the answer is sent. What it hands to itself it does a
    /// round
    /// later than what comes from others.
    @Override
    public void settle() throws IOException {
        DeviceLoop of = loop;
        if (of == null) {
            return;
        }
        CompletableFuture<Void> reached = new CompletableFuture<>();
        of.execute(() -> of.execute(() -> reached.complete(null)));
        try {
            reached.get(20, TimeUnit.SECONDS);
        } catch (InterruptedException | ExecutionException | TimeoutException e) {
            throw new IOException("the loop of our pages does not run", e);
        }
    }

    @Override
    public void close() {}
}
