package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.driverdomain.lab.DeviceSpec;
import org.splitring.driverdomain.lab.LabDisk;
import org.splitring.driverdomain.lab.LabVif;
import org.splitring.driverdomain.lab.Suggestion;
import org.splitring.hypervisor.DomId;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.Toolstack;
import org.splitring.xenbus.device.DeviceClasses;
import org.splitring.xenbus.store.Permission;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.Watch;

/// What the toolstack keeps in the store about devices that drivers of the SPI serve. Guests can
/// write none of it.
///
///     /splitring/plugins                               the folder of plug-in jars
///     /splitring/classes/CLASS/frontend, backend       names of the parameters of each half
///     /splitring/devices/DOMID/CLASS/ID/frontend/KEY   what a device was attached with,
///     /splitring/devices/DOMID/CLASS/ID/backend/KEY    to make it again for another guest
///     /splitring/images/DOMID/ID                       image that a vbd holds open and locked
///     /splitring/save/REQUEST                          who waits until the store is saved
///     /splitring/suspended/DOMID                       a guest whose devices stand still
///
/// A successor of this driver domain finds them in the store that it takes over.
record DeviceNodes(Store store) {
    private static final Logger LOG = LoggerFactory.getLogger(DeviceNodes.class);
    private static final String TOP = "/splitring";
    private static final String PLUGINS = TOP + "/plugins";
    private static final String CLASSES = TOP + "/classes";
    private static final String DEVICES = TOP + "/devices";
    private static final String IMAGES = TOP + "/images";
    private static final String SAVE = TOP + "/save";

    /// A device that is attached whenever the guest is.
    record Attached(DevicePaths paths, Map<String, String> frontend, Map<String, String> backend) {}

    /// The folder of plug-in jars, when there is one.
    Optional<Path> plugins() throws StoreException {
        return store.read(PLUGINS).filter(text -> !text.isEmpty()).map(Path::of);
    }

    /// Says where guests find the plug-in jars.
    void publishPlugins(Path folder) throws StoreException {
        store.transaction(
                transaction -> {
                    transaction.write(PLUGINS, folder.toString());
                    transaction.setPermissions(PLUGINS, List.of(Permission.read(DomId.ZERO)));
                });
    }

    /// Says which classes there are, for `attach`.
    void publishClasses(DeviceClasses classes) throws StoreException {
        store.transaction(
                transaction -> {
                    transaction.remove(CLASSES);
                    transaction.makeNode(CLASSES);
                    for (String name : classes.names()) {
                        DeviceClasses.DeviceClass found = classes.get(name).orElseThrow();
                        transaction.write(
                                CLASSES + "/" + name + "/frontend",
                                String.join(" ", found.frontend().parameters()));
                        transaction.write(
                                CLASSES + "/" + name + "/backend",
                                String.join(" ", found.backend().parameters()));
                    }
                });
    }

    /// A disk as a device to be attached.
    static Attached disk(DomId guest, LabDisk disk) {
        int number = disk.device().number();
        Map<String, String> backend =
                new TreeMap<>(
                        Toolstack.vbdBackend(
                                disk.device().name(), disk.readOnly(), disk.source().toString()));
        backend.put("discard-enable", disk.discard() ? "1" : "0");
        backend.put("cache", disk.mode().label());
        backend.put("rate", disk.limits().rate().toString());
        backend.put("weight", Integer.toString(disk.limits().weight()));
        Map<String, String> frontend = new TreeMap<>(Toolstack.vbdFrontend(number));
        if (disk.cdrom()) {
            frontend.put("device-type", "cdrom");
            backend.put("device-type", "cdrom");
            backend.put("removable", "1");
        }
        return new Attached(DevicePaths.vbd(guest, DomId.ZERO, number), frontend, backend);
    }

    /// A network interface as a device to be attached.
    static Attached vif(DomId guest, LabVif vif) {
        return new Attached(
                new DevicePaths("vif", guest, DomId.ZERO, vif.device()),
                vif.frontendKeys(),
                vif.backendKeys());
    }

    /// `CLASS/ID`, for people; a disk by its name: `vbd/xvda`.
    static String name(Attached device) {
        String id = Integer.toString(device.paths().device());
        return device.paths().type() + "/" + device.backend().getOrDefault("dev", id);
    }

    /// What a disk is called: `xvda`.
    String diskName(DevicePaths paths) throws StoreException {
        String number = Integer.toString(paths.device());
        String now = store.read(paths.backend() + "/dev").orElse(number);
        return store.read(folder(paths) + "/backend/dev").orElse(now);
    }

    private static Set<String> words(StoreAccess from, String node) throws StoreException {
        Set<String> words = new TreeSet<>(List.of(from.read(node).orElse("").split(" ", -1)));
        words.remove("");
        return words;
    }

    /// Sorts what was given for a device to its two halves, under the lowest number that is free.
    ///
    /// @throws CommandException when there is no such class, or it has no such parameter
    Attached plan(DomId guest, DeviceSpec spec) throws StoreException, CommandException {
        String name = spec.deviceClass();
        if (name.equals("vbd")) {
            throw new CommandException("a disk of a lab file stands in its key \"disk\"");
        }
        List<String> known = store.list(CLASSES);
        if (!known.contains(name)) {
            throw new CommandException(
                    "no device class \""
                            + name
                            + "\""
                            + Suggestion.of(name, known)
                            + "; there are "
                            + String.join(", ", new TreeSet<>(known)));
        }
        Set<String> ofFrontend = words(store, CLASSES + "/" + name + "/frontend");
        Set<String> ofBackend = words(store, CLASSES + "/" + name + "/backend");
        Map<String, String> frontend = new TreeMap<>();
        Map<String, String> backend = new TreeMap<>();
        for (Map.Entry<String, String> given : spec.parameters().entrySet()) {
            String key = given.getKey();
            if (!ofFrontend.contains(key) && !ofBackend.contains(key)) {
                Set<String> all = new TreeSet<>(ofFrontend);
                all.addAll(ofBackend);
                throw new CommandException(
                        "device class \""
                                + name
                                + "\" has no parameter \""
                                + key
                                + "\""
                                + Suggestion.of(key, List.copyOf(all))
                                + (all.isEmpty()
                                        ? "; it has none"
                                        : "; it has " + String.join(", ", all)));
            }
            if (ofFrontend.contains(key)) {
                frontend.put(key, given.getValue());
            }
            if (ofBackend.contains(key)) {
                backend.put(key, given.getValue());
            }
        }
        int device = 0;
        Set<String> taken = new TreeSet<>(store.list(folder(guest) + "/" + name));
        taken.addAll(store.list(DevicePaths.domain(DomId.ZERO) + "/backend/" + name + "/" + guest));
        while (taken.contains(Integer.toString(device))) {
            device++;
        }
        DevicePaths paths = new DevicePaths(name, guest, DomId.ZERO, device);
        return new Attached(paths, frontend, backend);
    }

    private static String folder(DomId guest) {
        return DEVICES + "/" + guest;
    }

    private static String folder(DevicePaths paths) {
        return folder(paths.frontendDomain()) + "/" + paths.type() + "/" + paths.device();
    }

    /// The domains of which anything is remembered.
    List<DomId> domains() throws StoreException {
        return store.list(DEVICES).stream().map(Integer::parseInt).map(DomId::new).toList();
    }

    /// Whether anything is remembered of a domain.
    boolean knows(DomId guest) throws StoreException {
        return store.read(folder(guest)).isPresent();
    }

    /// Begins to remember a domain's devices.
    void begin(DomId guest) throws StoreException {
        store.makeNode(folder(guest));
    }

    /// Whether a device is remembered.
    boolean knows(DevicePaths paths) throws StoreException {
        return store.read(folder(paths)).isPresent();
    }

    /// Remembers a device.
    void remember(Attached device) throws StoreException {
        String folder = folder(device.paths());
        store.transaction(
                transaction -> {
                    transaction.makeNode(folder + "/frontend");
                    transaction.makeNode(folder + "/backend");
                    for (Map.Entry<String, String> key : device.frontend().entrySet()) {
                        transaction.write(folder + "/frontend/" + key.getKey(), key.getValue());
                    }
                    for (Map.Entry<String, String> key : device.backend().entrySet()) {
                        transaction.write(folder + "/backend/" + key.getKey(), key.getValue());
                    }
                });
    }

    /// Remembers other keys of a device's backend, unless the device has been forgotten.
    void change(DevicePaths paths, Map<String, String> backend) throws StoreException {
        String folder = folder(paths) + "/backend";
        store.transaction(
                transaction -> {
                    if (transaction.read(folder).isPresent()) {
                        for (Map.Entry<String, String> key : backend.entrySet()) {
                            if (!key.getKey().equals("pause")) {
                                transaction.write(folder + "/" + key.getKey(), key.getValue());
                            }
                        }
                    }
                });
    }

    /// Limits a vif from now on, whoever serves it.
    ///
    /// @param rate the value of the node, empty for no limit
    void setRate(Attached vif, String rate) throws StoreException {
        DevicePaths paths = vif.paths();
        store.transaction(
                transaction -> {
                    for (String folder : List.of(folder(paths) + "/backend", paths.backend())) {
                        if (rate.isEmpty()) {
                            transaction.remove(folder + "/rate");
                        } else if (transaction.read(folder).isPresent()) {
                            transaction.write(folder + "/rate", rate);
                        }
                    }
                });
    }

    /// Forgets all devices of a domain.
    void forget(DomId guest) throws StoreException {
        store.remove(folder(guest));
    }

    void forget(DevicePaths paths) throws StoreException {
        store.remove(folder(paths));
    }

    /// The devices of one class, as they were remembered.
    List<Attached> remembered(DomId guest, String deviceClass) throws StoreException {
        return remembered(guest).stream()
                .filter(device -> device.paths().type().equals(deviceClass))
                .toList();
    }

    /// Runs `listener` now, and whenever devices of a class have been remembered or forgotten.
    Watch watch(DomId guest, String deviceClass, Runnable listener) throws StoreException {
        return store.watch(folder(guest) + "/" + deviceClass, path -> listener.run());
    }

    /// The devices of a domain, as they were remembered.
    List<Attached> remembered(DomId guest) throws StoreException {
        return store.transactionReturning(
                transaction -> {
                    List<Attached> devices = new ArrayList<>();
                    for (String name : transaction.list(folder(guest))) {
                        for (String number : transaction.list(folder(guest) + "/" + name)) {
                            DevicePaths paths =
                                    new DevicePaths(
                                            name, guest, DomId.ZERO, Integer.parseInt(number));
                            String folder = folder(paths);
                            devices.add(
                                    new Attached(
                                            paths,
                                            keys(transaction, folder + "/frontend"),
                                            keys(transaction, folder + "/backend")));
                        }
                    }
                    return devices;
                });
    }

    private static Map<String, String> keys(StoreAccess from, String folder) throws StoreException {
        Map<String, String> keys = new TreeMap<>();
        for (String key : from.list(folder)) {
            keys.put(key, from.read(folder + "/" + key).orElse(""));
        }
        return keys;
    }

    private static String image(DevicePaths paths) {
        return IMAGES + "/" + paths.frontendDomain() + "/" + paths.device();
    }

    /// No image is open, whatever an earlier driver domain has noted.
    void beginImages() throws StoreException {
        store.remove(IMAGES);
    }

    /// Says that the image of a vbd is open and locked.
    void imageOpened(DevicePaths paths, String image) throws StoreException {
        store.write(image(paths), image);
    }

    /// Says that it is closed, unless another has been opened since.
    void imageClosed(DevicePaths paths, String image) throws StoreException {
        store.transaction(
                transaction -> {
                    if (transaction.read(image(paths)).orElse("").equals(image)) {
                        transaction.remove(image(paths));
                    }
                });
    }

    /// Waits until the image of a vbd is closed: then everything in it is stable, and others may
    /// have it.
    ///
    /// @return the image, when it is still open at the end of the time
    Optional<String> awaitImageClosed(DevicePaths paths, Duration limit)
            throws StoreException, InterruptedException {
        return NodeWait.awaitGone(store, image(paths), limit);
    }

    /// Waits until what was written before is in the dump that a successor will find.
    ///
    /// @return `false` when the time is over
    boolean awaitSaved(Duration limit) throws StoreException, InterruptedException {
        String request = SAVE + "/" + NodeWait.uniqueName();
        store.write(request, "");
        return NodeWait.awaitGone(store, request, limit).isEmpty();
    }

    /// What it takes to save the store.
    interface Saver {
        void save() throws IOException;
    }

    /// Saves the store whenever somebody waits for it ([#awaitSaved]).
    Watch saveOnRequest(Saver saver) throws StoreException {
        return store.watch(
                SAVE,
                path -> {
                    try {
                        List<String> requests = store.list(SAVE);
                        if (!requests.isEmpty()) {
                            saver.save();
                        }
                        for (String request : requests) {
                            store.remove(SAVE + "/" + request);
                        }
                    } catch (StoreException | IOException e) {
                        LOG.error("the store cannot be saved now, for those who wait", e);
                    }
                });
    }
}
