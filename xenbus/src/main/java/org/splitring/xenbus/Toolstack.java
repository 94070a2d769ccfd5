package org.splitring.xenbus;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.splitring.hypervisor.DomId;
import org.splitring.xenbus.store.Permission;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreError;
import org.splitring.xenbus.store.StoreException;

/// What the toolstack does in the store: it makes and removes the folders of domains and devices.
/// Drivers only write into folders that exist.
///
/// Rights are those that Xen's libxl gives: a guest reads its folder and writes in a few places of
/// it; a device's frontend folder belongs to the guest and is read by the backend's domain, its
/// backend folder the other way round.
public final class Toolstack {
    /// Folders of a domain that the guest may write in.
    private static final List<String> GUEST_FOLDERS =
            List.of(
                    "attr",
                    "control/feature-suspend",
                    "control/shutdown",
                    "data",
                    "drivers",
                    "error",
                    "feature");

    /// A device and the states its ends are in.
    public record DeviceStatus(
            DevicePaths paths, XenbusState frontendState, XenbusState backendState) {}

    private final Store control;

    /// @param control a connection with the rights of domain 0; it is not closed here
    public Toolstack(Store control) {
        this.control = control;
    }

    /// Makes a domain's folder. What was there under the number is removed.
    public void createDomain(DomId domain, String name) throws StoreException {
        String folder = DevicePaths.domain(domain);
        control.transaction(
                transaction -> {
                    transaction.remove(folder);
                    transaction.makeNode(folder);
                    transaction.setPermissions(
                            folder, List.of(Permission.none(DomId.ZERO), Permission.read(domain)));
                    transaction.write(folder + "/name", name);
                    transaction.write(folder + "/domid", domain.toString());
                    transaction.makeNode(folder + "/device");
                    for (String writable : GUEST_FOLDERS) {
                        transaction.makeNode(folder + "/" + writable);
                        transaction.setPermissions(
                                folder + "/" + writable, List.of(Permission.none(domain)));
                    }
                });
    }

    /// Removes a domain's folder, with the frontend folders in it. Backend folders stay for their
    /// backends to see: [#removeDevice] takes them away.
    public void removeDomain(DomId domain) throws StoreException {
        control.remove(DevicePaths.domain(domain));
    }

    /// Makes a vbd: both folders in one transaction, both ends in state 1.
    ///
    /// @param name the guest's name for it, such as `xvda`
    /// @param readOnly whether the guest may only read
    /// @param params path of a raw image, or `FORMAT:PATH`
    public void createVbd(DevicePaths paths, String name, boolean readOnly, String params)
            throws StoreException {
        createDevice(paths, vbdFrontend(paths.device()), vbdBackend(name, readOnly, params));
    }

    /// What a vbd's frontend folder has besides the keys of every device.
    public static Map<String, String> vbdFrontend(int device) {
        return Map.of("virtual-device", Integer.toString(device), "device-type", "disk");
    }

    /// What a vbd's backend folder has besides the keys of every device. Only the backend's domain
    /// can write it.
    public static Map<String, String> vbdBackend(String name, boolean readOnly, String params) {
        return Map.of(
                "params",
                params,
                "type",
                params.startsWith("/") ? "file" : "qdisk", // as xl's toolstack calls it
                "dev",
                name,
                "mode",
                readOnly ? "r" : "w",
                "device-type",
                "disk",
                "removable",
                "0");
    }

    /// Makes a device: both folders in one transaction, both ends in state 1, `online` 1.
    ///
    /// @param frontendKeys keys beside `backend`, `backend-id` and `state`
    /// @param backendKeys keys beside `frontend`, `frontend-id`, `online` and `state`
    /// @throws StoreException [StoreError#EEXIST] when there is such a device
    public void createDevice(
            DevicePaths paths, Map<String, String> frontendKeys, Map<String, String> backendKeys)
            throws StoreException {
        DomId guest = paths.frontendDomain();
        DomId backend = paths.backendDomain();
        control.transaction(
                transaction -> {
                    if (transaction.read(paths.frontend() + "/state").isPresent()
                            || transaction.read(paths.backend() + "/state").isPresent()) {
                        throw new StoreException(
                                StoreError.EEXIST, "device " + paths.frontend() + " exists");
                    }
                    folder(transaction, paths.frontend(), guest, backend);
                    write(transaction, paths.frontend(), frontendKeys);
                    transaction.write(paths.frontend() + "/backend", paths.backend());
                    transaction.write(paths.frontend() + "/backend-id", backend.toString());
                    folder(transaction, paths.backend(), backend, guest);
                    write(transaction, paths.backend(), backendKeys);
                    transaction.write(paths.backend() + "/frontend", paths.frontend());
                    transaction.write(paths.backend() + "/frontend-id", guest.toString());
                    transaction.write(paths.backend() + "/online", "1");
                    transaction.write(paths.frontend() + "/state", "1");
                    transaction.write(paths.backend() + "/state", "1");
                });
    }

    /// Makes a device and waits until both ends are connected.
    ///
    /// @param frontendKeys as in [#createDevice]
    /// @param backendKeys as in [#createDevice]
    /// @throws HandshakeException which names the step that failed, or that was waited for in vain;
    ///     the device is removed again
    /// @throws StoreException [StoreError#EEXIST] when there is such a device
    public void attach(
            DevicePaths paths,
            Map<String, String> frontendKeys,
            Map<String, String> backendKeys,
            Duration deadline)
            throws StoreException, HandshakeException, InterruptedException {
        createDevice(paths, frontendKeys, backendKeys);
        boolean connected = false;
        try (StateWait wait = StateWait.open(control, paths)) {
            wait.untilConnected(deadline);
            connected = true;
        } finally {
            if (!connected) {
                removeDevice(paths);
            }
        }
    }

    /// Unplugs a device, waits until both ends have closed it, and removes its folders.
    ///
    /// @throws HandshakeException which names the end that did not close in time; the device is
    ///     still there
    public void detach(DevicePaths paths, Duration deadline)
            throws StoreException, HandshakeException, InterruptedException {
        try (StateWait wait = StateWait.open(control, paths)) {
            unplug(paths);
            wait.untilClosed(deadline);
        }
        removeDevice(paths);
    }

    /// Asks for unplugging, in one transaction: `online` 0, then the backend's state 5. The device
    /// is gone when its backend has gone to 6; then [#removeDevice].
    public void unplug(DevicePaths paths) throws StoreException {
        control.transaction(
                transaction -> {
                    if (transaction.read(paths.backend() + "/state").isEmpty()) {
                        return;
                    }
                    transaction.write(paths.backend() + "/online", "0");
                    transaction.write(
                            paths.backend() + "/state",
                            Integer.toString(XenbusState.CLOSING.number()));
                });
    }

    /// Removes both folders and error nodes, whatever state the device is in.
    public void removeDevice(DevicePaths paths) throws StoreException {
        control.transaction(
                transaction -> {
                    transaction.remove(paths.frontend());
                    transaction.remove(paths.backend());
                    transaction.remove(parent(paths.frontendError()));
                    transaction.remove(parent(paths.backendError()));
                });
    }

    /// Devices that backends of `backend` serve, as the toolstack made them.
    public List<DeviceStatus> devices(DomId backend) throws StoreException {
        String top = DevicePaths.domain(backend) + "/backend";
        return control.transactionReturning(
                transaction -> {
                    List<DeviceStatus> found = new ArrayList<>();
                    for (String type : transaction.list(top)) {
                        for (String guest : transaction.list(top + "/" + type)) {
                            String devices = top + "/" + type + "/" + guest;
                            for (String device : transaction.list(devices)) {
                                add(transaction, backend, type, guest, device, found);
                            }
                        }
                    }
                    return found;
                });
    }

    private static void add(
            StoreAccess transaction,
            DomId backend,
            String backendType,
            String guest,
            String device,
            List<DeviceStatus> found)
            throws StoreException {
        if (!guest.matches("[0-9]{1,5}") || !device.matches("[0-9]{1,9}")) {
            return; // not made by us
        }
        int guestId = Integer.parseInt(guest);
        if (guestId >= DomId.FIRST_RESERVED) {
            return;
        }
        String folder =
                DevicePaths.domain(backend)
                        + "/backend/"
                        + backendType
                        + "/"
                        + guest
                        + "/"
                        + device;
        String frontend = transaction.read(folder + "/frontend").orElse("");
        String[] parts = frontend.split("/", -1);
        if (parts.length != 7 || !DevicePaths.isName(parts[5])) {
            return;
        }
        DevicePaths paths =
                new DevicePaths(
                        parts[5],
                        backendType,
                        new DomId(guestId),
                        backend,
                        Integer.parseInt(device));
        found.add(
                new DeviceStatus(
                        paths,
                        state(transaction, paths.frontend()),
                        state(transaction, paths.backend())));
    }

    private static XenbusState state(StoreAccess store, String folder) throws StoreException {
        return XenbusState.parse(store.read(folder + "/state").orElse(""));
    }

    private static void folder(StoreAccess store, String path, DomId owner, DomId reader)
            throws StoreException {
        store.makeNode(path);
        store.setPermissions(path, List.of(Permission.none(owner), Permission.read(reader)));
    }

    private static void write(StoreAccess store, String folder, Map<String, String> keys)
            throws StoreException {
        for (Map.Entry<String, String> key : keys.entrySet()) {
            store.write(folder + "/" + key.getKey(), key.getValue());
        }
    }

    private static String parent(String path) {
        return path.substring(0, path.lastIndexOf('/'));
    }
}
