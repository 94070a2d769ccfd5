package org.splitring.netback;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.splitring.bridge.LearningSwitch;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.SwitchSettings;
import org.splitring.bridge.VirtualNetwork;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.local.LocalGuestDomain;
import org.splitring.hypervisor.local.LocalHypervisor;
import org.splitring.netfront.FrameChecksum;
import org.splitring.netfront.FrameSegmentation;
import org.splitring.netfront.ReceivedFrame;
import org.splitring.netfront.TxFrame;
import org.splitring.netfront.VifFeatures;
import org.splitring.netfront.VifFrontend;
import org.splitring.netfront.VifFrontendDriver;
import org.splitring.netfront.VifFrontendOptions;
import org.splitring.netfront.VifUser;
import org.splitring.testkit.LossyDoorbells;
import org.splitring.testkit.MortalDriver;
import org.splitring.testkit.SimulatedLoop;
import org.splitring.testkit.Simulation;
import org.splitring.xenbus.BackendOptions;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.FrontendOptions;
import org.splitring.xenbus.Timers;
import org.splitring.xenbus.Toolstack;
import org.splitring.xenbus.device.BackendBus;
import org.splitring.xenbus.device.BackendContext;
import org.splitring.xenbus.device.BackendHost;
import org.splitring.xenbus.device.DeviceClasses;
import org.splitring.xenbus.device.FrontendBus;
import org.splitring.xenbus.device.FrontendHost;
import org.splitring.xenbus.device.HostServices;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.StoreTree;

/// A network and its guests in one thread, under a seed and a clock of its own: frontends,
/// backends, store, event channels, grants. Both halves are the real ones, made by their buses.
final class VifLab implements AutoCloseable {
    private static final int MAX_STEPS = 3_000_000;

    final Simulation sim;
    final LocalHypervisor hypervisor = new LocalHypervisor();
    final StoreTree tree = new StoreTree();
    final SimulatedLoop netLoop;
    final SimulatedLoop control;
    final Store store;
    final Toolstack toolstack;
    final boolean copying;
    DriverDomain driver;
    VirtualNetwork network;
    final SimpleMeterRegistry meters = new SimpleMeterRegistry();
    final Map<DomId, VifDevice> devices = new HashMap<>();
    VifBackendOptions options = VifBackendOptions.DEFAULT;
    HostServices services = HostServices.NONE;
    int mtu = 1500;
    int mappedByOthers;

    /// Whether ports of the next process seem to have no event pending when they are bound.
    boolean isDeafAtFirst;

    /// Pages are copied with every other seed, and mapped with the rest.
    VifLab(long seed) {
        this(seed, (seed & 1) != 0);
    }

    VifLab(long seed, boolean copying) {
        this.copying = copying;
        driver = driverDomain();
        sim = new Simulation(seed);
        netLoop = sim.loop("network", 0);
        control = sim.loop("control", 0);
        store = tree.connection(DomId.ZERO, control);
        toolstack = new Toolstack(store);
        network =
                new VirtualNetwork(
                        "lab",
                        netLoop,
                        netLoop::nanoTime,
                        new LearningSwitch(SwitchSettings.DEFAULT));
    }

    /// The process with backends and network is killed, and there is another one.
    ///
    /// @param dying what [#driver] was
    MortalDriver succeed(MortalDriver dying) {
        dying.kill();
        network =
                new VirtualNetwork(
                        "lab",
                        netLoop,
                        netLoop::nanoTime,
                        new LearningSwitch(SwitchSettings.DEFAULT));
        MortalDriver next = new MortalDriver(driverDomain());
        driver = next;
        return next;
    }

    /// Where backends live, as the platform has it.
    private DriverDomain driverDomain() {
        DriverDomain local = hypervisor.driverDomain(DomId.ZERO);
        DriverDomain made = copying ? new CopyingDriver(local) : local;
        return isDeafAtFirst ? new LossyDoorbells.Driver(made, 0, true) : made;
    }

    static VifLab withSeed() {
        return withSeed(false);
    }

    /// @param copying whether copying pages is said to be cheaper than mapping them
    static VifLab withSeed(boolean copying) {
        return new VifLab(Long.getLong("splitring.seed", 20_261_126L), copying);
    }

    static DevicePaths paths(int domid) {
        return new DevicePaths("vif", new DomId(domid), DomId.ZERO, 0);
    }

    /// A guest's domain, without any device.
    LocalGuestDomain domain(int domid) throws StoreException {
        DomId id = new DomId(domid);
        tree.introduce(id);
        toolstack.createDomain(id, "guest" + domid);
        return hypervisor.createGuest(id, 8 << 20, DomainLimits.DEFAULT);
    }

    /// The backends of a guest, by the real driver.
    BackendBus backends(int domid) throws StoreException {
        DeviceLoop loop = driver instanceof MortalDriver own ? own.thread(netLoop) : netLoop;
        DeviceLoop tasks = driver instanceof MortalDriver own ? own.thread(control) : control;
        VifPlace.Finder finder =
                context -> new VifPlace(network, loop, PortSettings.of("vif" + domid + ".0"), mtu);
        VifBackendDriver driverOfVif =
                new VifBackendDriver(finder, options) {
                    @Override
                    VifDevice device(BackendContext context, VifPlace place) {
                        VifDevice made = super.device(context, place);
                        devices.put(context.paths().frontendDomain(), made);
                        return made;
                    }
                };
        return BackendBus.open(
                new BackendHost(
                        driver, store, () -> loop, tasks, Timers.of(tasks), meters, services),
                new DomId(domid),
                DeviceClasses.of(
                        driverOfVif, new VifFrontendDriver((c, o) -> never(), frontOptions())),
                BackendOptions.DEFAULT);
    }

    private static VifFrontend never() {
        throw new AssertionError("no frontends here");
    }

    private static VifFrontendOptions frontOptions() {
        return VifFrontendOptions.DEFAULT;
    }

    void createVif(int domid, Map<String, String> backendKeys) throws StoreException {
        toolstack.createDevice(paths(domid), Map.of("mac", mac(domid)), backendKeys);
    }

    static String mac(int domid) {
        return "00:16:3e:00:00:%02x".formatted(domid);
    }

    VifMetrics metrics(int domid) {
        VifDevice device = devices.get(new DomId(domid));
        if (device == null) {
            throw new AssertionError("no vif of " + domid);
        }
        return device.counters().snapshot();
    }

    String backendState(int domid) throws StoreException {
        return store.read(paths(domid).backend() + "/state").orElse("");
    }

    String frontendState(int domid) {
        try {
            return store.read(paths(domid).frontend() + "/state").orElse("");
        } catch (StoreException e) {
            throw new AssertionError(e);
        }
    }

    String backendError(int domid) throws StoreException {
        return store.read(paths(domid).backendError()).orElse("");
    }

    void awaitBackend(int domid, String state) {
        until(
                "backend of " + domid + " in state " + state,
                () -> {
                    try {
                        return backendState(domid).equals(state);
                    } catch (StoreException e) {
                        throw new AssertionError(e);
                    }
                });
    }

    void until(String what, BooleanSupplier condition) {
        for (int i = 0; i < MAX_STEPS; i++) {
            if (condition.getAsBoolean()) {
                return;
            }
            if (!sim.step()) {
                break;
            }
        }
        if (!condition.getAsBoolean()) {
            throw new AssertionError("seed " + sim.seed() + ": never: " + what);
        }
    }

    /// Lets everything happen that is to happen now.
    void settle() {
        sim.runFor(2_000_000);
    }

    Guest guest(int domid) throws StoreException {
        return guest(domid, VifFrontendOptions.DEFAULT, Map.of());
    }

    /// A guest with a vif that is connected.
    Guest guest(int domid, VifFrontendOptions front, Map<String, String> backendKeys)
            throws StoreException {
        Guest guest = new Guest(domid, front);
        createVif(domid, backendKeys);
        guest.connect();
        until("guest " + domid + " connects", () -> guest.features != null);
        settle(); // the network's end is there too
        return guest;
    }

    @Override
    public void close() {
        store.close();
    }

    /// A frame that a guest has received.
    @SuppressWarnings("ArrayRecordComponent") // nobody compares them
    record Seen(
            byte[] bytes,
            FrameChecksum checksum,
            FrameSegmentation segmentation,
            int segmentBytes,
            int hashType,
            int hash,
            int queue) {}

    /// A guest with one vif, whose user notes what comes.
    final class Guest implements VifUser {
        final int domid;
        final LocalGuestDomain domain;
        final Store guestStore;
        final SimulatedLoop loop;
        final List<Seen> received = new ArrayList<>();
        final VifFrontendOptions front;
        final int freePages;
        final int freeGrefs;
        @Nullable VifFrontend vif;
        @Nullable FrontendBus bus;
        BackendBus backends;
        @Nullable VifFeatures features;
        int batches;
        int carrierLosses;
        int writable;
        Runnable onWritable = () -> {};

        Guest(int domid, VifFrontendOptions front) throws StoreException {
            this.domid = domid;
            // As Linux's: pages that are kept are neither copied nor mapped.
            this.front = copying ? front.withoutStaticGrants() : front;
            domain = domain(domid);
            guestStore = tree.connection(domain.id(), control);
            loop = sim.loop("guest " + domid, 0);
            freePages = domain.pages().freeCount();
            freeGrefs = domain.grants().freeCount();
            backends = backends(domid);
        }

        void connect() {
            VifFrontendDriver frontDriver =
                    new VifFrontendDriver(
                            (context, o) -> {
                                VifFrontend made = VifFrontend.create(context.loop(), this, o);
                                vif = made;
                                return made;
                            },
                            this.front);
            CompletableFuture<FrontendBus> opening =
                    FrontendBus.open(
                            new FrontendHost(
                                    () -> loop,
                                    Path.of("none"),
                                    control,
                                    Timers.of(control),
                                    new SimpleMeterRegistry(),
                                    services),
                            domain,
                            guestStore,
                            DeviceClasses.of(
                                    new VifBackendDriver(
                                            c -> {
                                                throw new AssertionError("no backends here");
                                            },
                                            VifBackendOptions.DEFAULT),
                                    frontDriver),
                            FrontendOptions.DEFAULT);
            until("the bus opens", opening::isDone);
            bus = opening.join();
        }

        VifFrontend vif() {
            VifFrontend made = vif;
            if (made == null) {
                throw new AssertionError("no vif");
            }
            return made;
        }

        @Override
        public void carrierOn(VifFeatures now) {
            features = now;
        }

        @Override
        public void carrierOff() {
            features = null;
            carrierLosses++;
        }

        @Override
        public void received(ReceivedFrame frame) {
            byte[] bytes = new byte[frame.sizeBytes()];
            frame.copyTo(MemorySegment.ofArray(bytes), 0, 0, bytes.length);
            received.add(
                    new Seen(
                            bytes,
                            frame.checksum(),
                            frame.segmentation(),
                            frame.segmentBytes(),
                            frame.hashType(),
                            frame.hash(),
                            frame.queue()));
        }

        @Override
        public void batchEnd() {
            batches++;
        }

        @Override
        public void writable(int queue) {
            writable++;
            onWritable.run();
        }

        /// Sends frames with one event.
        void sendAtOnce(List<byte[]> frames, Consumer<TxFrame> describe) {
            loop.execute(
                    () -> {
                        for (byte[] frame : frames) {
                            TxFrame tx = Objects.requireNonNull(vif().acquire(0, frame.length));
                            tx.append(MemorySegment.ofArray(frame), 0, frame.length);
                            describe.accept(tx);
                            tx.send();
                        }
                        vif().flush();
                    });
        }

        /// Sends one frame, as its program would.
        void send(byte[] bytes) {
            send(bytes, frame -> {});
        }

        void send(byte[] bytes, Consumer<TxFrame> describe) {
            CompletableFuture<Boolean> sent = new CompletableFuture<>();
            loop.execute(
                    () -> {
                        TxFrame frame = vif().acquire(0, bytes.length);
                        if (frame == null) {
                            sent.complete(false);
                            return;
                        }
                        frame.append(MemorySegment.ofArray(bytes), 0, bytes.length);
                        describe.accept(frame);
                        frame.send();
                        vif().flush();
                        sent.complete(true);
                    });
            until("sent", sent::isDone);
            if (!sent.join()) {
                throw new AssertionError("no room to send");
            }
        }

        Seen awaitFrame() {
            until("a frame for " + domid, () -> !received.isEmpty());
            return received.removeFirst();
        }

        void closeFront() {
            FrontendBus open = bus;
            bus = null;
            if (open != null) {
                CompletableFuture<Void> closed = open.closeAsync();
                until("frontends of " + domid + " close", closed::isDone);
            }
        }

        void closeBack() {
            CompletableFuture<Void> closed = backends.closeAsync();
            until("backends of " + domid + " close", closed::isDone);
        }

        /// Nothing may be left of the device.
        void checkNothingLeft() {
            domain.grants().retryQuarantined();
            String left =
                    "pages %d of %d, references %d of %d, ports %d, mapped %d"
                            .formatted(
                                    domain.pages().freeCount(),
                                    freePages,
                                    domain.grants().freeCount(),
                                    freeGrefs,
                                    domain.openPorts(),
                                    hypervisor.mappedTotal());
            if (domain.pages().freeCount() != freePages
                    || domain.grants().freeCount() != freeGrefs
                    || domain.openPorts() != 0) {
                throw new AssertionError("seed " + sim.seed() + ": left over: " + left);
            }
        }
    }
}
