package org.splitring.testkit.contract;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantException;
import org.splitring.ring.SringLayout;
import org.splitring.testkit.HostileBackend;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.RingKeys;
import org.splitring.xenbus.store.StoreException;

/// A backend without a driver: it offers what a good one of its class offers, maps the ring that
/// the frontend grants, and then does what a test wants.
///
/// Its folder has another class than the frontend's, as `qdisk` is another than `vbd`, so that the
/// backends of the lab leave the device to it.
final class RawBackend implements AutoCloseable {
    private static final String CLASS = "hostile";
    private static final Set<String> OF_THE_TOOLSTACK =
            Set.of("frontend", "frontend-id", "online", "state", "hotplug-status");

    private final ContractLab lab;
    private final DevicePaths paths;
    private final ForeignPages pages;
    private final EventChannel port;
    final HostileBackend ring;
    private boolean mapped = true;

    private RawBackend(
            ContractLab lab,
            DevicePaths paths,
            ForeignPages pages,
            EventChannel port,
            HostileBackend ring) {
        this.lab = lab;
        this.paths = paths;
        this.pages = pages;
        this.port = port;
        this.ring = ring;
    }

    /// Where such a device is.
    static DevicePaths paths(DevicePaths good, int device) {
        return new DevicePaths(
                good.type(), CLASS, good.frontendDomain(), good.backendDomain(), device);
    }

    /// Makes the device, with what the backend of another one has published, and connects to its
    /// frontend.
    static RawBackend connect(
            ContractRun run,
            ContractLab lab,
            ContractGuest guest,
            DevicePaths good,
            DevicePaths paths)
            throws StoreException, HandshakeException, GrantException, EventChannelException {
        lab.create(paths, run.contract.frontendParameters(), Map.of());
        for (String key : lab.control.list(good.backend())) {
            String value = lab.control.read(good.backend() + "/" + key).orElse("");
            if (!OF_THE_TOOLSTACK.contains(key)) {
                lab.control.write(paths.backend() + "/" + key, value);
            }
        }
        lab.control.write(paths.backend() + "/state", "2");
        Bounded.until(
                () -> "the frontend publishes its ring",
                () -> List.of("3", "4").contains(lab.state(paths.frontend())));
        RingKeys keys =
                RingKeys.read(new Keys(lab.control, paths.frontend()), SringLayout.MAX_PAGE_ORDER);
        int[] grefs = keys.grefArray();
        ForeignPages pages = guest.driver.foreignPages(guest.id, grefs.length);
        boolean made = false;
        try {
            MemorySegment memory = pages.mapContiguous(grefs);
            EventChannel port =
                    guest.driver.eventChannels().bindInterdomain(guest.id, keys.eventChannel());
            HostileBackend ring = new HostileBackend(memory, run.contract.entryBytes(), port, 0);
            made = true;
            lab.control.write(paths.backend() + "/state", "4");
            return new RawBackend(lab, paths, pages, port, ring);
        } finally {
            if (!made) {
                pages.close();
            }
        }
    }

    /// A private copy of a request that the frontend has published.
    MemorySegment request(int index) {
        return MemorySegment.ofArray(ring.slot(index).toArray(ValueLayout.JAVA_BYTE));
    }

    void state(String state) throws StoreException {
        lab.control.write(paths.backend() + "/state", state);
    }

    /// Lets the pages go.
    void unmap() {
        if (mapped) {
            mapped = false;
            pages.close();
        }
    }

    @Override
    public void close() {
        port.close();
        unmap();
    }
}
