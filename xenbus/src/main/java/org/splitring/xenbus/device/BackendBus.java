package org.splitring.xenbus.device;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DomId;
import org.splitring.xenbus.BackendHooks;
import org.splitring.xenbus.BackendMachine;
import org.splitring.xenbus.BackendOptions;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.RingViews;
import org.splitring.xenbus.SerialTasks;
import org.splitring.xenbus.XenbusState;
import org.splitring.xenbus.store.StoreError;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.Watch;

/// The backends of one guest: an instance for each device that the toolstack writes into the store,
/// until the device is gone.
///
/// It watches one folder for each class that has a driver, `backend/CLASS/GUEST` of its own domain:
/// guests cannot write there. What a device does afterwards is the business of its
/// [BackendMachine]. A driver that refuses a device, or fails, leaves its reason in the device's
/// error node; the other devices do not notice.
public final class BackendBus implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(BackendBus.class);

    private final BackendHost host;
    private final DomId guest;
    private final DeviceClasses classes;
    private final Map<String, String> folders; // name in the store, class
    private final BackendOptions options;
    private final SerialTasks tasks;
    private final CompletableFuture<Void> closed = new CompletableFuture<>();

    private final Map<DevicePaths, Instance> instances =
            new ConcurrentHashMap<>(); // changed by tasks

    // Of the tasks.
    private final List<Watch> watches = new ArrayList<>();
    private final Set<DevicePaths> refused = new HashSet<>();
    private boolean closing;

    private record Instance(BackendMachine machine, BackendContext context) {}

    private BackendBus(
            BackendHost host,
            DomId guest,
            DeviceClasses classes,
            Map<String, String> folders,
            BackendOptions options) {
        this.host = host;
        this.guest = guest;
        this.classes = classes;
        this.folders = Map.copyOf(folders);
        this.options = options;
        tasks = new SerialTasks("backends of " + guest, host.executor());
    }

    /// Serves the guest's devices from now on.
    ///
    /// @param classes stays the caller's: closed after the bus
    public static BackendBus open(
            BackendHost host, DomId guest, DeviceClasses classes, BackendOptions options)
            throws StoreException {
        Map<String, String> folders = new TreeMap<>();
        classes.names().forEach(name -> folders.put(name, name));
        return open(host, guest, classes, folders, options);
    }

    /// Serves the guest's devices in certain folders only.
    ///
    /// @param folders name of each folder below `backend`, and the class of the devices in it:
    ///     `qdisk` may have `vbd`
    public static BackendBus open(
            BackendHost host,
            DomId guest,
            DeviceClasses classes,
            Map<String, String> folders,
            BackendOptions options)
            throws StoreException {
        BackendBus bus = new BackendBus(host, guest, classes, folders, options);
        try {
            for (String name : bus.folders.keySet()) {
                bus.watches.add(
                        host.store().watch(bus.folder(name), path -> bus.changed(name, path)));
            }
        } catch (StoreException e) {
            bus.close();
            throw e;
        }
        return bus;
    }

    private String folder(String name) {
        return DevicePaths.domain(host.domain().id()) + "/backend/" + name + "/" + guest;
    }

    /// States and keys of a device are its machine's business: only its folder counts here.
    private void changed(String name, String path) {
        String folder = folder(name);
        String below = path.startsWith(folder + "/") ? path.substring(folder.length() + 1) : "";
        if (!below.contains("/") || below.endsWith("/state")) {
            tasks.execute(() -> look(name));
        }
    }

    private void look(String name) {
        if (closing) {
            return;
        }
        DomId own = host.domain().id();
        String deviceClass = folders.getOrDefault(name, name);
        try {
            Set<DevicePaths> there = new HashSet<>();
            for (String entry : host.store().list(folder(name))) {
                if (entry.matches("[0-9]{1,9}")) {
                    int device = Integer.parseInt(entry);
                    there.add(new DevicePaths(deviceClass, name, guest, own, device));
                }
            }
            refused.removeIf(p -> p.backendType().equals(name) && !there.contains(p));
            for (DevicePaths paths : there) {
                if (!instances.containsKey(paths)) {
                    beginOrRemove(paths);
                }
            }
        } catch (StoreException e) {
            if (e.error() != StoreError.EIO) { // the store is gone: Store.onLost says it once
                LOG.warn("backends of {}: {}", guest, e.getMessage());
            }
        }
    }

    private void beginOrRemove(DevicePaths paths) throws StoreException {
        if (options.removesFolders() && isTakenAway(paths)) {
            host.store().remove(paths.backend());
        } else if (!refused.contains(paths)) {
            begin(paths);
        }
    }

    private boolean isTakenAway(DevicePaths paths) throws StoreException {
        return new Keys(host.store(), paths.backend()).text("online").orElse("1").equals("0");
    }

    private void begin(DevicePaths paths) throws StoreException {
        Keys keys = new Keys(host.store(), paths.backend());
        Optional<String> state = keys.text("state");
        if (state.isEmpty()
                || keys.text("frontend").isEmpty()
                || keys.text("online").orElse("1").equals("0")) {
            return; // not made yet, or on its way out
        }
        BackendDriver driver = classes.get(paths.type()).orElseThrow().backend();
        BackendContext context = new BackendContext(host, paths);
        boolean begun = false;
        try {
            BackendHooks hooks = driver.create(context);
            BackendMachine machine =
                    BackendMachine.create(
                            host.store(), paths, hooks, options, host.executor(), host.timers());
            context.onRepublish(machine::republish);
            begun = true;
            instances.put(paths, new Instance(machine, context));
            var ignored = machine.whenEnded().thenRunAsync(() -> ended(paths), tasks);
        } catch (DeviceException e) {
            refuse(paths, String.valueOf(e.getMessage()));
        } catch (RuntimeException | LinkageError e) { // somebody else's code
            LOG.error("backend {}: the driver failed", paths.backend(), e);
            refuse(paths, "the driver failed: " + e);
        } finally {
            if (!begun) {
                context.end();
            }
        }
    }

    private void ended(DevicePaths paths) {
        Instance instance = instances.remove(paths);
        if (instance != null) {
            instance.context().end();
        }
        if (closing && instances.isEmpty()) {
            closed.complete(null);
        }
        look(paths.backendType()); // a new one may stand under the number already
    }

    /// The device stays without a backend until it is removed.
    private void refuse(DevicePaths paths, String reason) {
        LOG.warn("backend {}: {}", paths.backend(), reason);
        refused.add(paths);
        try {
            host.store()
                    .transaction(
                            keys -> {
                                if (keys.read(paths.backend() + "/state").isPresent()) {
                                    keys.write(paths.backendError(), reason);
                                    keys.write(
                                            paths.backend() + "/state",
                                            Integer.toString(XenbusState.CLOSED.number()));
                                }
                            });
        } catch (StoreException e) {
            LOG.debug("backend {}: error node: {}", paths.backend(), e.getMessage());
        }
    }

    /// Where the rings of each device stand, for people who look for a fault. Any thread.
    ///
    /// @return for each device what [BackendMachine#rings] says
    public Map<DevicePaths, CompletableFuture<RingViews>> rings() {
        Map<DevicePaths, CompletableFuture<RingViews>> all = new HashMap<>();
        instances.forEach((paths, each) -> all.put(paths, each.machine().rings()));
        return all;
    }

    /// The guest is gone: nobody is asked, everything is given back.
    ///
    /// @return completes when nothing of the guest is mapped
    public CompletableFuture<Void> guestGone() {
        return end(instance -> instance.machine().removeAsync());
    }

    /// Closes every device, with the guest's help where it is there in time.
    ///
    /// @return completes when all are closed
    public CompletableFuture<Void> closeAsync() {
        return end(instance -> instance.machine().closeAsync());
    }

    private interface Ending {
        CompletableFuture<Void> end(Instance instance);
    }

    private CompletableFuture<Void> end(Ending ending) {
        tasks.execute(
                () -> {
                    closing = true;
                    watches.forEach(Watch::close);
                    watches.clear();
                    for (Instance instance : instances.values()) {
                        var ignored = ending.end(instance); // it ends through whenEnded
                    }
                    if (instances.isEmpty()) {
                        closed.complete(null);
                    }
                });
        return closed.copy();
    }

    /// As [#closeAsync], and waits. Not on a loop.
    @Override
    public void close() {
        closeAsync().join();
    }
}
