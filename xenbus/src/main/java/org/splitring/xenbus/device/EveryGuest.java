package org.splitring.xenbus.device;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DomId;
import org.splitring.xenbus.BackendOptions;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.SerialTasks;
import org.splitring.xenbus.store.StoreError;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.Watch;

/// The backends of every guest that a toolstack of somebody else gives devices to, as xl does: a
/// [BackendBus] for each guest as long as there is a folder of it.
///
/// Only this domain and the toolstack can write the names of these folders.
public final class EveryGuest implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(EveryGuest.class);

    private final BackendHost host;
    private final DeviceClasses classes;
    private final Map<String, String> folders;
    private final BackendOptions options;
    private final SerialTasks tasks;
    private final CompletableFuture<Void> closed = new CompletableFuture<>();

    // Of the tasks.
    private final List<Watch> watches = new ArrayList<>();
    private final Map<DomId, BackendBus> buses = new HashMap<>();
    private final Set<DomId> leaving = new HashSet<>(); // still in buses
    private final Set<DomId> gone = new HashSet<>(); // whose folders may be there still
    private boolean closing;

    private EveryGuest(
            BackendHost host,
            DeviceClasses classes,
            Map<String, String> folders,
            BackendOptions options) {
        this.host = host;
        this.classes = classes;
        this.folders = Map.copyOf(folders);
        this.options = options;
        tasks = new SerialTasks("backends", host.executor());
    }

    /// Serves whoever is there and whoever comes.
    ///
    /// @param classes stays the caller's: closed after this
    /// @param folders as for [BackendBus#open]
    public static EveryGuest serve(
            BackendHost host,
            DeviceClasses classes,
            Map<String, String> folders,
            BackendOptions options)
            throws StoreException {
        EveryGuest served = new EveryGuest(host, classes, folders, options);
        try {
            for (String name : served.folders.keySet()) {
                String folder = served.folder(name);
                served.watches.add(
                        host.store().watch(folder, path -> served.changed(folder, path)));
            }
        } catch (StoreException e) {
            served.close();
            throw e;
        }
        return served;
    }

    private String folder(String name) {
        return DevicePaths.domain(host.domain().id()) + "/backend/" + name;
    }

    private void changed(String folder, String path) {
        String below = path.startsWith(folder + "/") ? path.substring(folder.length() + 1) : "";
        int end = below.indexOf('/');
        String guest = end < 0 ? below : below.substring(0, end);
        boolean folderItself = end < 0 || below.indexOf('/', end + 1) < 0;
        tasks.execute(
                () -> {
                    // What is below a device is the business of its guest's bus.
                    if (folderItself || !guest.matches("[0-9]{1,5}") || !knows(guest)) {
                        look();
                    }
                });
    }

    private boolean knows(String guest) {
        int number = Integer.parseInt(guest);
        return number < DomId.FIRST_RESERVED && buses.containsKey(new DomId(number));
    }

    private void look() {
        if (closing) {
            return;
        }
        try {
            Set<DomId> there = new HashSet<>();
            for (String name : folders.keySet()) {
                for (String guest : host.store().list(folder(name))) {
                    if (guest.matches("[0-9]{1,5}")
                            && Integer.parseInt(guest) < DomId.FIRST_RESERVED
                            && !host.store().list(folder(name) + "/" + guest).isEmpty()) {
                        there.add(new DomId(Integer.parseInt(guest)));
                    }
                }
            }
            gone.retainAll(there);
            there.removeAll(gone);
            for (DomId guest : there) {
                if (!buses.containsKey(guest)) {
                    buses.put(guest, BackendBus.open(host, guest, classes, folders, options));
                }
            }
            buses.forEach(
                    (guest, bus) -> {
                        if (!there.contains(guest)) {
                            end(guest, bus.guestGone()); // its end comes as a task of its own
                        }
                    });
        } catch (StoreException e) {
            if (e.error() != StoreError.EIO) { // the store is gone: Store.onLost says it once
                LOG.warn("guests: {}", e.getMessage());
            }
        }
    }

    private void end(DomId guest, CompletableFuture<Void> ended) {
        if (leaving.add(guest)) {
            var ignored = ended.thenRunAsync(() -> ended(guest), tasks);
        }
    }

    private void ended(DomId guest) {
        buses.remove(guest);
        leaving.remove(guest);
        forgetErrors(guest);
        if (closing && buses.isEmpty()) {
            closed.complete(null);
        }
        look(); // it may be there again already
    }

    /// What was wrong with the devices of a guest goes with it: a toolstack of somebody else knows
    /// nothing of what we have written.
    private void forgetErrors(DomId guest) {
        String errors = DevicePaths.domain(host.domain().id()) + "/error/backend/";
        try {
            for (String name : folders.keySet()) {
                host.store().remove(errors + name + "/" + guest);
            }
        } catch (StoreException e) {
            LOG.debug("errors of guest {}: {}", guest, e.getMessage()); // the store is gone
        }
    }

    /// Guests that have devices here now. Any thread but that of a device.
    public CompletableFuture<Set<DomId>> guests() {
        return CompletableFuture.supplyAsync(() -> Set.copyOf(buses.keySet()), tasks);
    }

    /// A guest is gone, whatever the store still says of its devices: everything of it is given
    /// back, and what stands there is not looked at again.
    public void guestGone(DomId guest) {
        tasks.execute(
                () -> {
                    BackendBus bus = buses.get(guest);
                    if (bus != null && gone.add(guest)) {
                        end(guest, bus.guestGone());
                    }
                });
    }

    /// Closes every device, with the guests' help where it is there in time.
    ///
    /// @return completes when all are closed
    public CompletableFuture<Void> closeAsync() {
        tasks.execute(
                () -> {
                    closing = true;
                    watches.forEach(Watch::close);
                    watches.clear();
                    buses.forEach((guest, bus) -> end(guest, bus.closeAsync()));
                    if (buses.isEmpty()) {
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
