package org.splitring.driverdomain;

import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.image.BackingFolders;
import org.splitring.blkback.image.DiskSource;
import org.splitring.driverdomain.lab.DeviceSpec;
import org.splitring.driverdomain.lab.DiskLimits;
import org.splitring.driverdomain.lab.LabDisk;
import org.splitring.driverdomain.lab.LabException;
import org.splitring.driverdomain.lab.LabFile;
import org.splitring.driverdomain.lab.VifTables;
import org.splitring.driverdomain.lab.VirtualDevice;
import org.splitring.driverdomain.lab.XlRate;
import org.splitring.hypervisor.DomId;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Toolstack;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreError;
import org.splitring.xenbus.store.StoreException;

/// What somebody asks for about the devices of one running guest: each call waits until it is done,
/// on a thread that may wait.
final class GuestDevices {
    private static final Pattern NAME =
            Pattern.compile("([A-Za-z0-9_-]{1,64})/([A-Za-z0-9]{1,16})");

    private final Store store;
    private final Path runDir;
    private final Path labFile;
    private final String domain;
    private final long seconds;
    private final Consumer<String> say;

    /// @param store with the rights of domain 0
    /// @param domain name of the guest
    /// @param seconds how long to wait for the two ends
    /// @param say takes a line about what was done
    GuestDevices(
            Store store,
            Path runDir,
            Path labFile,
            String domain,
            long seconds,
            Consumer<String> say) {
        this.store = store;
        this.runDir = runDir;
        this.labFile = labFile;
        this.domain = domain;
        this.seconds = seconds;
        this.say = say;
    }

    private DomId guest() throws CommandException, StoreException {
        return new DomainNames(store).domain(domain);
    }

    private DeviceNodes nodes() {
        return new DeviceNodes(store);
    }

    private void say(String line) {
        say.accept(line);
    }

    /// Attaches what `CLASS,KEY=VALUE...` says; with the classes `vbd` and `vif` what xl has for
    /// them.
    ///
    /// @param folder that relative paths begin in
    void attachDevice(String text, Path folder)
            throws CommandException, LabException, StoreException, InterruptedException {
        int comma = text.indexOf(',');
        String deviceClass = (comma < 0 ? text : text.substring(0, comma)).strip();
        if (deviceClass.equals("vbd")) {
            attachDisk(comma < 0 ? "" : text.substring(comma + 1), folder);
            return;
        }
        if (deviceClass.equals("vif")) {
            attachVif(comma < 0 ? "" : text.substring(comma + 1));
            return;
        }
        DeviceSpec wanted = DeviceSpec.parse(text, folder);
        DomId guest = guest();
        attach(nodes().plan(guest, wanted));
    }

    /// Attaches a disk in xl's syntax.
    private void attachDisk(String text, Path folder)
            throws CommandException, LabException, StoreException, InterruptedException {
        LabDisk disk = LabDisk.parse(text, folder, labFile, domain);
        RunDirectory.checkSocketPath(RunDirectory.nbdSocket(runDir, domain, disk.device().name()));
        DomId guest = guest();
        if (disk.base().isPresent()) {
            makeOverlay(disk);
        }
        if (disk.createBytes().isPresent()) {
            attachMemory(guest, disk);
        } else {
            attach(DeviceNodes.disk(guest, disk));
        }
    }

    private void attachMemory(DomId guest, LabDisk disk)
            throws CommandException, StoreException, InterruptedException {
        DeviceNodes.Attached device = DeviceNodes.disk(guest, disk);
        if (nodes().knows(device.paths())) {
            throw taken(DeviceNodes.name(device)); // whose memory it is
        }
        try {
            MadeImages.makeInMemory(disk);
            boolean attached = false;
            try {
                attach(device);
                attached = true;
            } finally {
                if (!attached) {
                    MadeImages.delete(disk);
                }
            }
        } catch (DiskException e) {
            throw new CommandException("disk: " + e.getMessage(), e);
        }
    }

    private void makeOverlay(LabDisk disk) throws CommandException, LabException {
        List<Path> folders = LabFile.read(labFile).backingFolders();
        try {
            MadeImages.Made made = MadeImages.make(disk, new BackingFolders(folders));
            if (made.isNew()) {
                say("made image " + made.image() + ", based on " + made.base());
            }
        } catch (DiskException e) {
            throw new CommandException("disk: " + e.getMessage(), e);
        }
    }

    /// Attaches a network interface in xl's syntax to a network of the running lab.
    private void attachVif(String text)
            throws CommandException, LabException, StoreException, InterruptedException {
        DomId guest = guest();
        DeviceNodes nodes = nodes();
        VifTables tables = VifTables.of(LabFile.read(labFile));
        int device = 0;
        for (DomId each : nodes.domains()) {
            for (DeviceNodes.Attached vif : nodes.remembered(each, "vif")) {
                tables.take(
                        "vif/"
                                + vif.paths().device()
                                + " of domain "
                                + new DomainNames(store).name(each),
                        vif.backend());
                if (each.equals(guest) && vif.paths().device() >= device) {
                    device = vif.paths().device() + 1;
                }
            }
        }
        attach(DeviceNodes.vif(guest, tables.plan(text, domain, device, "vif")));
    }

    private void attach(DeviceNodes.Attached device)
            throws CommandException, StoreException, InterruptedException {
        DeviceNodes nodes = nodes();
        String name = DeviceNodes.name(device);
        if (nodes.knows(device.paths())) { // also when the guest is not there
            throw taken(name);
        }
        try {
            new Toolstack(store)
                    .attach(
                            device.paths(),
                            device.frontend(),
                            device.backend(),
                            Duration.ofSeconds(seconds));
        } catch (HandshakeException e) {
            throw new CommandException(
                    "attach " + name + " to " + domain + ": " + e.getMessage(), e);
        } catch (StoreException e) {
            if (e.error() == StoreError.EEXIST) {
                throw taken(name);
            }
            throw e;
        }
        nodes.remember(device); // from now on the domain has it, whoever serves it
        String done = "attached " + name + " to " + domain;
        awaitSaved(nodes, done);
        say(done);
    }

    private CommandException taken(String name) {
        return new CommandException(
                "domain "
                        + domain
                        + " has a device "
                        + name
                        + " already; ./splitring detach "
                        + domain
                        + " "
                        + name
                        + " takes it away");
    }

    /// Changes the size of a disk that is served now.
    void resizeDisk(String disk, long sizeBytes)
            throws CommandException, StoreException, InterruptedException {
        change(disk, Map.of("resize", Long.toString(sizeBytes)), "resize", false);
        say(disk + " of " + domain + " has " + Sizes.text(sizeBytes) + " now");
    }

    /// Limits a disk that is served now, and whenever the guest starts.
    void limitDisk(String disk, DiskLimits limits)
            throws CommandException, StoreException, InterruptedException {
        Map<String, String> keys =
                Map.of(
                        "rate",
                        limits.rate().toString(),
                        "weight",
                        Integer.toString(limits.weight()));
        change(disk, keys, "", true);
        say(
                disk
                        + " of "
                        + domain
                        + (limits.rate().isLimited() ? " is limited" : " has no limit")
                        + " now; weight "
                        + limits.weight());
    }

    /// Stops serving a disk until [#unpauseDisk]; its image is closed.
    void pauseDisk(String disk) throws CommandException, StoreException, InterruptedException {
        change(disk, Map.of("pause", "1"), "pause", false);
        say(disk + " of " + domain + " is paused; its image is closed");
    }

    /// Goes on with a disk that is paused.
    ///
    /// @param image that it has from now on, `null` for the same
    void unpauseDisk(String disk, @Nullable DiskSource image)
            throws CommandException, StoreException, InterruptedException {
        if (image == null) {
            change(disk, Map.of("pause", "0"), "pause", false);
        } else {
            // The image first: whoever sees that it is not paused any more opens that.
            Map<String, String> keys = new LinkedHashMap<>();
            keys.put("params", image.toString());
            keys.put("pause", "0");
            change(disk, keys, "pause", true);
        }
        say(disk + " of " + domain + " runs");
    }

    /// Limits what a network interface may send, from now on and whoever serves it.
    ///
    /// @param vif its number or its MAC address
    /// @param rate as xl's `rate=` has it; empty for no limit
    void limitVif(String vif, String rate) throws CommandException, LabException, StoreException {
        String value = rate.isEmpty() ? "" : XlRate.parse(rate).toString();
        DevicePaths paths = deviceOrVif("vif/" + vif, guest());
        DeviceNodes nodes = nodes();
        Optional<DeviceNodes.Attached> known =
                nodes.remembered(paths.frontendDomain(), "vif").stream()
                        .filter(each -> each.paths().equals(paths))
                        .findFirst();
        if (known.isEmpty()) {
            throw new CommandException("domain " + domain + " has no vif " + vif);
        }
        nodes.setRate(known.get(), value);
        say(
                "vif/%d of %s %s now"
                        .formatted(
                                paths.device(),
                                domain,
                                rate.isEmpty() ? "has no limit" : "is limited to " + rate));
    }

    /// Writes keys of a disk that is served now, and waits for what becomes of it.
    ///
    /// @param status the key `STATUS-status` says that, unless it is empty
    /// @param lasting whether the disk has them from now on, whoever serves it
    private void change(String disk, Map<String, String> keys, String status, boolean lasting)
            throws CommandException, StoreException, InterruptedException {
        DevicePaths paths = device("vbd/" + disk, guest());
        String folder = paths.backend();
        if (store.read(folder + "/state").isEmpty()) {
            throw new CommandException("domain " + domain + " has no disk " + disk + " now");
        }
        String statusNode = folder + "/" + status + "-status";
        store.transaction(
                transaction -> {
                    transaction.remove(statusNode);
                    for (Map.Entry<String, String> key : keys.entrySet()) {
                        transaction.write(folder + "/" + key.getKey(), key.getValue());
                    }
                });
        if (!status.isEmpty()) {
            String answer =
                    NodeWait.await(
                                    store,
                                    statusNode,
                                    Duration.ofSeconds(seconds),
                                    Optional::isPresent)
                            .orElse("failed: no answer within " + seconds + " seconds");
            if (answer.startsWith("failed")) {
                throw new CommandException(status + " of " + disk + " of " + domain + " " + answer);
            }
        }
        if (lasting) {
            DeviceNodes nodes = nodes();
            nodes.change(paths, keys);
            awaitSaved(nodes, "changed " + disk + " of " + domain);
        }
    }

    /// Detaches `CLASS/ID`; a disk also by its name, a network interface by its MAC address.
    ///
    /// @param force without the guest's help: what it still wanted is answered with errors
    void detach(String text, boolean force)
            throws CommandException, StoreException, InterruptedException {
        try {
            DevicePaths paths = deviceOrVif(text, guest());
            DeviceNodes nodes = nodes();
            Toolstack toolstack = new Toolstack(store);
            if (store.read(paths.backend() + "/state").isPresent()) {
                if (force) {
                    toolstack.removeDevice(paths);
                } else {
                    toolstack.detach(paths, Duration.ofSeconds(seconds));
                }
            } else if (!nodes.knows(paths)) {
                throw new CommandException("domain " + domain + " has no device " + text);
            }
            nodes.forget(paths);
            String done = "detached " + text + " from " + domain;
            awaitClosed(nodes, paths, done);
            awaitSaved(nodes, done);
            say(done);
        } catch (HandshakeException e) {
            throw new CommandException(
                    "detach " + text + ": " + e.getMessage() + "; --force does not wait", e);
        }
    }

    /// Until then nobody else can have the image.
    private void awaitClosed(DeviceNodes nodes, DevicePaths paths, String done)
            throws CommandException, StoreException, InterruptedException {
        if (!paths.type().equals("vbd")) {
            return;
        }
        var open = nodes.awaitImageClosed(paths, Duration.ofSeconds(seconds));
        if (open.isPresent()) {
            throw new CommandException(
                    done + ", but storage does not let go of image " + open.get() + " yet");
        }
    }

    /// Until then a driver domain that takes over from one that is killed knows nothing of it.
    private void awaitSaved(DeviceNodes nodes, String done)
            throws CommandException, StoreException, InterruptedException {
        if (!nodes.awaitSaved(Duration.ofSeconds(seconds))) {
            throw new CommandException(
                    done
                            + ", but that is not saved in "
                            + runDir
                            + " yet: the driver domain's log says why");
        }
    }

    private DevicePaths deviceOrVif(String text, DomId guest)
            throws CommandException, StoreException {
        if (!text.startsWith("vif/") || text.indexOf(':') < 0) {
            return device(text, guest);
        }
        String mac = text.substring("vif/".length());
        return nodes().remembered(guest, "vif").stream()
                .filter(vif -> mac.equalsIgnoreCase(vif.backend().get("mac")))
                .map(DeviceNodes.Attached::paths)
                .findFirst()
                .orElseThrow(
                        () ->
                                new CommandException(
                                        "domain " + domain + " has no vif with mac " + mac));
    }

    private static DevicePaths device(String text, DomId guest) throws CommandException {
        Matcher name = NAME.matcher(text);
        if (name.matches()) {
            String type = name.group(1);
            String id = name.group(2);
            if (id.matches("[0-9]{1,9}")) {
                return new DevicePaths(type, guest, DomId.ZERO, Integer.parseInt(id));
            }
            var disk = VirtualDevice.parse(id);
            if (type.equals("vbd") && disk.isPresent()) {
                return DevicePaths.vbd(guest, DomId.ZERO, disk.get().number());
            }
        }
        throw new CommandException(
                "\"" + text + "\" is not CLASS/ID, such as vrng/0, vbd/51728 or vbd/xvdb");
    }
}
