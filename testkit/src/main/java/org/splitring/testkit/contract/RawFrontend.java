package org.splitring.testkit.contract;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.SplittableRandom;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.testkit.HostileFrontend;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.RingKeys;
import org.splitring.xenbus.device.DeviceException;
import org.splitring.xenbus.device.GrantedPages;
import org.splitring.xenbus.store.StoreException;

/// A frontend without a driver: it grants a ring and publishes it as a guest's own software would,
/// and then does what a test wants.
final class RawFrontend implements AutoCloseable {
    private final ContractGuest guest;
    private final DevicePaths paths;
    private final GrantedPages ringPages;
    private final GrantedPages dataPages;
    private final EventChannel port;
    final HostileFrontend ring;

    private RawFrontend(
            ContractGuest guest,
            DevicePaths paths,
            GrantedPages ringPages,
            GrantedPages dataPages,
            EventChannel port,
            int entryBytes) {
        this.guest = guest;
        this.paths = paths;
        this.ringPages = ringPages;
        this.dataPages = dataPages;
        this.port = port;
        ring = new HostileFrontend(ringPages.memory(), entryBytes, port, 0);
        ring.initialiseAt(0);
    }

    /// Connects to the backend, which has offered the device.
    static RawFrontend connect(
            ContractLab lab, ContractGuest guest, DevicePaths paths, int entryBytes)
            throws DeviceException, EventChannelException, StoreException {
        RawFrontend front = publish(lab, guest, paths, entryBytes, "", "");
        lab.awaitState(paths.backend(), "4");
        front.state("4");
        return front;
    }

    /// Publishes a ring, to a backend that has offered the device.
    ///
    /// @param key one that is written last, and differently; none when empty
    static RawFrontend publish(
            ContractLab lab,
            ContractGuest guest,
            DevicePaths paths,
            int entryBytes,
            String key,
            String value)
            throws DeviceException, EventChannelException, StoreException {
        lab.awaitState(paths.backend(), "2");
        GrantedPages ring = GrantedPages.grant(guest.domain, paths.backendDomain(), 1, false);
        GrantedPages data = GrantedPages.grant(guest.domain, paths.backendDomain(), 4, false);
        EventChannel port = guest.domain.eventChannels().allocUnbound(paths.backendDomain());
        RawFrontend front = new RawFrontend(guest, paths, ring, data, port, entryBytes);
        RingKeys keys = new RingKeys(List.of(ring.gref(0)), port.port(), RingKeys.X86_64);
        guest.store.transaction(
                transaction -> {
                    keys.write(transaction, paths.frontend());
                    if (!key.isEmpty()) {
                        transaction.write(paths.frontend() + "/" + key, value);
                    }
                    transaction.write(paths.frontend() + "/state", "3");
                });
        return front;
    }

    /// Takes a key away, and starts anew after the backend has refused the ring.
    void startAnew(ContractLab lab, String key) throws StoreException {
        guest.store.remove(paths.frontend() + "/" + key);
        state("5");
        state("6");
        lab.awaitState(paths.backend(), "6");
        state("1");
    }

    /// A reference that the backend may use, or one that it may not.
    int someGref(SplittableRandom random) {
        return random.nextInt(4) == 0
                ? random.nextInt()
                : dataPages.gref(random.nextInt(dataPages.count()));
    }

    /// Whether an edit of a request has made it name the ring's own page. A device that writes into
    /// the pages of a request would then be told to overwrite the indices, and would be right to
    /// give up.
    boolean namesRing(MemorySegment edited, MemorySegment honest) {
        int ringGref = ringPages.gref(0);
        for (long at = 0; at + Integer.BYTES <= edited.byteSize(); at++) {
            if (edited.get(ValueLayout.JAVA_INT_UNALIGNED, at) == ringGref
                    && honest.get(ValueLayout.JAVA_INT_UNALIGNED, at) != ringGref) {
                return true;
            }
        }
        return false;
    }

    void state(String state) throws StoreException {
        guest.store.write(paths.frontend() + "/state", state);
    }

    /// Leaves as a guest does: its pages go back, as far as the backend has let go.
    @Override
    public void close() {
        port.close();
        ringPages.close();
        dataPages.close();
    }
}
