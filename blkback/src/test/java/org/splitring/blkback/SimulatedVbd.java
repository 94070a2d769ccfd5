package org.splitring.blkback;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;
import org.splitring.blkfront.GuestBuffer;
import org.splitring.blkfront.VbdFrontendOptions;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.local.LocalGuestDomain;
import org.splitring.hypervisor.local.LocalHypervisor;
import org.splitring.testkit.LastingNotes;
import org.splitring.testkit.LossyDoorbells;
import org.splitring.testkit.MortalDriver;
import org.splitring.testkit.SimulatedLoop;
import org.splitring.testkit.Simulation;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.FrontendOptions;
import org.splitring.xenbus.Timers;
import org.splitring.xenbus.XenbusState;
import org.splitring.xenbus.device.DeviceNotes;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.StoreTree;

/// A whole vbd in one thread: frontend, backend, store, event channels, grants, disk workers. The
/// guest writes, reads and flushes; what it reads must be what it wrote, and what was flushed
/// must be stable. Meanwhile either end closes and comes back, and the storage fails now and
/// then.
final class SimulatedVbd {
    /// A piece to break.
    enum Fault {
        NONE,
        /// No piece is broken, but backends come and go; the storage does not fail then.
        REPLACED,
        /// As `REPLACED`, only by death, with a frontend that never connects a second time: the
        /// backend dies between any two steps, and the next goes on from its note.
        SURVIVED,
        /// The frontend's third notify does not arrive.
        FRONTEND_NOTIFY_IS_LOST,
        BACKEND_NOTIFY_IS_LOST,
        /// The storage says that it has synchronised, and has not.
        SYNC_DOES_NOTHING,
        /// One write goes to the sector beside.
        WRITE_GOES_ASTRAY
    }

    private static final DomId GUEST = new DomId(1);
    private static final int XVDA = 51712;
    private static final int SECTOR = DiskImage.SECTOR_SIZE;
    private static final int SECTORS = 256;
    private static final int MAX_TRANSFER_SECTORS = 100; // more than a request takes
    private static final int MAX_STEPS = 2_000_000;
    private static final int DEPTH = 6;

    final Simulation sim;
    final LocalHypervisor hypervisor = new LocalHypervisor();
    int transfers;
    int failedTransfers;
    int connections;
    int replacements;

    private final Fault fault;
    private final StoreTree tree = new StoreTree();

    private final boolean storageFails;
    private final SimulatedLoop frontLoop;
    private final SimulatedLoop backLoop;
    private final SimulatedLoop frontControl;
    private final SimulatedLoop backControl;
    private final SimulatedLoop disks;
    private final LocalGuestDomain guest;
    private final GuestDomain guestSeen;
    private final DriverDomain driver;
    private Store guestStore;
    private final Store toolstack;
    private final DevicePaths paths = DevicePaths.vbd(GUEST, DomId.ZERO, XVDA);
    private final Storage storage = new Storage();
    private @Nullable DiskImage disk;
    private @Nullable ServedVbd back;
    private @Nullable MortalDriver process; // of the backend, where that can be killed
    private @Nullable Store processStore;
    private Duration backendWait = Duration.ZERO;
    private final LastingNotes notes = new LastingNotes();
    private int stepsToDeath = Integer.MAX_VALUE; // of the note, whichever ring's

    // What the guest knows of each sector.
    private final long[] acknowledged = new long[SECTORS];
    private final long[] discardStamps = new long[SECTORS];
    private final BitSet inUse = new BitSet(SECTORS);
    private final List<Set<Long>> uncertain = new ArrayList<>();
    private long version;

    // The connection of now.
    private @Nullable ConnectedVbd front;
    private int toStart;
    private int running;
    private boolean ending;
    private boolean abrupt;
    private @Nullable AssertionError firstFailure;

    SimulatedVbd(long seed, Fault fault) throws StoreException {
        this.fault = fault;
        sim = new Simulation(seed);
        storageFails = fault == Fault.NONE && sim.choose(3) == 0;
        int spin = 2_000 * sim.choose(2);
        frontLoop = sim.loop("front", spin);
        backLoop = sim.loop("back", spin);
        frontControl = sim.loop("front control", 0);
        backControl = sim.loop("back control", 0);
        disks = sim.loop("disks", 0);
        guest = hypervisor.createGuest(GUEST, 2 << 20, DomainLimits.DEFAULT);
        int lost = 2 + sim.choose(20);
        guestSeen =
                fault == Fault.FRONTEND_NOTIFY_IS_LOST
                        ? new LossyDoorbells.Guest(guest, lost)
                        : guest;
        DriverDomain local = hypervisor.driverDomain(DomId.ZERO);
        driver =
                fault == Fault.BACKEND_NOTIFY_IS_LOST
                        ? new LossyDoorbells.Driver(local, lost)
                        : local;
        tree.introduce(GUEST);
        toolstack = tree.connection(DomId.ZERO, backControl);
        guestStore = tree.connection(GUEST, frontControl);
        VbdLab.makeDevice(toolstack, paths);
        for (int i = 0; i < SECTORS; i++) {
            uncertain.add(new HashSet<>());
        }
    }

    /// Several connections, one after the other.
    ///
    /// @throws AssertionError with the seed, when a promise was broken or everybody sleeps while
    ///     somebody waits
    void run() throws StoreException {
        int freePages = guest.pages().freeCount();
        int freeGrefs = guest.grants().freeCount();
        int rounds = 2 + sim.choose(3);
        for (int round = 0; round < rounds; round++) {
            connect();
            work();
            closeBoth();
            check(hypervisor.mappedTotal() == 0, "still mapped");
            // Only who gives up with requests out may find pages that the backend still holds.
            check(abrupt || guest.grants().quarantinedCount() == 0, "quarantined");
            guest.grants().retryQuarantined();
            check(guest.grants().quarantinedCount() == 0, "quarantined for ever");
            check(guest.pages().freeCount() == freePages, "pages");
            check(guest.grants().freeCount() == freeGrefs, "grant references");
            check(guest.openPorts() == 0, "ports");
        }
        if (back != null) {
            closeBack();
        }
        sim.run(MAX_STEPS);
        guest.close();
    }

    /// One connection of the guest's, while one backend after the other is closed, removed or
    /// killed, at any step. Nothing fails, and everything ends once.
    ///
    /// @throws AssertionError as [#run]
    void runWithReplacements() throws StoreException {
        int freePages = guest.pages().freeCount();
        int freeGrefs = guest.grants().freeCount();
        backendWait = Duration.ofSeconds(60);
        startProcess();
        connect();
        ending = false;
        toStart = 60 + sim.choose(200);
        for (int i = 0; i < DEPTH; i++) {
            frontLoop.execute(this::startOne);
        }
        while (toStart > 0) {
            int steps = sim.choose(sim.choose(4) == 0 ? 4000 : 300);
            for (int i = 0; i < steps && toStart > 0; i++) {
                check(sim.step(), "everybody sleeps between two backends");
            }
            replaceBackend();
        }
        until("the last transfers", () -> running == 0);
        check(failedTransfers == 0, "transfers failed: " + failedTransfers);
        readEverything();
        ConnectedVbd closing = front;
        if (closing != null) {
            closeFront(closing);
        }
        closeBack();
        sim.run(MAX_STEPS);
        check(hypervisor.mappedTotal() == 0, "still mapped");
        guest.grants().retryQuarantined();
        check(guest.grants().quarantinedCount() == 0, "quarantined for ever");
        check(guest.pages().freeCount() == freePages, "pages");
        check(guest.grants().freeCount() == freeGrefs, "grant references");
        check(guest.openPorts() == 0, "ports");
        guest.close();
    }

    /// One connection of a guest that knows of one backend only, while one process after the other
    /// dies, between any two steps of the control plane or of the data path. Nothing fails, and
    /// everything ends once.
    ///
    /// @throws AssertionError as [#run]
    void runWithSuccessors() throws StoreException {
        int freePages = guest.pages().freeCount();
        startProcess();
        connect();
        ending = false;
        toStart = 60 + sim.choose(200);
        for (int i = 0; i < DEPTH; i++) {
            frontLoop.execute(this::startOne);
        }
        while (toStart > 0) {
            boolean atNote = sim.choose(4) != 0;
            stepsToDeath = atNote ? 1 + sim.choose(60) : Integer.MAX_VALUE;
            int steps = atNote ? MAX_STEPS : sim.choose(300);
            for (int i = 0; i < steps && toStart > 0 && !isDead(); i++) {
                check(sim.step(), "everybody sleeps between two backends");
            }
            succeed();
        }
        stepsToDeath = Integer.MAX_VALUE;
        until("the last transfers", () -> running == 0);
        check(failedTransfers == 0, "transfers failed: " + failedTransfers);
        readEverything();
        ConnectedVbd closing = front;
        if (closing != null) {
            closeFront(closing);
        }
        check(notes.isEmpty(), "a note is left of a connection that was closed");
        closeBack();
        sim.run(MAX_STEPS);
        check(hypervisor.mappedTotal() == 0, "still mapped");
        guest.grants().retryQuarantined();
        check(guest.grants().quarantinedCount() == 0, "quarantined for ever");
        check(guest.pages().freeCount() == freePages, "pages");
        check(guest.openPorts() == 0, "ports");
        guest.close();
    }

    private boolean isDead() {
        return process != null && process.isDead();
    }

    /// One process dies, if it has not yet; the next goes on, or dies while it tries.
    private void succeed() throws StoreException {
        stepsToDeath = sim.choose(4) == 0 ? 1 + sim.choose(3) : Integer.MAX_VALUE;
        do {
            replacements++;
            killProcess();
            startProcess();
            try {
                back = startBackend();
            } catch (MortalDriver.Death e) {
                sim.trace("died at birth", replacements);
            }
        } while (isDead());
        check(backend().state() == XenbusState.CONNECTED, "the successor does not go on");
    }

    private QueueNote mortal(MemorySegment memory, int entries) {
        MortalDriver owner = process;
        return owner == null
                ? new QueueNote(memory, entries)
                : new MortalQueueNote(memory, entries, owner);
    }

    /// Whether a step of the backend's is its last.
    private boolean isLastStep() {
        stepsToDeath--;
        return stepsToDeath == 0;
    }

    private void readEverything() {
        ConnectedVbd device = front;
        if (device == null) {
            throw new IllegalStateException("not connected");
        }
        for (int first = 0; first < SECTORS; first += 64) {
            int from = first;
            running++;
            frontLoop.execute(
                    () -> {
                        GuestBuffer buffer = device.acquire(64 * SECTOR);
                        check(buffer != null, "no buffer");
                        if (buffer == null) {
                            return;
                        }
                        device.read(
                                (long) from * SECTOR,
                                buffer,
                                64 * SECTOR,
                                status -> {
                                    check(status == 0, "the last read failed");
                                    read(status, from, 64, buffer.bytes(), storage.errors);
                                    device.release(buffer);
                                    running--;
                                });
                    });
            until("reading everything", () -> running == 0);
        }
    }

    /// Ends this backend in one way or another, and starts the next.
    private void replaceBackend() throws StoreException {
        replacements++;
        ServedVbd old = backend();
        int way = sim.choose(4);
        sim.trace("replace", way);
        switch (way) {
            case 0 -> closeBack();
            case 1 -> {
                CompletableFuture<Void> gone = old.removeAsync();
                until("the backend is removed", gone::isDone);
            }
            case 2 -> killProcess();
            default -> killDriverDomain();
        }
        startProcess();
        back = startBackend();
    }

    /// The process of the backend dies, and the store lives.
    private void killProcess() {
        MortalDriver dying = process;
        Store connection = processStore;
        if (dying != null && connection != null) {
            dying.kill();
            connection.close();
        }
    }

    /// Store and backend die together; the next toolstack makes the device anew.
    private void killDriverDomain() throws StoreException {
        killProcess();
        ConnectedVbd device = front;
        if (device == null) {
            throw new IllegalStateException("not connected");
        }
        guestStore.close();
        device.suspend();
        toolstack.remove(paths.frontend());
        toolstack.remove(paths.backend());
        guestStore = tree.connection(GUEST, frontControl);
        VbdLab.makeDevice(toolstack, paths);
        CompletableFuture<Void> resumed = device.resume(guestSeen, guestStore);
        sim.trace("resume", resumed.isDone() ? 1 : 0);
    }

    private void startProcess() {
        process = new MortalDriver(driver, this::isLastStep);
        processStore = tree.connection(DomId.ZERO, process.thread(backControl));
    }

    private ServedVbd startBackend() throws StoreException {
        MortalDriver host = process;
        Store connection = processStore;
        if (host == null || connection == null) {
            throw new IllegalStateException("no process");
        }
        DeviceLoop workers = host.thread(disks);
        DiskImage opened = DiskImage.of(storage, DiskMode.WRITEBACK, workers);
        disk = opened;
        DeviceLoop control = host.thread(backControl);
        return ServedVbd.create(
                host,
                connection,
                GUEST,
                XVDA,
                opened,
                host.thread(backLoop),
                options(workers),
                ServedVbd.LIFECYCLE,
                control,
                Timers.of(control),
                fault == Fault.SURVIVED ? notes : DeviceNotes.NONE,
                this::mortal);
    }

    private VbdBackendOptions options(Executor workers) {
        boolean both = sim.choose(3) == 0;
        boolean barrier = sim.choose(2) == 0;
        int queues = 1 + sim.choose(3);
        // Several rings have no barriers, so one of the two must be left to flush with.
        boolean flush = both || !barrier || queues > 1;
        return VbdBackendOptions.of(weight -> workers::execute)
                .withMaxRingPageOrder(sim.choose(2))
                .withFeatures(
                        VbdFeatures.ALL
                                .withFlush(flush)
                                .withBarrier(both || barrier)
                                .withMaxIndirectSegments(new int[] {0, 12, 16, 256}[sim.choose(4)])
                                .withMaxQueues(queues)
                                .withMaxPersistentGrants(new int[] {0, 1, 7, 1056}[sim.choose(4)]));
    }

    private void connect() throws StoreException {
        guestStore.write(paths.frontend() + "/state", "1");
        if (process != null) {
            back = startBackend();
        } else if (back == null) {
            // The image is opened anew: a failure is forgotten, the bytes are not.
            DiskImage opened = DiskImage.of(storage, DiskMode.WRITEBACK, disks);
            disk = opened;
            back =
                    ServedVbd.create(
                            driver,
                            toolstack,
                            GUEST,
                            XVDA,
                            opened,
                            backLoop,
                            options(disks),
                            ServedVbd.LIFECYCLE,
                            backControl,
                            Timers.of(backControl));
        }
        ServedVbd offered = back;
        until("InitWait", () -> offered.state() == XenbusState.INIT_WAIT);
        CompletableFuture<ConnectedVbd> connecting =
                ConnectedVbd.connectAsync(
                        guestSeen,
                        guestStore,
                        XVDA,
                        frontLoop,
                        new VbdFrontendOptions(
                                sim.choose(3), 160 << 10, sim.choose(2) == 0, 1 + sim.choose(3)),
                        new FrontendOptions(Duration.ofSeconds(5), backendWait),
                        frontControl,
                        Timers.of(frontControl));
        until("connect", connecting::isDone);
        front = connecting.join();
        connections++;
        sim.trace("connected", connections);
    }

    private void work() {
        ending = false;
        abrupt = false;
        toStart = 20 + sim.choose(120);
        for (int i = 0; i < DEPTH; i++) {
            frontLoop.execute(this::startOne);
        }
        int stopAt = sim.choose(2) == 0 ? -1 : sim.choose(toStart);
        until("transfers", () -> toStart <= stopAt || (toStart <= 0 && running == 0));
    }

    private void closeBoth() {
        ConnectedVbd closing = front;
        if (closing == null) {
            throw new IllegalStateException("not connected");
        }
        ending = true; // from here on a transfer may end with an error
        front = null;
        switch (sim.choose(4)) {
            case 0 -> closeFront(closing);
            case 1 -> {
                closeBack();
                closeFront(closing);
            }
            case 2 -> {
                abrupt = true;
                closing.disconnect("the guest's driver was reset");
                closeFront(closing);
            }
            default -> {
                CompletableFuture<Void> both =
                        CompletableFuture.allOf(closing.closeAsync(), backend().closeAsync());
                back = null;
                until("both close", both::isDone);
            }
        }
        until("the last transfers", () -> running == 0);
        sim.trace("closed", transfers);
        if (back != null && disk != null && disk.failure().isPresent()) {
            closeBack();
        }
    }

    private ServedVbd backend() {
        ServedVbd open = back;
        if (open == null) {
            throw new IllegalStateException("no backend");
        }
        return open;
    }

    private void closeFront(ConnectedVbd closing) {
        CompletableFuture<Void> closed = closing.closeAsync();
        until("the frontend closes", closed::isDone);
        closed.join();
    }

    private void closeBack() {
        CompletableFuture<Void> closed = backend().closeAsync();
        back = null;
        until("the backend closes", closed::isDone);
        closed.join();
    }

    // The guest's work, on the frontend's loop.

    private void startOne() {
        ConnectedVbd device = front;
        if (device == null || ending || toStart <= 0) {
            return;
        }
        toStart--;
        running++;
        long errorsBefore = storage.errors;
        int kind = sim.choose(9);
        if (kind == 0) {
            long[] promised = acknowledged.clone();
            boolean[] done = new boolean[1];
            device.flush(
                    status -> {
                        once(done);
                        flushed(status, promised);
                    });
            return;
        }
        int sectors = 1 + sim.choose(sim.choose(4) == 0 ? MAX_TRANSFER_SECTORS : 12);
        int first = sim.choose(SECTORS - sectors);
        int used = inUse.nextSetBit(first);
        if (kind == 8) {
            discard(device, first, used >= 0 && used < first + sectors ? 0 : sectors);
            return;
        }
        GuestBuffer buffer =
                used >= 0 && used < first + sectors ? null : device.acquire(sectors * SECTOR);
        if (buffer == null) {
            ended();
            return;
        }
        inUse.set(first, first + sectors);
        ByteBuffer bytes = buffer.bytes();
        boolean[] done = new boolean[1];
        if (kind < 5) {
            long stamp = ++version;
            bytes.clear();
            for (int at = 0; at < sectors; at++) {
                for (int i = 0; i < SECTOR; i += 16) {
                    bytes.putLong(first + at).putLong(stamp);
                }
            }
            device.write(
                    (long) first * SECTOR,
                    buffer,
                    sectors * SECTOR,
                    status -> {
                        once(done);
                        written(status, first, sectors, stamp, errorsBefore);
                        end(device, buffer, first, sectors);
                    });
        } else {
            device.read(
                    (long) first * SECTOR,
                    buffer,
                    sectors * SECTOR,
                    status -> {
                        once(done);
                        read(status, first, sectors, bytes, errorsBefore);
                        end(device, buffer, first, sectors);
                    });
        }
    }

    /// What is discarded holds anything; here it is something of which can be said when it came.
    private void discard(ConnectedVbd device, int first, int sectors) {
        if (sectors == 0) {
            ended();
            return;
        }
        long errorsBefore = storage.errors;
        long stamp = ++version;
        inUse.set(first, first + sectors);
        Arrays.fill(discardStamps, first, first + sectors, stamp);
        boolean[] done = new boolean[1];
        device.disk()
                .discard(
                        (long) first * SECTOR,
                        (long) sectors * SECTOR,
                        status -> {
                            once(done);
                            written(status, first, sectors, stamp, errorsBefore);
                            inUse.clear(first, first + sectors);
                            ended();
                        });
    }

    private void end(ConnectedVbd device, GuestBuffer buffer, int first, int sectors) {
        device.release(buffer);
        inUse.clear(first, first + sectors);
        ended();
    }

    private void ended() {
        running--;
        transfers++;
        if (sim.choose(3) == 0) {
            frontLoop.schedule(this::startOne, 100L * sim.choose(1000));
        } else {
            frontLoop.execute(this::startOne);
        }
    }

    private void once(boolean[] done) {
        check(!done[0], "a transfer ended twice");
        done[0] = true;
    }

    private void written(int status, int first, int sectors, long stamp, long errorsBefore) {
        sim.trace("written " + status, first);
        checkStatus(status, errorsBefore);
        for (int at = first; at < first + sectors; at++) {
            if (status == 0) {
                acknowledged[at] = stamp;
                uncertain.get(at).clear();
            } else {
                uncertain.get(at).add(stamp); // it may be there, or come yet
            }
        }
    }

    private void read(int status, int first, int sectors, ByteBuffer bytes, long errorsBefore) {
        sim.trace("read " + status, first);
        checkStatus(status, errorsBefore);
        if (status != 0) {
            return;
        }
        bytes.clear();
        for (int at = first; at < first + sectors; at++) {
            long sector = bytes.getLong();
            long stamp = bytes.getLong();
            for (int i = 16; i < SECTOR; i += 16) {
                check(bytes.getLong() == sector && bytes.getLong() == stamp, "torn sector " + at);
            }
            check(stamp == 0 ? sector == 0 : sector == at, "sector " + sector + " at " + at);
            check(
                    stamp == acknowledged[at] || uncertain.get(at).contains(stamp),
                    "sector "
                            + at
                            + " has version "
                            + stamp
                            + ", acknowledged was "
                            + acknowledged[at]);
        }
    }

    private void flushed(int status, long[] promised) {
        sim.trace("flushed " + status, 0);
        if (status == 0) {
            for (int at = 0; at < SECTORS; at++) {
                long stable = storage.stableVersion(at);
                check(
                        stable >= promised[at],
                        "flushed, and sector "
                                + at
                                + " is stable in version "
                                + stable
                                + ", acknowledged was "
                                + promised[at]);
            }
        } else {
            failedTransfers++;
            check(ending || storageFails, "flush failed");
        }
        ended();
    }

    private void checkStatus(int status, long errorsBefore) {
        if (status != 0) {
            failedTransfers++;
            boolean reason =
                    ending
                            || storage.errors > errorsBefore
                            || (disk != null && disk.failure().isPresent());
            check(reason, "a transfer failed without a reason");
        }
    }

    private void until(String what, BooleanSupplier condition) {
        for (int steps = 0; !condition.getAsBoolean(); steps++) {
            check(steps < MAX_STEPS, "no end while waiting: " + what);
            check(sim.step(), "everybody sleeps while waiting: " + what);
        }
    }

    private void check(boolean holds, String what) {
        AssertionError first = firstFailure;
        if (first == null && !holds) {
            first = new AssertionError("seed " + sim.seed() + ": " + what);
            firstFailure = first;
        }
        if (first != null) {
            throw first; // what follows from it would only hide it
        }
    }

    /// Storage with a volatile and a stable half, which waits, falls short and fails as the seed
    /// says.
    private final class Storage extends MemoryStore {
        private byte[] stable = new byte[SECTORS * SECTOR];
        long errors;
        private int writesLeftToStray = 20;

        Storage() {
            super(SECTORS * SECTOR);
        }

        long stableVersion(int sector) {
            // The two longs repeat through the sector.
            return ByteBuffer.wrap(stable).getLong(sector * SECTOR + 8);
        }

        private void mayFail(int oneIn) throws IOException {
            if (storageFails && sim.choose(oneIn) == 0) {
                errors++;
                sim.trace("EIO", errors);
                throw new IOException("injected: Input/output error");
            }
        }

        @Override
        public long readNoWait(IoVector into, long offsetBytes) throws IOException {
            if (sim.choose(2) == 0) {
                return WOULD_BLOCK;
            }
            mayFail(60);
            return super.read(into, offsetBytes);
        }

        @Override
        public long read(IoVector into, long offsetBytes) throws IOException {
            sim.preemptionPoint();
            mayFail(60);
            return super.read(into, offsetBytes);
        }

        @Override
        public long writeNoWait(IoVector from, long offsetBytes) throws IOException {
            if (sim.choose(2) == 0) {
                return WOULD_BLOCK;
            }
            mayFail(400);
            return super.writeNoWait(from, stray(offsetBytes));
        }

        @Override
        public void write(IoVector from, long offsetBytes) throws IOException {
            sim.preemptionPoint();
            mayFail(400);
            super.write(from, stray(offsetBytes));
        }

        @Override
        public void discard(long offsetBytes, long sizeBytes) throws IOException {
            sim.preemptionPoint();
            mayFail(60);
            ByteBuffer target = ByteBuffer.wrap(bytes, (int) offsetBytes, (int) sizeBytes);
            while (target.hasRemaining()) {
                int at = target.position() / SECTOR;
                for (int i = 0; i < SECTOR; i += 16) {
                    target.putLong(at).putLong(discardStamps[at]);
                }
            }
        }

        private long stray(long offsetBytes) {
            if (fault == Fault.WRITE_GOES_ASTRAY && --writesLeftToStray == 0 && offsetBytes > 0) {
                return offsetBytes - SECTOR;
            }
            return offsetBytes;
        }

        @Override
        public void sync() throws IOException {
            byte[] now = bytes.clone();
            sim.preemptionPoint();
            mayFail(40);
            if (fault != Fault.SYNC_DOES_NOTHING) {
                stable = now;
            }
        }
    }
}
