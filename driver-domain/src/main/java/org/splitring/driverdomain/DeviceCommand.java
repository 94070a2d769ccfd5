package org.splitring.driverdomain;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.image.BackingFolders;
import org.splitring.blkback.image.DiskSource;
import org.splitring.driverdomain.lab.DeviceSpec;
import org.splitring.driverdomain.lab.DiskLimits;
import org.splitring.driverdomain.lab.Lab;
import org.splitring.driverdomain.lab.LabDisk;
import org.splitring.driverdomain.lab.LabException;
import org.splitring.driverdomain.lab.LabFile;
import org.splitring.driverdomain.lab.VifTables;
import org.splitring.driverdomain.lab.VirtualDevice;
import org.splitring.hypervisor.DomId;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Toolstack;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreError;
import org.splitring.xenbus.store.StoreException;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// What the commands share that plug devices into running guests and take them out.
final class DeviceCommand {
    private static final Pattern NAME =
            Pattern.compile("([A-Za-z0-9_-]{1,64})/([A-Za-z0-9]{1,16})");

    @Mixin private RunDirectoryOption runDirectory = new RunDirectoryOption();

    @Parameters(index = "0", paramLabel = "DOMAIN", description = "Name of the guest.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private String domain;

    @Option(
            names = "--timeout",
            paramLabel = "SECONDS",
            description = "How long to wait for the two ends (default: ${DEFAULT-VALUE}).")
    private int seconds = 15;

    @Spec(Spec.Target.MIXEE)
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    private PrintWriter out() {
        return spec.commandLine().getOut();
    }

    /// Attaches what `CLASS,KEY=VALUE...` says; with the classes `vbd` and `vif`
    /// what xl has for them.
    void attachDevice(List<String> words)
            throws CommandException, LabException, InterruptedException {
        String text = String.join(",", words);
        int comma = text.indexOf(',');
        String deviceClass = (comma < 0 ? text : text.substring(0, comma)).strip();
        if (deviceClass.equals("vbd")) {
            attachDisk(comma < 0 ? "" : text.substring(comma + 1));
            return;
        }
        if (deviceClass.equals("vif")) {
            attachVif(comma < 0 ? "" : text.substring(comma + 1));
            return;
        }
        DeviceSpec wanted = DeviceSpec.parse(text, Path.of(""));
        try (RunningStore running = RunningStore.connect(runDirectory.path())) {
            DomId guest = running.domain(domain);
            attach(running, new DeviceNodes(running.store()).plan(guest, wanted));
        } catch (StoreException e) {
            throw new CommandException("store: " + e.getMessage(), e);
        }
    }

    /// Attaches a disk in xl's syntax; a relative path is one from here.
    void attachDisk(String text) throws CommandException, LabException, InterruptedException {
        LabDisk disk = LabDisk.parse(text, Path.of(""), labFile(runDirectory.path()), domain);
        RunDirectory.checkSocketPath(
                RunDirectory.nbdSocket(runDirectory.path(), domain, disk.device().name()));
        try (RunningStore running = RunningStore.connect(runDirectory.path())) {
            DomId guest = running.domain(domain);
            if (disk.base().isPresent()) {
                makeOverlay(disk);
            }
            if (disk.createBytes().isPresent()) {
                attachMemory(running, guest, disk);
            } else {
                attach(running, DeviceNodes.disk(guest, disk));
            }
        } catch (StoreException e) {
            throw new CommandException("store: " + e.getMessage(), e);
        }
    }

    private void attachMemory(RunningStore running, DomId guest, LabDisk disk)
            throws CommandException, StoreException, InterruptedException {
        DeviceNodes.Attached device = DeviceNodes.disk(guest, disk);
        if (new DeviceNodes(running.store()).knows(device.paths())) {
            throw taken(DeviceNodes.name(device)); // whose memory it is
        }
        try {
            MadeImages.makeInMemory(disk);
            boolean attached = false;
            try {
                attach(running, device);
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
        List<Path> folders = lab(runDirectory.path()).backingFolders();
        try {
            MadeImages.Made made = MadeImages.make(disk, new BackingFolders(folders));
            if (made.isNew()) {
                out().println("made image " + made.image() + ", based on " + made.base());
            }
        } catch (DiskException e) {
            throw new CommandException("disk: " + e.getMessage(), e);
        }
    }

    /// Attaches a network interface in xl's syntax to a network of the running lab.
    void attachVif(String text) throws CommandException, LabException, InterruptedException {
        Path runDir = runDirectory.path();
        try (RunningStore running = RunningStore.connect(runDir)) {
            DomId guest = running.domain(domain);
            DeviceNodes nodes = new DeviceNodes(running.store());
            VifTables tables = VifTables.of(lab(runDir));
            int device = 0;
            for (DomId each : nodes.domains()) {
                for (DeviceNodes.Attached vif : nodes.remembered(each, "vif")) {
                    tables.take(
                            "vif/" + vif.paths().device() + " of domain " + running.name(each),
                            vif.backend());
                    if (each.equals(guest) && vif.paths().device() >= device) {
                        device = vif.paths().device() + 1;
                    }
                }
            }
            attach(running, DeviceNodes.vif(guest, tables.plan(text, domain, device, "vif")));
        } catch (StoreException e) {
            throw new CommandException("store: " + e.getMessage(), e);
        }
    }

    private static Lab lab(Path runDir) throws CommandException, LabException {
        return LabFile.read(labFile(runDir));
    }

    private static Path labFile(Path runDir) throws CommandException {
        try {
            Optional<Path> file = RunDirectory.lab(runDir);
            if (file.isPresent()) {
                return file.get();
            }
        } catch (IOException e) {
            throw new CommandException("run directory " + runDir + " cannot be read: " + e, e);
        }
        throw new CommandException("no lab runs in " + runDir);
    }

    /// Detaches a network interface by its number or its MAC address, as xl does.
    void detachVif(String text, boolean force) throws CommandException, InterruptedException {
        if (text.indexOf(':') < 0) {
            detach("vif/" + text, force);
            return;
        }
        Optional<DeviceNodes.Attached> found;
        try (RunningStore running = RunningStore.connect(runDirectory.path())) {
            found =
                    new DeviceNodes(running.store())
                            .remembered(running.domain(domain), "vif").stream()
                                    .filter(vif -> text.equalsIgnoreCase(vif.backend().get("mac")))
                                    .findFirst();
        } catch (StoreException e) {
            throw new CommandException("store: " + e.getMessage(), e);
        }
        if (found.isEmpty()) {
            throw new CommandException("domain " + domain + " has no vif with mac " + text);
        }
        detach("vif/" + found.get().paths().device(), force);
    }

    private void attach(RunningStore running, DeviceNodes.Attached device)
            throws CommandException, StoreException, InterruptedException {
        DeviceNodes nodes = new DeviceNodes(running.store());
        String name = DeviceNodes.name(device);
        if (nodes.knows(device.paths())) { // also when the guest is not there
            throw taken(name);
        }
        try {
            new Toolstack(running.store())
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
        out().println(done);
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
    void resizeDisk(String disk, long sizeBytes) throws CommandException, InterruptedException {
        change(disk, Map.of("resize", Long.toString(sizeBytes)), "resize", false);
        out().println(disk + " of " + domain + " has " + Sizes.text(sizeBytes) + " now");
    }

    /// Limits a disk that is served now, and whenever the guest starts.
    void limitDisk(String disk, DiskLimits limits) throws CommandException, InterruptedException {
        Map<String, String> keys =
                Map.of(
                        "rate",
                        limits.rate().toString(),
                        "weight",
                        Integer.toString(limits.weight()));
        change(disk, keys, "", true);
        out().println(
                        disk
                                + " of "
                                + domain
                                + (limits.rate().isLimited() ? " is limited" : " has no limit")
                                + " now; weight "
                                + limits.weight());
    }

    /// Stops serving a disk until [#unpauseDisk]; its image is closed.
    void pauseDisk(String disk) throws CommandException, InterruptedException {
        change(disk, Map.of("pause", "1"), "pause", false);
        out().println(disk + " of " + domain + " is paused; its image is closed");
    }

    /// Goes on with a disk that is paused.
    ///
    /// @param image that it has from now on, `null` for the same
    void unpauseDisk(String disk, @Nullable DiskSource image)
            throws CommandException, InterruptedException {
        if (image == null) {
            change(disk, Map.of("pause", "0"), "pause", false);
        } else {
            // The image first: whoever sees that it is not paused any more opens that.
            Map<String, String> keys = new LinkedHashMap<>();
            keys.put("params", image.toString());
            keys.put("pause", "0");
            change(disk, keys, "pause", true);
        }
        out().println(disk + " of " + domain + " runs");
    }

    /// Writes keys of a disk that is served now, and waits for what becomes of it.
    ///
    /// @param status the key `STATUS-status` says that, unless it is empty
    /// @param lasting whether the disk has them from now on, whoever serves it
    private void change(String disk, Map<String, String> keys, String status, boolean lasting)
            throws CommandException, InterruptedException {
        try (RunningStore running = RunningStore.connect(runDirectory.path())) {
            Store store = running.store();
            DevicePaths paths = device("vbd/" + disk, running.domain(domain));
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
                    throw new CommandException(
                            status + " of " + disk + " of " + domain + " " + answer);
                }
            }
            if (lasting) {
                DeviceNodes nodes = new DeviceNodes(store);
                nodes.change(paths, keys);
                awaitSaved(nodes, "changed " + disk + " of " + domain);
            }
        } catch (StoreException e) {
            throw new CommandException("store: " + e.getMessage(), e);
        }
    }

    /// Detaches `CLASS/ID`; a disk also by its name.
    ///
    /// @param force without the guest's help: what it still wanted is answered with errors
    void detach(String text, boolean force) throws CommandException, InterruptedException {
        try (RunningStore running = RunningStore.connect(runDirectory.path())) {
            DevicePaths paths = device(text, running.domain(domain));
            DeviceNodes nodes = new DeviceNodes(running.store());
            Toolstack toolstack = new Toolstack(running.store());
            if (running.store().read(paths.backend() + "/state").isPresent()) {
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
            out().println(done);
        } catch (HandshakeException e) {
            throw new CommandException(
                    "detach " + text + ": " + e.getMessage() + "; --force does not wait", e);
        } catch (StoreException e) {
            throw new CommandException("store: " + e.getMessage(), e);
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
                            + runDirectory.path()
                            + " yet: the driver domain's log says why");
        }
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
