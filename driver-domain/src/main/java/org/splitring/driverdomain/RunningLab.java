package org.splitring.driverdomain;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Consumer;
import org.splitring.blkback.DiskWorkers;
import org.splitring.blkback.VbdBackendOptions;
import org.splitring.driverdomain.lab.Lab;
import org.splitring.driverdomain.lab.LabDisk;
import org.splitring.driverdomain.lab.LabDomain;
import org.splitring.driverdomain.lab.LabDomain.GuestKind;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.attached.AttachServer;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreSocket;
import org.splitring.xenbus.store.StoreTree;
import org.splitring.xenbus.store.StoreWireServer;

/// A lab that runs: the driver domain in this process, and the guests that it has started.
///
/// What is made is undone in the opposite order, whether the start fails half-way or the lab is
/// stopped: each step puts its undoing on a stack first or at once.
final class RunningLab implements AutoCloseable {
    private static final int FIRST_DOMID = 1;
    private static final int READY_SECONDS = 60;

    private final Lab lab;
    private final Path runDir;
    private final Consumer<String> news;
    private final Deque<Undoing> undoings = new ArrayDeque<>();
    private final List<LabGuest> guests = new ArrayList<>();
    private final List<GuestProcess> processes = new ArrayList<>();
    private volatile boolean stopping;
    private boolean up;

    @FunctionalInterface
    private interface Undoing {
        void run() throws IOException;
    }

    private RunningLab(Lab lab, Path runDir, Consumer<String> news) {
        this.lab = lab;
        this.runDir = runDir;
        this.news = news;
    }

    /// Starts everything, and returns when every guest that we start has its disks exported.
    ///
    /// @param news takes a line for people when something happens later
    /// @throws CommandException when it cannot be started; then nothing is left of it
    static RunningLab start(Lab lab, Path runDir, Consumer<String> news)
            throws CommandException, InterruptedException {
        RunningLab running = new RunningLab(lab, runDir, news);
        try {
            running.checkPlaces();
            running.open();
            running.up = true;
            return running;
        } finally {
            if (!running.up) {
                running.close();
            }
        }
    }

    /// What can be known before anything is made.
    private void checkPlaces() throws CommandException {
        RunDirectory.checkSocketPath(RunDirectory.storeSocket(runDir));
        for (LabDomain domain : lab.domains()) {
            RunDirectory.checkSocketPath(RunDirectory.attachSocket(runDir, domain.name()));
            for (LabDisk disk : domain.disks()) {
                RunDirectory.checkSocketPath(
                        RunDirectory.nbdSocket(runDir, domain.name(), disk.device().name()));
            }
            if (domain.tcpPort().isPresent()) {
                checkPort(domain, domain.tcpPort().getAsInt());
            }
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

    private void open() throws CommandException, InterruptedException {
        RunDirectory directory = RunDirectory.take(runDir);
        undoings.push(directory::close);
        makeImages();

        StoreTree tree = new StoreTree();
        ExecutorService watches = Executors.newVirtualThreadPerTaskExecutor();
        undoings.push(watches::close);
        Store control = tree.connection(DomId.ZERO, watches);
        undoings.push(control::close);
        int loopCount = Math.clamp(Runtime.getRuntime().availableProcessors() / 2, 1, 8);
        NettyDeviceLoops loops = new NettyDeviceLoops("backend", loopCount);
        undoings.push(loops::close);
        StoreSocket store = storeSocket(tree, loops);
        undoings.push(store::close);
        DiskWorkers workers = new DiskWorkers(4);
        undoings.push(workers::close);
        VbdBackendOptions options = VbdBackendOptions.of(workers);

        AttachServer server = attachServer(loops);
        int domid = FIRST_DOMID;
        for (LabDomain domain : lab.domains()) {
            LabGuest guest =
                    new LabGuest(domain, new DomId(domid++), tree, control, loops, options, news);
            guests.add(guest);
            undoings.push(guest::close);
            guest.openImages();
            guest.listen(server, runDir);
        }
        for (LabDomain domain : lab.domains()) {
            if (domain.guest() == GuestKind.JAVA) {
                startGuest(domain);
            }
        }
        for (GuestProcess process : processes) {
            process.awaitReady(READY_SECONDS, runDir);
            process.onExit(() -> guestEnded(process));
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
    private void makeImages() throws CommandException {
        for (LabDomain domain : lab.domains()) {
            for (LabDisk disk : domain.disks()) {
                if (disk.createBytes().isPresent() && !Files.exists(disk.image())) {
                    makeImage(disk, disk.createBytes().getAsLong());
                }
            }
        }
    }

    private void makeImage(LabDisk disk, long sizeBytes) throws CommandException {
        Path image = disk.image();
        undoings.push(
                () -> {
                    if (!up) {
                        Files.deleteIfExists(image);
                    }
                });
        try (FileChannel file =
                        FileChannel.open(
                                image, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
                FileChannel folder =
                        FileChannel.open(image.resolveSibling(""), StandardOpenOption.READ)) {
            // Sparse: a disk of zeroes takes no room until it is written to.
            file.write(ByteBuffer.allocate(1), sizeBytes - 1);
            file.force(true);
            folder.force(true); // the name is as durable as the disk
        } catch (IOException e) {
            throw new CommandException(
                    disk.place() + ": image " + image + " cannot be made: " + e, e);
        }
        news.accept("made image " + image + " of " + Sizes.text(sizeBytes));
    }

    private void startGuest(LabDomain domain) throws CommandException {
        try {
            GuestProcess process = GuestProcess.start(domain, runDir);
            processes.add(process);
            undoings.push(process::stop);
        } catch (IOException e) {
            throw new CommandException(
                    "guest " + domain.name() + " cannot be started: " + e.getMessage(), e);
        }
    }

    private void guestEnded(GuestProcess process) {
        if (stopping) {
            return;
        }
        LabDomain domain = process.domain();
        for (LabDisk disk : domain.disks()) {
            Path socket = RunDirectory.nbdSocket(runDir, domain.name(), disk.device().name());
            try {
                Files.deleteIfExists(socket);
            } catch (IOException e) {
                news.accept("cannot remove " + socket + ": " + e.getMessage());
            }
        }
        news.accept(
                "domain "
                        + domain.name()
                        + ": guest process "
                        + process.pid()
                        + " "
                        + process.ending()
                        + "; its disks are closed, other guests go on");
    }

    Path runDir() {
        return runDir;
    }

    List<LabGuest> guests() {
        return guests;
    }

    /// The process of a domain's guest, when we have started one.
    Optional<GuestProcess> process(LabDomain domain) {
        return processes.stream().filter(process -> process.domain().equals(domain)).findFirst();
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
