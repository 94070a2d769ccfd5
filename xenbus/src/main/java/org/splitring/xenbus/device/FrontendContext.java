package org.splitring.xenbus.device;

import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Executor;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.Timers;
import org.splitring.xenbus.store.Store;

/// What a frontend of one device has to work with, over all its connections. Any thread.
public final class FrontendContext {
    private final FrontendHost host;
    private final GuestDomain guest;
    private final String deviceClass;
    private final int device;
    private final Keys keys;
    private final DeviceLoop loop;
    private final DeviceMeters meters;
    private final Endings endings;

    /// @param store the connection to the store at this time; it may be another one later
    FrontendContext(
            FrontendHost host, GuestDomain guest, Store store, String deviceClass, int device) {
        this.host = host;
        this.guest = guest;
        this.deviceClass = deviceClass;
        this.device = device;
        keys =
                new Keys(
                        store,
                        "/local/domain/" + guest.id() + "/device/" + deviceClass + "/" + device);
        loop = host.loops().get();
        meters = new DeviceMeters(host.meters(), "frontend", deviceClass, guest.id(), device);
        endings = new Endings(keys.folder());
    }

    /// The guest as it is attached when the device comes. Its memory and pages stay the same; for
    /// the rest see `FrontendHooks.prepare`.
    public GuestDomain guest() {
        return guest;
    }

    /// What the program lends to drivers of its own classes.
    public <T> Optional<T> service(Class<T> type) {
        return host.services().find(type);
    }

    /// Number of the device within its class: the last part of its folder's name.
    public int device() {
        return device;
    }

    /// A parameter that whoever attached the device gave ([FrontendDriver#parameters]). Read while
    /// the driver creates the device, not later.
    ///
    /// @throws DeviceException when the store cannot be read
    public Optional<String> parameter(String name) throws DeviceException {
        return BackendContext.parameter(keys, name);
    }

    /// The loop that owns the device: its ring is served there.
    public DeviceLoop loop() {
        return loop;
    }

    /// For what waits; never for a loop's work.
    public Executor executor() {
        return host.executor();
    }

    /// The clock of deadlines.
    public Timers timers() {
        return host.timers();
    }

    public DeviceMeters meters() {
        return meters;
    }

    /// Where a socket of this device is: `CLASS` and its number, with an ending.
    ///
    /// @param ending such as `.sock`
    public Path socket(String ending) {
        return host.sockets().resolve(deviceClass + device + ending);
    }

    /// Shows the device to the guest's users on a Unix socket, as long as the device is there; also
    /// while its backend is being replaced.
    ///
    /// @param socket such as [#socket]
    /// @throws DeviceException when the socket cannot be made
    public void expose(Path socket, StreamServer server) throws DeviceException {
        onEnd(DeviceSocket.expose(socket, server));
    }

    /// Closes something when the device is gone for good, after its last connection; what was
    /// registered last is closed first.
    public void onEnd(AutoCloseable closeable) {
        endings.add(closeable);
    }

    void end() {
        endings.run();
        meters.close();
    }
}
