package org.splitring.driverdomain;

import io.micrometer.core.instrument.MeterRegistry;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.DiskWorkers;
import org.splitring.blkback.VbdBackendOptions;
import org.splitring.blkback.image.BackingFolders;
import org.splitring.blkback.image.FileSource;
import org.splitring.blkback.image.ImageFiles;
import org.splitring.driverdomain.control.Events;
import org.splitring.driverdomain.lab.GuestTable;
import org.splitring.driverdomain.lab.Lab;
import org.splitring.driverdomain.lab.LabDisk;
import org.splitring.driverdomain.lab.LabDomain;
import org.splitring.driverdomain.lab.LabDomain.GuestKind;
import org.splitring.driverdomain.lab.LabException;
import org.splitring.driverdomain.lab.LabTls;
import org.splitring.driverdomain.lab.MemoryDisks;
import org.splitring.driverdomain.lab.XlConfig;
import org.splitring.driverdomain.nbd.NbdTls;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.attached.AttachServer;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.xenbus.DeviceEnd;
import org.splitring.xenbus.Timers;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreCheckpoints;
import org.splitring.xenbus.store.StoreDump;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.StoreSocket;
import org.splitring.xenbus.store.StoreTree;
import org.splitring.xenbus.store.StoreWireServer;

/// A lab that runs: the driver domain in this process, and the guests that it has started.
///
/// What is made is undone in the opposite order, whether the start fails half-way or the lab is
/// stopped: each step puts its undoing on a stack first or at once. When the lab is handed over
/// to another driver domain ([#handOver]), guests and what they need stay.
final class RunningLab implements AutoCloseable {
    private static final int READY_SECONDS = 60;
    private static final int STOP_SECONDS = 15;

    /// How long an adopted guest may take to be back before we go on without it.
    private static final Duration ADOPTION_PATIENCE = Duration.ofSeconds(20);

    /// How a lab comes to its run directory.
    enum Entrance {
        /// Nobody may be there.
        TAKE,
        /// From whoever is there.
        TAKE_OVER
    }

    private volatile Lab lab;
    private final Path runDir;
    private final Optional<Path> plugins;
    private final OptionalInt httpPort;
    private final Consumer<String> news;
    private final Deque<Undoing> undoings = new ConcurrentLinkedDeque<>();

    /// Held while domains come and go. Not this object: whoever stops the lab holds that, and waits
    /// for requests to end.
    private final Object domainChanges = new Object();

    private final List<LabGuest> guests = new CopyOnWriteArrayList<>();
    private volatile LabChanges changes; // guarded by domainChanges once the lab is up
    private final List<GuestProcess> processes = new CopyOnWriteArrayList<>();
    private final Events events = new Events(LabApi.JSON);
    private final LabMetrics metrics = new LabMetrics();
    private final ConsoleSessions consoles;
    private @Nullable RunDirectory directory;
    private @Nullable StoreCheckpoints checkpoints;
    private volatile boolean stopping;
    private boolean handingOver;
    private volatile boolean up;

    @FunctionalInterface
    private interface Undoing {
        void run() throws IOException;
    }

    private @Nullable Ground ground;

    /// What a domain stands on.
    private record Ground(
            StoreTree tree,
            Store control,
            NettyDeviceLoops loops,
            LabDrivers drivers,
            AttachServer server) {}

    private RunningLab(
            Lab lab,
            LabChanges changes,
            Path runDir,
            Optional<Path> plugins,
            OptionalInt httpPort,
            Consumer<String> news) {
        this.httpPort = httpPort;
        this.changes = changes;
        this.lab = lab;
        this.runDir = runDir;
        this.plugins = plugins;
        this.news =
                line -> {
                    news.accept(line);
                    events.publish("news", Map.of("text", line));
                };
        consoles = new ConsoleSessions(runDir);
    }

    /// Starts everything, and returns when every guest that we start has its disks exported, and
    /// every guest that lives there already is connected again.
    ///
    /// @param changes what makes the lab another one than its file
    /// @param plugins folder of plug-in jars; when nothing is said that of the predecessor, or
    ///     `plugins` beside the lab file
    /// @param httpPort of loopback, for the control API beside its socket
    /// @param news takes a line for people when something happens later
    /// @throws CommandException when it cannot be started; then nothing is left of it, but guests
    ///     that were there before
    static RunningLab start(
            Lab lab,
            LabChanges changes,
            Path runDir,
            Optional<Path> plugins,
            OptionalInt httpPort,
            Entrance entrance,
            Consumer<String> news)
            throws CommandException, InterruptedException {
        RunningLab running = new RunningLab(lab, changes, runDir, plugins, httpPort, news);
        try {
            running.checkPlaces();
            running.open(entrance);
            running.up = true;
            return running;
        } finally {
            if (!running.up) {
                running.giveUp();
            }
        }
    }

    private void giveUp() {
        handingOver = processes.stream().anyMatch(GuestProcess::isAdopted);
        if (handingOver) { // those wait for another attempt
            processes.stream()
                    .filter(process -> !process.isAdopted())
                    .forEach(process -> process.awaitEnd(0));
        }
        close();
    }

    /// What can be known before anything is made.
    private void checkPlaces() throws CommandException {
        RunDirectory.checkSocketPath(RunDirectory.storeSocket(runDir));
        RunDirectory.checkSocketPath(RunDirectory.controlSocket(runDir));
        for (LabDomain domain : lab.domains()) {
            checkPlaces(domain);
        }
    }

    private void checkPlaces(LabDomain domain) throws CommandException {
        RunDirectory.checkSocketPath(RunDirectory.attachSocket(runDir, domain.name()));
        for (LabDisk disk : domain.disks()) {
            RunDirectory.checkSocketPath(
                    RunDirectory.nbdSocket(runDir, domain.name(), disk.device().name()));
        }
        if (domain.tcpPort().isPresent() && !hasLivingGuest(domain)) {
            checkPort(domain, domain.tcpPort().getAsInt());
        }
        if (domain.tls().isPresent()) {
            checkTls(domain.tls().get());
        }
    }

    private void checkTls(LabTls tls) throws CommandException {
        try {
            NbdTls.load(tls.certificate(), tls.key(), tls.clientCa().orElse(null));
        } catch (IOException e) {
            throw new CommandException(lab.file() + ": nbd_tls: " + e.getMessage(), e);
        }
    }

    private void checkPort(LabDomain domain, int port) throws CommandException {
        try (ServerSocket probe = new ServerSocket(port, 1, InetAddress.getLoopbackAddress())) {
            probe.getLocalPort();
        } catch (IOException e) {
            throw new CommandException(
                    domain.exportPlace() + ": tcp port " + port + " is busy: " + e.getMessage(), e);
        }
    }

    private boolean hasLivingGuest(LabDomain domain) throws CommandException {
        try {
            return GuestRecord.living(RunDirectory.domain(runDir, domain.name())).isPresent();
        } catch (IOException e) {
            throw new CommandException("run directory " + runDir + " cannot be read: " + e, e);
        }
    }

    /// First what needs nobody: while a successor gets ready, the guests are served by the old
    /// one. Where there is no other, the first guests start meanwhile.
    private void open(Entrance entrance) throws CommandException, InterruptedException {
        if (entrance == Entrance.TAKE) {
            enter(RunDirectory.take(runDir));
            undoings.push(this::killGuests);
            startFirstGuests();
        }
        undoings.push(metrics::close);
        ExecutorService watches = Executors.newVirtualThreadPerTaskExecutor();
        undoings.push(watches::close);
        int loopCount = Math.clamp(Runtime.getRuntime().availableProcessors() / 2, 1, 8);
        NettyDeviceLoops loops = new NettyDeviceLoops("backend", loopCount);
        undoings.push(loops::close);
        DiskWorkers workers = new DiskWorkers(4, lab.diskEngine());
        undoings.push(workers::close);
        VbdBackendOptions options = VbdBackendOptions.of(workers);
        AttachServer server = attachServer(loops);

        if (entrance == Entrance.TAKE_OVER) {
            enter(RunDirectory.takeOver(runDir, news));
        }
        RunDirectory taken = Objects.requireNonNull(directory);
        makeImages(entrance);
        StoreTree tree = openStore(taken);
        Store control = tree.connection(DomId.ZERO, watches);
        undoings.push(control::close);
        StoreSocket store = storeSocket(tree, loops);
        undoings.push(store::close);

        LabNetworks networks = LabNetworks.open(lab.networks(), loops);
        undoings.push(networks::close);
        LabDrivers found =
                LabDrivers.find(lab, plugins, control, options, networks, metrics.registry(), news);
        undoings.push(found::close);

        Ground made = new Ground(tree, control, loops, found, server);
        ground = made;
        undoings.push(this::closeGuests);
        for (LabDomain domain : lab.domains()) {
            LabGuest guest = guest(domain, made);
            guests.add(guest);
            guest.clearStore(process(domain).filter(GuestProcess::isAdopted).isPresent());
            found.plan(domain, guest.domid(), runDir);
            guest.openImages();
        }
        changes.write(runDir);
        // Only now, with every image locked: a predecessor that had one would still be at work.
        for (LabGuest guest : guests) {
            guest.listen(server, runDir);
        }
        undoings.push(this::stopGuests);
        startGuests();
        awaitAdopted();
        keepStore(tree, control, taken);
        metrics.collect(() -> LabMetrics.ports(networks.networks()));
        metrics.collect(() -> LabMetrics.domains(guests));
        metrics.collect(() -> LabMetrics.store(tree, guests));
        LabReload reload = new LabReload(runDir, this::wanted, networks, guests, control);
        LabControl asked = new LabControl(this, control, networks, reload, events);
        undoings.push(LabApi.open(this, asked.routes(), control, events, httpPort)::close);
    }

    private void enter(RunDirectory taken) throws CommandException {
        directory = taken;
        undoings.push(() -> leave(taken));
        noteLab(taken);
        adoptGuests();
    }

    private LabGuest guest(LabDomain domain, Ground on) {
        DomId domid = new DomId(changes.domid(domain.name()));
        return new LabGuest(domain, domid, on.tree(), on.control(), on.loops(), on.drivers(), news);
    }

    private void closeGuests() {
        for (LabGuest guest : guests.reversed()) {
            try {
                guest.close();
            } catch (DiskException e) {
                news.accept("while stopping: " + e.getMessage());
            }
        }
    }

    /// What the lab file says now, with the guests that were created.
    private Lab wanted() throws LabException {
        return changes.lab(lab.file());
    }

    private void noteLab(RunDirectory taken) throws CommandException {
        try {
            taken.noteLab(lab.file(), httpPort);
        } catch (IOException e) {
            throw new CommandException("run directory " + runDir + " cannot be used: " + e, e);
        }
    }

    private void leave(RunDirectory taken) throws IOException {
        if (handingOver) {
            taken.handOver();
        } else {
            taken.close();
        }
    }

    /// Finds the guests that an earlier driver domain has left. One that is not in the lab, or
    /// was started otherwise, ends.
    private void adoptGuests() throws CommandException {
        try {
            for (LabDomain domain : lab.domains()) {
                if (domain.guest() == GuestKind.JAVA) {
                    GuestProcess.adopt(domain, runDir).ifPresent(processes::add);
                }
            }
            for (var living : RunDirectory.livingGuests(runDir).entrySet()) {
                ProcessIdentity guest = living.getValue().process();
                if (processes.stream().noneMatch(it -> it.pid() == guest.pid())) {
                    guest.kill();
                    news.accept(
                            "domain "
                                    + living.getKey()
                                    + ": guest process "
                                    + guest.pid()
                                    + " was killed, it was not started from this lab");
                }
            }
        } catch (IOException e) {
            throw new CommandException("run directory " + runDir + " cannot be used: " + e, e);
        }
    }

    /// Each guest that lived through the change, and how long it took from now on.
    private void awaitAdopted() throws InterruptedException {
        long start = System.nanoTime();
        for (LabGuest guest : guests) {
            Optional<GuestProcess> process =
                    process(guest.domain()).filter(GuestProcess::isAdopted);
            if (process.isPresent() && !guest.suspension().isSuspended()) {
                boolean back = guest.awaitConnected(start + ADOPTION_PATIENCE.toNanos());
                news.accept(
                        String.format(
                                Locale.ROOT,
                                "domain %s: guest process %d %s after %.2f s",
                                guest.domain().name(),
                                process.get().pid(),
                                back ? "goes on" : "is not back",
                                (System.nanoTime() - start) / 1e9));
            }
        }
    }

    private StoreTree openStore(RunDirectory taken) {
        Path dump = taken.storeDump();
        StoreTree tree = null;
        if (Files.exists(dump)) {
            try {
                tree = StoreDump.load(dump);
            } catch (IOException e) {
                news.accept("the store begins empty: " + e.getMessage());
            }
        }
        if (tree == null) {
            tree = new StoreTree();
        }
        return tree;
    }

    /// From now on a successor finds the store as it was a second before the end, or better.
    /// After everything else, because it waits for the disk.
    private void keepStore(StoreTree tree, Store control, RunDirectory taken)
            throws CommandException {
        try {
            StoreCheckpoints kept =
                    StoreCheckpoints.start(
                            tree, taken.storeDump(), Timers.system(), DeviceEnd.VIRTUAL_THREADS);
            checkpoints = kept;
            undoings.push(kept::close);
            new DeviceNodes(control).saveOnRequest(kept::writeIfChanged);
        } catch (IOException e) {
            throw new CommandException("run directory " + runDir + " cannot be used: " + e, e);
        } catch (StoreException e) {
            throw new CommandException("store: " + e.getMessage(), e);
        }
    }

    private StoreSocket storeSocket(StoreTree tree, NettyDeviceLoops loops)
            throws CommandException {
        try {
            return StoreSocket.listen(
                    RunDirectory.storeSocket(runDir),
                    new StoreWireServer(tree),
                    loops.next().eventLoop());
        } catch (IOException e) {
            throw new CommandException(e.toString(), e);
        }
    }

    private static AttachServer attachServer(NettyDeviceLoops loops) throws CommandException {
        try {
            return new AttachServer(DomId.ZERO, loops.next());
        } catch (IOException e) {
            throw new CommandException("cannot serve guests: " + e.getMessage(), e);
        }
    }

    /// Makes images that are missing; they are taken away again when the start fails.
    private void makeImages(Entrance entrance) throws CommandException {
        BackingFolders folders = new BackingFolders(lab.backingFolders());
        undoings.push(
                () -> {
                    if (up && !handingOver) {
                        MemoryDisks.deleteAll(lab.file());
                    }
                });
        boolean goesOn =
                entrance == Entrance.TAKE_OVER
                        || processes.stream().anyMatch(GuestProcess::isAdopted);
        for (LabDomain domain : lab.domains()) {
            makeImages(domain, folders, goesOn);
        }
    }

    private void makeImages(LabDomain domain, BackingFolders folders, boolean goesOn)
            throws CommandException {
        for (LabDisk disk : domain.disks()) {
            if (disk.base().isPresent()) {
                makeOverlay(disk, folders);
            } else if (MemoryDisks.isOne(disk.source())) {
                makeInMemory(disk, goesOn);
            } else if (disk.source() instanceof FileSource image
                    && disk.createBytes().isPresent()
                    && !Files.exists(image.path())) {
                makeImage(disk, image, disk.createBytes().getAsLong());
            }
        }
    }

    /// @param goesOn whether a guest may be using the disk already
    private void makeInMemory(LabDisk disk, boolean goesOn) throws CommandException {
        try {
            if (goesOn && Files.exists(Path.of(disk.source().name()))) {
                return;
            }
            MadeImages.delete(disk); // a lab that was not stopped in order has left it
            MadeImages.makeInMemory(disk);
            deleteUnlessUp(Path.of(disk.source().name()));
        } catch (DiskException e) {
            throw new CommandException(disk.place() + ": " + e.getMessage(), e);
        }
    }

    private void makeOverlay(LabDisk disk, BackingFolders folders) throws CommandException {
        try {
            MadeImages.Made made = MadeImages.make(disk, folders);
            if (made.isNew()) {
                deleteUnlessUp(made.image());
                news.accept("made image " + made.image() + ", based on " + made.base());
            }
        } catch (DiskException e) {
            throw new CommandException(disk.place() + ": " + e.getMessage(), e);
        }
    }

    /// Takes an image away again when the lab does not come up. Later it stays.
    private void deleteUnlessUp(Path image) {
        if (up) {
            return;
        }
        undoings.push(
                () -> {
                    if (!up) {
                        Files.deleteIfExists(image);
                    }
                });
    }

    private void makeImage(LabDisk disk, FileSource source, long sizeBytes)
            throws CommandException {
        Path image = source.path();
        deleteUnlessUp(image);
        try {
            ImageFiles.create(source, sizeBytes, ImageFiles.defaultClusterBytes());
        } catch (DiskException e) {
            throw new CommandException(disk.place() + ": " + e.getMessage(), e);
        }
        news.accept("made image " + image + " of " + Sizes.text(sizeBytes));
    }

    /// Few at a time: a hundred that begin together only take each other's processors and caches.
    private static int guestsTogether() {
        return 2 * Runtime.getRuntime().availableProcessors();
    }

    /// Those that are not there, of those that we start.
    private List<LabDomain> missingGuests() {
        return lab.domains().stream()
                .filter(it -> it.guest() == GuestKind.JAVA && process(it).isEmpty())
                .toList();
    }

    /// Starts guests that will wait for us to listen.
    private void startFirstGuests() throws CommandException {
        for (LabDomain domain : missingGuests().stream().limit(guestsTogether()).toList()) {
            startGuest(domain);
        }
    }

    /// Starts those that are not there, and waits until all are ready.
    private void startGuests() throws CommandException, InterruptedException {
        int ready = 0; // of the processes, in their order
        for (LabDomain domain : missingGuests()) {
            if (processes.size() - ready >= guestsTogether()) {
                awaitReady(processes.get(ready++));
            }
            startGuest(domain);
        }
        while (ready < processes.size()) {
            awaitReady(processes.get(ready++));
        }
    }

    private void awaitReady(GuestProcess process) throws CommandException, InterruptedException {
        process.awaitReady(READY_SECONDS, runDir);
        process.onExit(() -> guestEnded(process));
    }

    private void startGuest(LabDomain domain) throws CommandException {
        try {
            Files.createDirectories(RunDirectory.domain(runDir, domain.name()));
            GuestProcess process = GuestProcess.start(domain, runDir);
            processes.add(process);
        } catch (IOException e) {
            throw new CommandException(
                    "guest " + domain.name() + " cannot be started: " + e.getMessage(), e);
        }
    }

    /// When the start has failed before anybody could tell them.
    private void killGuests() {
        if (!handingOver) {
            processes.forEach(process -> process.awaitEnd(0));
        }
    }

    /// Tells all, then waits for each.
    private void stopGuests() {
        if (handingOver) {
            return;
        }
        for (GuestProcess process : processes) {
            boolean told =
                    guests.stream()
                            .filter(guest -> guest.domain().equals(process.domain()))
                            .anyMatch(LabGuest::powerOff);
            if (!told) {
                process.awaitEnd(0);
            }
        }
        processes.forEach(process -> process.awaitEnd(STOP_SECONDS));
    }

    private void guestEnded(GuestProcess process) {
        if (stopping) {
            return;
        }
        LabDomain domain = process.domain();
        removeSockets(domain);
        news.accept(
                "domain "
                        + domain.name()
                        + ": guest process "
                        + process.pid()
                        + " "
                        + process.ending()
                        + "; its disks are closed, other guests go on");
    }

    Path file() {
        return lab.file();
    }

    LabMetrics metrics() {
        return metrics;
    }

    ConsoleSessions consoles() {
        return consoles;
    }

    /// Makes a guest that the lab file has not, and starts it.
    ///
    /// @param file of its configuration, as xl has it
    /// @return what was done
    List<String> create(Path file) throws CommandException, LabException, InterruptedException {
        synchronized (domainChanges) {
            return createNext(file);
        }
    }

    private List<String> createNext(Path file)
            throws CommandException, LabException, InterruptedException {
        checkOpen();
        GuestTable table = XlConfig.read(file);
        LabChanges with = changes.copy();
        with.add(table);
        LabGuest guest = add(with);
        List<String> done = new ArrayList<>();
        if (!table.ignored().isEmpty()) {
            done.add(
                    file
                            + ": of virtual machines, and of no meaning here: "
                            + String.join(", ", table.ignored()));
        }
        done.add("created " + table.name() + ", domid " + guest.domid());
        return done;
    }

    /// The lock for whoever lets domains come and go.
    Object domainChanges() {
        return domainChanges;
    }

    LabChanges changes() {
        return changes;
    }

    Store control() throws CommandException {
        return checkOpen().control();
    }

    private Ground checkOpen() throws CommandException {
        Ground on = ground;
        if (stopping || on == null) {
            throw new CommandException("the lab is stopping");
        }
        return on;
    }

    /// Makes and starts the guest that the changes have added last; from then on they are the
    /// lab's. When that fails nothing has changed.
    LabGuest add(LabChanges with) throws CommandException, LabException, InterruptedException {
        Ground on = checkOpen();
        LabChanges before = changes;
        Lab labWith = with.lab(lab.file());
        LabDomain domain = labWith.domains().getLast();
        checkPlaces(domain);
        changes = with;
        LabGuest guest = guest(domain, on);
        boolean complete = false;
        try {
            guest.clearStore(false);
            makeImages(domain, new BackingFolders(labWith.backingFolders()), false);
            serve(guest, on);
            startGuest(domain);
            awaitReady(process(domain).orElseThrow());
            with.write(runDir);
            guests.add(guest);
            lab = labWith;
            complete = true;
            return guest;
        } finally {
            if (!complete) {
                changes = before;
                remove(guest, on);
            }
        }
    }

    private void serve(LabGuest guest, Ground on) throws CommandException {
        on.drivers().plan(guest.domain(), guest.domid(), runDir);
        guest.openImages();
        guest.listen(on.server(), runDir);
    }

    /// Puts a guest that was released back where it was, with the devices it had; it does not run.
    void putBack(LabDomain domain, List<DeviceNodes.Attached> devices, int place)
            throws CommandException, StoreException {
        Ground on = checkOpen();
        LabGuest guest = guest(domain, on);
        DeviceNodes nodes = new DeviceNodes(on.control());
        nodes.begin(guest.domid());
        for (DeviceNodes.Attached device : devices) {
            nodes.remember(device);
        }
        serve(guest, on);
        guests.add(place, guest);
    }

    /// Ends a guest at once. One that was created is gone then; one of the lab file can be started
    /// again.
    void destroy(LabGuest guest) throws CommandException {
        synchronized (domainChanges) {
            if (changes.isCreated(guest.domain().name())) {
                takeOut(guest);
            } else {
                stop(guest, true);
            }
        }
    }

    /// Ends a guest at once, and takes it out of the lab until that is started anew.
    void takeOut(LabGuest guest) throws CommandException {
        String name = guest.domain().name();
        Ground on = checkOpen();
        changes.takeOut(name);
        remove(guest, on);
        changes.write(runDir);
        lab =
                new Lab(
                        lab.file(),
                        lab.diskEngine(),
                        lab.backingFolders(),
                        lab.networks(),
                        lab.domains().stream().filter(each -> !each.name().equals(name)).toList());
    }

    private void remove(LabGuest guest, Ground on) throws CommandException {
        List<HeldDisks.Disk> disks = guest.disks();
        release(guest, on);
        deleteMemory(guest.domain(), disks);
    }

    /// Ends a guest and lets go of all that it had; what was in memory stays.
    void release(LabGuest guest) throws CommandException {
        release(guest, checkOpen());
    }

    private void release(LabGuest guest, Ground on) throws CommandException {
        guests.remove(guest);
        Optional<GuestProcess> ending = process(guest.domain());
        if (ending.isPresent()) {
            ending.get().awaitEnd(0);
            processes.remove(ending.get());
            removeSockets(guest.domain());
        }
        try {
            guest.close();
            new DeviceNodes(on.control()).forget(guest.domid());
        } catch (DiskException e) {
            throw new CommandException(guest.domain().name() + ": " + e.getMessage(), e);
        } catch (StoreException e) {
            throw new CommandException("store: " + e.getMessage(), e);
        } finally {
            on.tree().release(guest.domid());
        }
    }

    /// Gives the memory of disks back that have nothing else.
    static void deleteMemory(LabDomain domain, List<HeldDisks.Disk> disks) throws CommandException {
        try {
            for (HeldDisks.Disk disk : disks) {
                if (MemoryDisks.isOne(disk.image())) {
                    MadeImages.delete(Path.of(disk.image().name()));
                }
            }
        } catch (DiskException e) {
            throw new CommandException(domain.name() + ": " + e.getMessage(), e);
        }
    }

    private void removeSockets(LabDomain domain) {
        try {
            RunDirectory.removeNbdSockets(runDir, domain.name());
        } catch (IOException e) {
            news.accept("domain " + domain.name() + ": its sockets are still there: " + e);
        }
    }

    /// Starts a guest that has ended, or was stopped.
    void start(LabGuest guest) throws CommandException, InterruptedException {
        LabDomain domain = guest.domain();
        GuestProcess process;
        synchronized (domainChanges) {
            checkOurs(domain);
            if (process(domain).filter(GuestProcess::isAlive).isPresent()) {
                throw new CommandException("domain " + domain.name() + " runs already");
            }
            processes.removeIf(each -> each.domain().equals(domain));
            startGuest(domain);
            process = process(domain).orElseThrow();
        }
        awaitReady(process);
    }

    /// Ends a guest in order; the domain and its disks stay, for [#start].
    ///
    /// @param force kills it
    void stop(LabGuest guest, boolean force) throws CommandException {
        LabDomain domain = guest.domain();
        checkOurs(domain);
        GuestProcess process =
                process(domain)
                        .filter(GuestProcess::isAlive)
                        .orElseThrow(
                                () ->
                                        new CommandException(
                                                "domain " + domain.name() + " does not run"));
        boolean told = !force && guest.powerOff();
        process.awaitEnd(told ? STOP_SECONDS : 0);
    }

    void checkOurs(LabDomain domain) throws CommandException {
        if (domain.guest() != GuestKind.JAVA) {
            throw new CommandException(
                    "domain "
                            + domain.name()
                            + " is external: whoever attaches there starts and stops it");
        }
        if (stopping) {
            throw new CommandException("the lab is stopping");
        }
    }

    Path runDir() {
        return runDir;
    }

    List<LabGuest> guests() {
        return guests;
    }

    /// What the devices count.
    MeterRegistry meters() {
        return metrics.registry();
    }

    /// The process of a domain's guest, when we have started one.
    Optional<GuestProcess> process(LabDomain domain) {
        return processes.stream().filter(process -> process.domain().equals(domain)).findFirst();
    }

    /// Whether another driver domain waits to take our place.
    boolean isSuccessorWaiting() {
        RunDirectory taken = directory;
        return taken != null && taken.isSuccessorWaiting();
    }

    /// Closes as [#close], and leaves the guests and the store to the successor: what they were
    /// promised is done, and nothing of their memory is in use any more when this returns.
    synchronized void handOver() {
        handingOver = true;
        StoreCheckpoints kept = checkpoints;
        if (kept != null) {
            try {
                kept.close(); // before guests seem to go away
            } catch (IOException e) {
                news.accept("the successor gets an older store: " + e.getMessage());
            }
        }
        close();
    }

    /// Stops everything: guests close their devices, images are flushed and closed, files are
    /// removed. Closing twice does nothing.
    @Override
    public synchronized void close() {
        stopping = true;
        while (!undoings.isEmpty()) {
            try {
                undoings.pop().run();
            } catch (IOException | RuntimeException e) {
                news.accept("while stopping: " + e.getMessage());
            }
        }
    }
}
