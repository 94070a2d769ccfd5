package org.splitring.testkit.contract;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.splitring.hypervisor.GuestGrantTable;
import org.splitring.hypervisor.attached.AttachedGuest;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.testkit.contract.DeviceContract.Instance;
import org.splitring.xenbus.FrontendOptions;
import org.splitring.xenbus.device.DeviceClasses;
import org.splitring.xenbus.device.FrontendBus;
import org.splitring.xenbus.device.FrontendHost;
import org.splitring.xenbus.store.StoreWireClient;

/// A guest whose driver domain is another process: when that is gone it attaches to the one that
/// takes its place, with the memory that it has, as a real guest does.
final class LoneGuest implements AutoCloseable {
    private static final Duration PATIENCE = Duration.ofSeconds(30);

    private final NettyDeviceLoops loops = new NettyDeviceLoops("contract-guest", 2, 0);
    private final ExecutorService watches = Executors.newVirtualThreadPerTaskExecutor();
    private final ExecutorService control =
            Executors.newSingleThreadExecutor(Thread.ofVirtual().factory());
    private final SimpleMeterRegistry meters = new SimpleMeterRegistry();
    private final Path sockets;
    private final AttachedGuest domain;
    private final int freePages;
    private final int freeGrants;
    private final FrontendBus frontends;
    private volatile StoreWireClient store; // changed by control
    private volatile CompletableFuture<Void> resumed = new CompletableFuture<>();

    LoneGuest(Path attachSocket, Path sockets, DeviceClasses classes) throws IOException {
        this.sockets = sockets;
        domain =
                AttachedGuest.attach(
                        attachSocket, ContractLab.MEMORY_BYTES, loops.next(), this::lost);
        freePages = domain.pages().freeCount();
        freeGrants = grants();
        store = openStore();
        frontends =
                Bounded.get(
                        "frontend bus",
                        FrontendBus.open(
                                new FrontendHost(loops::next, sockets, meters),
                                domain,
                                store,
                                classes,
                                FrontendOptions.DEFAULT));
    }

    private StoreWireClient openStore() throws IOException {
        return StoreWireClient.open(
                domain.storeFd(), domain.id(), loops.next().eventLoop(), watches);
    }

    private int grants() {
        return ((GuestGrantTable) domain.grants()).freeCount();
    }

    private void lost() {
        control.execute(this::attachAgain);
    }

    private void attachAgain() {
        try {
            domain.attachAgain(PATIENCE);
            StoreWireClient before = store;
            store = openStore();
            before.close();
            var ignored =
                    frontends
                            .resume(domain, store)
                            .whenComplete(
                                    (nothing, failure) -> {
                                        if (failure == null) {
                                            resumed.complete(null);
                                        } else {
                                            resumed.completeExceptionally(failure);
                                        }
                                    });
        } catch (IOException e) {
            resumed.completeExceptionally(e);
        }
    }

    /// The device of that name (`vrng/0`), once it is connected.
    Instance connected(String deviceClass, int device) {
        String name = deviceClass + "/" + device;
        Bounded.until(() -> name + " appears in the guest", () -> find(name).isPresent());
        FrontendBus.Frontend frontend = find(name).orElseThrow();
        Bounded.get(name + " connects", frontend.connected());
        return new Instance(frontend.hooks(), sockets, device);
    }

    private Optional<FrontendBus.Frontend> find(String name) {
        return Bounded.get("frontends", frontends.frontends()).stream()
                .filter(it -> it.name().equals(name))
                .findFirst();
    }

    /// Before a driver domain is killed: what [#awaitResumed] waits for is the time after it.
    void expectLoss() {
        resumed = new CompletableFuture<>();
    }

    /// Waits until every device is connected to the successor.
    void awaitResumed() {
        Bounded.get(Bounded.PROCESS_PATIENCE, "the devices connect to the successor", resumed);
    }

    /// Closes the devices, and looks for what they have left in the guest.
    void closeDevices() {
        Bounded.get("frontends close", frontends.closeAsync());
        Bounded.until(() -> "the guest leaks " + held(), () -> held().isEmpty());
    }

    private String held() {
        StringBuilder held = new StringBuilder();
        domain.grants().retryQuarantined();
        if (domain.pages().freeCount() != freePages) {
            held.append(freePages - domain.pages().freeCount()).append(" pages; ");
        }
        if (grants() != freeGrants) {
            held.append(freeGrants - grants()).append(" grant references; ");
        }
        if (!meters.getMeters().isEmpty()) {
            held.append(meters.getMeters().size()).append(" meters; ");
        }
        return held.toString();
    }

    @Override
    public void close() {
        domain.close();
        control.close();
        store.close();
        loops.close();
        watches.close();
    }
}
