package org.splitring.testkit.contract;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.netty.channel.Channel;
import java.io.IOException;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.attached.AttachedPeer;
import org.splitring.hypervisor.attached.GuestListener;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.xenbus.BackendOptions;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.Toolstack;
import org.splitring.xenbus.device.BackendBus;
import org.splitring.xenbus.device.BackendHost;
import org.splitring.xenbus.device.DeviceClasses;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.StoreTree;
import org.splitring.xenbus.store.StoreWireServer;

/// A guest that is a process of its own, as its driver domain sees it: it gets one device when it
/// attaches, and whatever it had is given back when it is gone.
final class ServedGuest implements GuestListener, AutoCloseable {
    private final StoreTree tree;
    private final Store control;
    private final Toolstack toolstack;
    private final NettyDeviceLoops loops;
    private final DeviceClasses classes;
    private final DevicePaths device;
    private final Map<String, String> frontend;
    private final Map<String, String> backend;
    private final SimpleMeterRegistry meters = new SimpleMeterRegistry();
    private final ExecutorService tasks =
            Executors.newSingleThreadExecutor(Thread.ofVirtual().factory());
    private final CompletableFuture<String> gone = new CompletableFuture<>();

    // Of the tasks.
    private @Nullable BackendBus bus;
    private @Nullable Channel store;

    ServedGuest(
            StoreTree tree,
            Store control,
            NettyDeviceLoops loops,
            DeviceClasses classes,
            DevicePaths device,
            Map<String, String> frontend,
            Map<String, String> backend) {
        this.tree = tree;
        this.control = control;
        this.toolstack = new Toolstack(control);
        this.loops = loops;
        this.classes = classes;
        this.device = device;
        this.frontend = frontend;
        this.backend = backend;
    }

    @Override
    public void attached(AttachedPeer peer) {
        tasks.execute(() -> serve(peer));
    }

    @Override
    public void detached(AttachedPeer peer) {
        tasks.execute(() -> giveBack(peer));
    }

    private void serve(AttachedPeer peer) {
        try {
            tree.introduce(device.frontendDomain());
            toolstack.createDomain(device.frontendDomain(), "killed");
            bus =
                    BackendBus.open(
                            new BackendHost(peer.driverDomain(), control, loops::next, meters),
                            device.frontendDomain(),
                            classes,
                            BackendOptions.DEFAULT);
            toolstack.createDevice(device, frontend, backend);
            store =
                    new StoreWireServer(tree)
                            .serve(
                                    peer.storeFd(),
                                    device.frontendDomain(),
                                    loops.next().eventLoop());
        } catch (StoreException | IOException e) {
            gone.completeExceptionally(e);
        }
    }

    private void giveBack(AttachedPeer peer) {
        try {
            Channel socket = store;
            if (socket != null) {
                socket.close().awaitUninterruptibly();
            }
            BackendBus serving = bus;
            if (serving != null) {
                Bounded.get("the backend lets go of a guest that is gone", serving.guestGone());
            }
            toolstack.removeDevice(device);
            tree.release(device.frontendDomain());
            gone.complete(held(peer));
        } catch (StoreException | AssertionError e) {
            gone.completeExceptionally(e);
        }
    }

    private String held(AttachedPeer peer) {
        StringBuilder held = new StringBuilder();
        if (peer.mappedGrants() != 0) {
            held.append(peer.mappedGrants()).append(" grants mapped by the backend; ");
        }
        if (!meters.getMeters().isEmpty()) {
            held.append(meters.getMeters().size()).append(" meters; ");
        }
        return held.toString();
    }

    /// Waits until the end of the guest was noticed and its backend has let go.
    ///
    /// @return what the backend still holds of it; empty when nothing
    String awaitGone() {
        return Bounded.get(Bounded.PROCESS_PATIENCE, "the end of the guest is noticed", gone);
    }

    @Override
    public void close() {
        tasks.close();
    }
}
