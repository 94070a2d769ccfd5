package org.splitring.benchmarks.stress;

import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.splitring.blkback.DiskEngine;
import org.splitring.blkback.DiskImage;
import org.splitring.blkback.DiskImages;
import org.splitring.blkback.DiskWorkers;
import org.splitring.blkback.VbdBackendDriver;
import org.splitring.blkback.VbdBackendOptions;
import org.splitring.blkback.VbdHost;
import org.splitring.blkfront.VbdFrontend;
import org.splitring.blkfront.VbdFrontendDriver;
import org.splitring.blkfront.VbdFrontendOptions;
import org.splitring.blkfront.VbdUser;
import org.splitring.bridge.LearningSwitch;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.SwitchSettings;
import org.splitring.bridge.VirtualNetwork;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.hypervisor.local.LocalGuestDomain;
import org.splitring.hypervisor.local.LocalHypervisor;
import org.splitring.netback.VifBackendDriver;
import org.splitring.netback.VifBackendOptions;
import org.splitring.netback.VifPlace;
import org.splitring.netfront.ReceivedFrame;
import org.splitring.netfront.VifFeatures;
import org.splitring.netfront.VifFrontend;
import org.splitring.netfront.VifFrontendDriver;
import org.splitring.netfront.VifFrontendOptions;
import org.splitring.netfront.VifUser;
import org.splitring.xenbus.BackendHooks;
import org.splitring.xenbus.BackendOptions;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.FrontendOptions;
import org.splitring.xenbus.Toolstack;
import org.splitring.xenbus.device.BackendBus;
import org.splitring.xenbus.device.BackendContext;
import org.splitring.xenbus.device.BackendDriver;
import org.splitring.xenbus.device.BackendHost;
import org.splitring.xenbus.device.DeviceClasses;
import org.splitring.xenbus.device.DeviceException;
import org.splitring.xenbus.device.FrontendBus;
import org.splitring.xenbus.device.FrontendHost;
import org.splitring.xenbus.device.HostServices;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.StoreTree;

/// A driver domain and its guests in this process: each guest is a domain with a memory, grants
/// and event channels of its own, and its devices find their backends through the store. Some
/// event loops are the guests', as many others the backends'.
final class GuestBed implements AutoCloseable {
    private static final int FIRST_VDEV = 51712; // xvda
    private static final int VDEV_STEP = 16;
    private static final int THREADS = 4; // as the program has
    private static final Duration PATIENCE = Duration.ofSeconds(20);

    private final LocalHypervisor hypervisor = new LocalHypervisor(Integer.MAX_VALUE);
    private final StoreTree tree = new StoreTree();
    private final Store store = tree.connection(DomId.ZERO, Runnable::run);
    private final MeterRegistry meters = new SimpleMeterRegistry();
    private final NettyDeviceLoops backLoops;
    private final NettyDeviceLoops frontLoops;
    private final DiskWorkers workers = new DiskWorkers(THREADS, DiskEngine.IO_URING);
    private final DeviceLoop networkLoop;
    private final VirtualNetwork network;
    private final Deque<Guest> guests = new ArrayDeque<>();

    /// @param loops of each side
    GuestBed(int loops) {
        backLoops = new NettyDeviceLoops("stress-back", loops);
        frontLoops = new NettyDeviceLoops("stress-front", loops);
        networkLoop = backLoops.loop(0);
        network =
                new VirtualNetwork(
                        "stress",
                        networkLoop,
                        System::nanoTime,
                        new LearningSwitch(SwitchSettings.DEFAULT));
    }

    /// Makes a guest without devices.
    Guest guest(long memoryBytes) throws StressException {
        DomId id = new DomId(guests.size() + 1);
        FreeMemory.require(memoryBytes, "guest " + id);
        try {
            tree.introduce(id);
            new Toolstack(store).createDomain(id, "guest" + id);
            Guest guest =
                    new Guest(id, hypervisor.createGuest(id, memoryBytes, DomainLimits.DEFAULT));
            guests.add(guest);
            return guest;
        } catch (StoreException e) {
            throw new StressException("guest " + id + ": " + e.getMessage(), e);
        } catch (OutOfMemoryError e) { // of memory outside the heap, before anything was made
            throw new StressException(
                    "guest %s: no room for its memory of %s: fewer guests, less depth, or a JVM with"
                                    .formatted(id, Amounts.size(memoryBytes))
                            + " a larger -XX:MaxDirectMemorySize",
                    e);
        }
    }

    /// One of the guests.
    final class Guest {
        private final DomId id;
        private final LocalGuestDomain domain;
        private final DeviceLoop front = frontLoops.next();
        private final DeviceLoop back = backLoops.next();
        private final List<BackendBus> backends = new ArrayList<>();
        private final List<FrontendBus> frontends = new ArrayList<>();

        private Guest(DomId id, LocalGuestDomain domain) {
            this.id = id;
            this.domain = domain;
        }

        /// Owns the frontends.
        DeviceLoop loop() {
            return front;
        }

        /// Plugs in a disk for each image, and waits until all can be used.
        ///
        /// @param images stay the caller's
        List<VbdFrontend> disks(List<DiskImage> images, VbdFrontendOptions options)
                throws StressException, InterruptedException {
            Map<Integer, CompletableFuture<VbdFrontend>> connected = new ConcurrentHashMap<>();
            Map<Integer, VbdBackendDriver> drivers = new HashMap<>();
            List<Integer> numbers = new ArrayList<>();
            for (int i = 0; i < images.size(); i++) {
                int number = FIRST_VDEV + i * VDEV_STEP;
                numbers.add(number);
                connected.put(number, new CompletableFuture<>());
                drivers.put(number, new VbdBackendDriver(images.get(i)));
            }
            VbdUser user =
                    new VbdUser() {
                        @Override
                        public VbdFrontendOptions options(int device) {
                            return options;
                        }

                        @Override
                        public void connected(int device, VbdFrontend disk) {
                            connected
                                    .getOrDefault(device, new CompletableFuture<>())
                                    .complete(disk);
                        }
                    };
            VbdHost host = new VbdHost(new DiskImages(), VbdBackendOptions.of(workers));
            List<VbdFrontend> disks = new ArrayList<>();
            String what = "disk of guest " + id;
            try {
                for (int i = 0; i < images.size(); i++) {
                    new Toolstack(store)
                            .createDevice(
                                    DevicePaths.vbd(id, DomId.ZERO, numbers.get(i)),
                                    Toolstack.vbdFrontend(numbers.get(i)),
                                    Toolstack.vbdBackend(
                                            "xvd" + (char) ('a' + i),
                                            images.get(i).readOnly(),
                                            images.get(i).name()));
                }
                open(
                        DeviceClasses.of(new ImagesDriver(drivers), new VbdFrontendDriver()),
                        HostServices.NONE.with(VbdHost.class, host),
                        HostServices.NONE.with(VbdUser.class, user));
                for (Integer number : numbers) {
                    disks.add(
                            connected
                                    .getOrDefault(number, new CompletableFuture<>())
                                    .get(PATIENCE.toMillis(), TimeUnit.MILLISECONDS));
                }
                return disks;
            } catch (StoreException | ExecutionException e) {
                throw new StressException(what + ": " + e.getMessage(), e);
            } catch (TimeoutException e) {
                throw new StressException(what + " is not connected after " + PATIENCE, e);
            }
        }

        /// Plugs in an interface of the network that all share, and waits for its carrier.
        ///
        /// @param user is called on [#loop]
        VifFrontend vif(VifUser user, VifFrontendOptions options, int mtu)
                throws StressException, InterruptedException {
            Carrier carrier = new Carrier(user);
            VifFrontend vif = VifFrontend.create(front, carrier, options);
            VifPlace place =
                    new VifPlace(network, networkLoop, PortSettings.of("vif" + id + ".0"), mtu);
            String what = "vif of guest " + id;
            try {
                new Toolstack(store)
                        .createDevice(
                                new DevicePaths("vif", id, DomId.ZERO, 0),
                                Map.of("mac", ""),
                                Map.of());
                open(
                        DeviceClasses.of(
                                new VifBackendDriver(
                                        context -> place,
                                        VifBackendOptions.DEFAULT.withMaxQueues(8)),
                                new VifFrontendDriver((context, same) -> vif, options)),
                        HostServices.NONE,
                        HostServices.NONE);
                if (!carrier.on.await(PATIENCE.toMillis(), TimeUnit.MILLISECONDS)) {
                    throw new StressException(what + " has no carrier after " + PATIENCE);
                }
                return vif;
            } catch (StoreException | ExecutionException | TimeoutException e) {
                throw new StressException(what + ": " + e.getMessage(), e);
            }
        }

        private void open(DeviceClasses classes, HostServices backLends, HostServices frontLends)
                throws StoreException, ExecutionException, TimeoutException, InterruptedException {
            backends.add(
                    BackendBus.open(
                            new BackendHost(
                                            hypervisor.driverDomain(DomId.ZERO),
                                            store,
                                            () -> back,
                                            meters)
                                    .with(backLends),
                            id,
                            classes,
                            BackendOptions.DEFAULT));
            frontends.add(
                    FrontendBus.open(
                                    new FrontendHost(() -> front, Path.of("none"), meters)
                                            .with(frontLends),
                                    domain,
                                    tree.connection(id, Runnable::run),
                                    classes,
                                    FrontendOptions.DEFAULT)
                            .get(PATIENCE.toMillis(), TimeUnit.MILLISECONDS));
        }

        private void gone() {
            backends.forEach(bus -> bus.guestGone().join());
            domain.close();
        }
    }

    /// Tells when the carrier is there, and passes everything on.
    private record Carrier(VifUser user, CountDownLatch on) implements VifUser {
        Carrier(VifUser user) {
            this(user, new CountDownLatch(1));
        }

        @Override
        public void carrierOn(VifFeatures features) {
            user.carrierOn(features);
            on.countDown();
        }

        @Override
        public void carrierOff() {
            user.carrierOff();
        }

        @Override
        public void received(ReceivedFrame frame) {
            user.received(frame);
        }

        @Override
        public void batchEnd() {
            user.batchEnd();
        }

        @Override
        public void writable(int queue) {
            user.writable(queue);
        }
    }

    /// Backends of a guest's disks, each of the image that belongs to its number.
    private record ImagesDriver(Map<Integer, VbdBackendDriver> drivers) implements BackendDriver {
        @Override
        public String deviceClass() {
            return "vbd";
        }

        @Override
        public Set<String> parameters() {
            return new VbdBackendDriver().parameters();
        }

        @Override
        public BackendHooks create(BackendContext context) throws DeviceException {
            VbdBackendDriver driver = drivers.get(context.paths().device());
            if (driver == null) {
                throw new DeviceException("no image for disk " + context.paths().device());
            }
            return driver.create(context);
        }
    }

    /// How many guests there are.
    int size() {
        return guests.size();
    }

    /// Unplugs everything, takes the guests away, and waits until nothing of theirs is in use.
    @Override
    public void close() {
        List<CompletableFuture<Void>> closing = new ArrayList<>();
        for (Guest guest : guests) {
            guest.frontends.forEach(bus -> closing.add(bus.closeAsync()));
        }
        // Whoever does not close in time is gone in the next step.
        CompletableFuture.allOf(closing.toArray(CompletableFuture[]::new))
                .completeOnTimeout(null, PATIENCE.toMillis(), TimeUnit.MILLISECONDS)
                .join();
        guests.forEach(Guest::gone);
        frontLoops.close();
        backLoops.close();
        workers.close();
    }
}
