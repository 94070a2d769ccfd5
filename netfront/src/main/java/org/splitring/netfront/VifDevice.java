package org.splitring.netfront;

import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.FrontendHooks;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.XenbusState;
import org.splitring.xenbus.store.StoreException;

/// What a vif does at the steps of its life. Frames belong to a connection: what no backend has
/// taken when it goes is lost, as on a wire, and pages are granted anew to the next one.
final class VifDevice implements FrontendHooks {
    private final DeviceLoop loop;
    private final VifUser user;
    private final VifFrontendOptions options;
    private final VifCounters counters = new VifCounters();

    private @Nullable VifConnection current; // of the loop
    private volatile boolean carrier;

    VifDevice(DeviceLoop loop, VifUser user, VifFrontendOptions options) {
        this.loop = loop;
        this.user = user;
        this.options = options;
    }

    DeviceLoop loop() {
        return loop;
    }

    VifUser user() {
        return user;
    }

    VifCounters counters() {
        return counters;
    }

    boolean hasCarrier() {
        return carrier;
    }

    /// The connection that frames are sent through. On the loop.
    @Nullable VifConnection current() {
        return current;
    }

    /// On the loop.
    void carrierOn(VifConnection connection) {
        current = connection;
        carrier = true;
        user.carrierOn(connection.features());
    }

    /// On the loop; once for each connection that had a carrier.
    void carrierOff(VifConnection connection) {
        if (current == connection) {
            current = null;
            carrier = false;
            user.carrierOff();
        }
    }

    @Override
    public Connection prepare(
            GuestDomain guest, DevicePaths paths, Keys backend, Consumer<String> broken)
            throws StoreException, HandshakeException, EventChannelException {
        return VifConnection.open(this, guest, paths, backend, options, broken);
    }

    /// Linux's netback waits for Connected, and ignores Initialised.
    @Override
    public XenbusState publishedAs() {
        return XenbusState.CONNECTED;
    }

    @Override
    public void ended(String reason) {
        // The last connection is closed, and its user has heard of it.
    }
}
