package org.splitring.xenbus.device;

import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Executor;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.SerialTasks;
import org.splitring.xenbus.Timers;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.Watch;

/// What a backend of one device has to work with. Any thread.
public final class BackendContext {
    private static final Logger LOG = LoggerFactory.getLogger(BackendContext.class);

    private final BackendHost host;
    private final DevicePaths paths;
    private final DeviceLoop loop;
    private final DeviceMeters meters;
    private final SerialTasks notes;
    private final Endings endings;
    private volatile Runnable republish = () -> {};

    BackendContext(BackendHost host, DevicePaths paths) {
        this.host = host;
        this.paths = paths;
        loop = host.loops().get();
        meters =
                new DeviceMeters(
                        host.meters(),
                        "backend",
                        paths.backendType(),
                        paths.frontendDomain(),
                        paths.device());
        notes = new SerialTasks(paths.backend() + ": notes", host.executor());
        endings = new Endings(paths.backend());
    }

    /// Reaches the pages of the guest.
    public DriverDomain domain() {
        return host.domain();
    }

    public DevicePaths paths() {
        return paths;
    }

    /// The backend's own folder: what the toolstack wrote there ([BackendDriver#parameters]).
    public Keys keys() {
        return new Keys(host.store(), paths.backend());
    }

    /// A parameter that whoever attached the device gave.
    ///
    /// @throws DeviceException when the store cannot be read
    public Optional<String> parameter(String name) throws DeviceException {
        return parameter(keys(), name);
    }

    /// Follows a parameter that the toolstack may change while the device is there, such as a
    /// rate. The listener hears of the present value before this returns, and later, on the
    /// executor of the store's watches, of each that is written.
    ///
    /// @throws DeviceException when the store cannot be read
    public void watch(String name, Consumer<Optional<String>> listener) throws DeviceException {
        listener.accept(parameter(name));
        Keys keys = keys();
        try {
            Watch watch =
                    host.store().watch(keys.folder() + "/" + name, path -> tell(name, listener));
            onEnd(watch);
        } catch (StoreException e) {
            throw new DeviceException("parameter " + name + ": " + e.getMessage(), e);
        }
    }

    private void tell(String name, Consumer<Optional<String>> listener) {
        try {
            listener.accept(parameter(name));
        } catch (DeviceException e) {
            LOG.debug("{}: {}", paths.backend(), e.getMessage());
        }
    }

    static Optional<String> parameter(Keys keys, String name) throws DeviceException {
        try {
            return keys.text(name);
        } catch (StoreException e) {
            throw new DeviceException("parameter " + name + ": " + e.getMessage(), e);
        }
    }

    /// Writes a key into the backend's folder, for people and tools, unless that is gone. Any
    /// thread; it is written a little later, and what is noted first is written first.
    public void note(String key, String value) {
        notes.execute(
                () -> {
                    try {
                        host.store().transaction(folder -> note(folder, key, value));
                    } catch (StoreException e) {
                        LOG.debug("{}: {}: {}", paths.backend(), key, e.getMessage());
                    }
                });
    }

    private void note(StoreAccess store, String key, String value) throws StoreException {
        if (store.read(paths.backend() + "/state").isPresent()) {
            store.write(paths.backend() + "/" + key, value);
        }
    }

    /// Properties of the device have changed: `BackendHooks.publish` writes them again, and a
    /// frontend that is connected reads them. Any thread.
    public void republish() {
        republish.run();
    }

    void onRepublish(Runnable machine) {
        republish = machine;
    }

    /// What the program lends to drivers of its own classes.
    public <T> Optional<T> service(Class<T> type) {
        return host.services().find(type);
    }

    /// The loop that owns the device: its ring is served there.
    public DeviceLoop loop() {
        return loop;
    }

    /// For what waits, such as opening a file; never for a loop's work.
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

    /// Shows the device to users of the driver domain on a Unix socket, as long as the device is
    /// there.
    ///
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
