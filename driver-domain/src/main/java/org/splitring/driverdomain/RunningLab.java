package org.splitring.driverdomain;

import io.micrometer.core.instrument.MeterRegistry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.DiskWorkers;
import org.splitring.blkback.VbdBackendOptions;
import org.splitring.blkback.image.BackingFolders;
import org.splitring.blkback.image.DiskSource;
import org.splitring.driverdomain.control.Events;
import org.splitring.driverdomain.lab.GuestTable;
import org.splitring.driverdomain.lab.Lab;
import org.splitring.driverdomain.lab.LabDisk;
import org.splitring.driverdomain.lab.LabDomain;
import org.splitring.driverdomain.lab.LabDomain.GuestKind;
import org.splitring.driverdomain.lab.LabException;
import org.splitring.driverdomain.lab.MemoryDisks;
import org.splitring.driverdomain.lab.XlConfig;
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
    private final LabPlaces places;
    private final LabImages images;
    private final Deque<Undoing> undoings = new ConcurrentLinkedDeque<>();

    /// Held while domains come and go. Not this object: whoever stops the lab holds that, and waits
    /// for requests to end.
    private final Object domainChanges = new Object();

    private final List<LabGuest> guests = new CopyOnWriteArrayList<>();
    private volatile LabChanges changes; // guarded by domainChanges once the lab is up
    private final GuestProcesses processes;
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
        places = new LabPlaces(lab.file(), runDir);
        images = new LabImages(this::deleteUnlessUp, this.news);
        processes = new GuestProcesses(runDir, () -> stopping, this.news);
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
            running.places.check(lab);
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
        handingOver = processes.isAnyAdopted();
        if (handingOver) { // those wait for another attempt
            processes.killStarted();
        }
        close();
    }

    /// First what needs nobody: while a successor gets ready, the guests are served by the old
    /// one. Where there is no other, the first guests start meanwhile.
    private void open(Entrance entrance) throws CommandException, InterruptedException {
        if (entrance == Entrance.TAKE) {
            enter(RunDirectory.take(runDir));
            undoings.push(() -> unlessHandedOver(processes::killAll));
            processes.startFirst(lab);
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
            guest.clearStore(processes.isAdopted(domain));
            found.plan(domain, guest.domid(), runDir);
            guest.openImages();
        }
        changes.write(runDir);
        // Only now, with every image locked: a predecessor that had one would still be at work.
        for (LabGuest guest : guests) {
            guest.listen(server, runDir);
        }
        undoings.push(() -> unlessHandedOver(() -> processes.stopAll(guests)));
        processes.startAll(lab);
        processes.awaitAdopted(guests, ADOPTION_PATIENCE.toNanos());
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

    private void adoptGuests() throws CommandException {
        try {
            processes.adopt(lab);
        } catch (IOException e) {
            throw new CommandException("run directory " + runDir + " cannot be used: " + e, e);
        }
    }

    private void unlessHandedOver(Runnable undoing) {
        if (!handingOver) {
            undoing.run();
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
        boolean goesOn = entrance == Entrance.TAKE_OVER || processes.isAnyAdopted();
        for (LabDomain domain : lab.domains()) {
            images.make(domain, folders, goesOn);
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
        LabGuest guest = add(with, domain -> {});
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

    /// Something with a guest's images, before anybody has them.
    @FunctionalInterface
    interface Filling {
        void fill(LabDomain domain) throws CommandException;
    }

    /// Makes and starts the guest that the changes have added last; from then on they are the
    /// lab's. When that fails nothing has changed.
    ///
    /// @param filling is done with the images that were made
    LabGuest add(LabChanges with, Filling filling)
            throws CommandException, LabException, InterruptedException {
        Ground on = checkOpen();
        LabChanges before = changes;
        Lab labWith = with.lab(lab.file());
        LabDomain domain = labWith.domains().getLast();
        places.check(domain);
        changes = with;
        LabGuest guest = guest(domain, on);
        boolean complete = false;
        try {
            guest.clearStore(false);
            images.make(domain, new BackingFolders(labWith.backingFolders()), false);
            filling.fill(domain);
            serve(guest, on);
            processes.awaitReady(processes.start(domain));
            with.write(runDir);
            guests.add(guest);
            lab = labWith;
            complete = true;
            return guest;
        } finally {
            if (!complete) {
                changes = before;
                release(guest, on);
                deleteMemory(domain, domain.disks().stream().map(LabDisk::source));
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
        deleteMemory(guest.domain(), disks.stream().map(HeldDisks.Disk::image));
    }

    /// Ends a guest and lets go of all that it had; what was in memory stays.
    void release(LabGuest guest) throws CommandException {
        release(guest, checkOpen());
    }

    private void release(LabGuest guest, Ground on) throws CommandException {
        guests.remove(guest);
        processes.remove(guest.domain());
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
    private static void deleteMemory(LabDomain domain, Stream<DiskSource> images)
            throws CommandException {
        try {
            for (DiskSource image : images.filter(MemoryDisks::isOne).toList()) {
                MadeImages.delete(Path.of(image.name()));
            }
        } catch (DiskException e) {
            throw new CommandException(domain.name() + ": " + e.getMessage(), e);
        }
    }

    /// Starts a guest that has ended, or was stopped.
    void start(LabGuest guest) throws CommandException, InterruptedException {
        LabDomain domain = guest.domain();
        GuestProcess process;
        synchronized (domainChanges) {
            checkOurs(domain);
            if (processes.isAlive(domain)) {
                throw new CommandException("domain " + domain.name() + " runs already");
            }
            process = processes.start(domain);
        }
        processes.awaitReady(process);
    }

    /// Ends a guest in order; the domain and its disks stay, for [#start].
    ///
    /// @param force kills it
    void stop(LabGuest guest, boolean force) throws CommandException {
        checkOurs(guest.domain());
        processes.stop(guest, force);
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

    /// The processes of its guests.
    GuestProcesses processes() {
        return processes;
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
