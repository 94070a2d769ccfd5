package org.splitring.testkit.contract;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.hypervisor.GuestGrantTable;
import org.splitring.hypervisor.attached.AttachedPeer;
import org.splitring.hypervisor.local.LocalGuestDomain;
import org.splitring.xenbus.BackendOptions;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.FrontendOptions;
import org.splitring.xenbus.device.BackendBus;
import org.splitring.xenbus.device.BackendHost;
import org.splitring.xenbus.device.DeviceClasses;
import org.splitring.xenbus.device.FrontendBus;
import org.splitring.xenbus.device.FrontendHost;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;

/// One guest of a lab with its two buses.
final class ContractGuest {
    final DomId id;
    final GuestDomain domain;
    final DriverDomain driver;
    final Path sockets;
    private final ContractLab lab;
    private final @Nullable AttachedPeer peer;
    private final int freePages;
    private final int freeGrants;
    private final int ports;
    private final int mapped; // what is not a device's: the store's page
    private final SimpleMeterRegistry meters = new SimpleMeterRegistry();
    Store store;
    @Nullable BackendBus backends;
    @Nullable FrontendBus frontends;

    ContractGuest(
            ContractLab lab,
            GuestDomain domain,
            DriverDomain driver,
            Store store,
            @Nullable AttachedPeer peer,
            Path sockets) {
        this.lab = lab;
        this.id = domain.id();
        this.domain = domain;
        this.driver = driver;
        this.store = store;
        this.peer = peer;
        this.sockets = sockets;
        freePages = domain.pages().freeCount();
        freeGrants = grants();
        ports = ports();
        mapped = peer == null ? 0 : mapped(); // local: counted over all guests
    }

    private int grants() {
        return ((GuestGrantTable) domain.grants()).freeCount();
    }

    private int ports() {
        return domain instanceof LocalGuestDomain local ? local.openPorts() : 0;
    }

    private int mapped() {
        AttachedPeer attached = peer;
        return attached == null ? lab.mappedLocally() : attached.mappedGrants();
    }

    void openBackends(DeviceClasses classes) throws StoreException {
        backends =
                BackendBus.open(
                        new BackendHost(driver, lab.control, lab.backLoops::next, meters),
                        id,
                        classes,
                        BackendOptions.DEFAULT);
    }

    void openFrontends(DeviceClasses classes) {
        openFrontends(classes, FrontendOptions.DEFAULT);
    }

    void openFrontends(DeviceClasses classes, FrontendOptions options) {
        frontends =
                Bounded.get(
                        "frontend bus",
                        FrontendBus.open(
                                new FrontendHost(lab.frontLoops::next, sockets, meters),
                                domain,
                                store,
                                classes,
                                options));
    }

    /// The device of that number, once its frontend has connected.
    FrontendBus.Frontend connected(DevicePaths paths) {
        String name = paths.type() + "/" + paths.device();
        Bounded.until(() -> name + " appears in the guest", () -> find(name).isPresent());
        FrontendBus.Frontend frontend = find(name).orElseThrow();
        Bounded.get(name + " connects", frontend.connected());
        return frontend;
    }

    /// The device of that name, while it is there.
    Optional<FrontendBus.Frontend> find(String name) {
        return frontendList().stream().filter(it -> it.name().equals(name)).findFirst();
    }

    List<FrontendBus.Frontend> frontendList() {
        FrontendBus bus = frontends;
        return bus == null ? List.of() : Bounded.get("frontends", bus.frontends());
    }

    void closeFrontends() {
        FrontendBus bus = frontends;
        frontends = null;
        if (bus != null) {
            Bounded.get("frontends close", bus.closeAsync());
        }
    }

    void closeBackends() {
        BackendBus bus = backends;
        backends = null;
        if (bus != null) {
            Bounded.get("backends close", bus.closeAsync());
        }
    }

    /// What devices of this guest still hold; empty when nothing.
    String held() {
        StringBuilder held = new StringBuilder();
        domain.grants().retryQuarantined();
        if (domain.pages().freeCount() != freePages) {
            held.append(freePages - domain.pages().freeCount()).append(" pages of the guest; ");
        }
        if (grants() != freeGrants) {
            held.append(freeGrants - grants()).append(" grant references; ");
        }
        if (ports() != ports) {
            held.append(ports() - ports).append(" event channels; ");
        }
        if (mapped() != mapped) {
            held.append(mapped() - mapped).append(" grants mapped by the backend; ");
        }
        if (!meters.getMeters().isEmpty()) {
            held.append(meters.getMeters().size()).append(" meters; ");
        }
        return held.toString();
    }
}
