package org.splitring.benchmarks;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;
import org.splitring.benchmarks.stress.NullStore;
import org.splitring.blkback.DiskEngine;
import org.splitring.blkback.DiskImage;
import org.splitring.blkback.DiskImages;
import org.splitring.blkback.DiskMode;
import org.splitring.blkback.DiskWorkers;
import org.splitring.blkback.VbdBackendDriver;
import org.splitring.blkback.VbdBackendOptions;
import org.splitring.blkback.VbdHost;
import org.splitring.blkfront.Completion;
import org.splitring.blkfront.GuestBuffer;
import org.splitring.blkfront.VbdFrontend;
import org.splitring.blkfront.VbdFrontendDriver;
import org.splitring.blkfront.VbdFrontendOptions;
import org.splitring.blkfront.VbdUser;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.hypervisor.local.LocalHypervisor;
import org.splitring.xenbus.BackendOptions;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.FrontendOptions;
import org.splitring.xenbus.Toolstack;
import org.splitring.xenbus.device.BackendBus;
import org.splitring.xenbus.device.BackendHost;
import org.splitring.xenbus.device.DeviceClasses;
import org.splitring.xenbus.device.DeviceNotes;
import org.splitring.xenbus.device.FrontendBus;
import org.splitring.xenbus.device.FrontendHost;
import org.splitring.xenbus.device.HostServices;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreTree;

/// A disk over the ring: blkfront, blkback, image. One event loop is the guest's, the other the
/// backend's: two processors. `BlkWorker QUEUES IMAGE MODE ENGINE [persistent] [noted]`; `null`
/// for an image that takes everything, `persistent` for buffers that stay granted, `noted` for a
/// note that a successor would find ([WorkerNotes]). Says `ready`, then obeys lines `TEST SECONDS`
/// ([BlockTest]) and answers each with lines `TEST METRIC VALUE` and `done`. Ends with its
/// standard input.
public final class BlkWorker {
    static final String NULL = "null";
    static final String PERSISTENT = "persistent";
    static final String NOTED = "noted";
    private static final long NULL_BYTES = 1L << 30;
    private static final int THREADS = 4; // as the program has
    private static final int VDEV = 51712;
    private static final int PATIENCE_SECONDS = 20;
    private static final int MEMORY_BYTES = 64 << 20;
    private static final long WARMUP_NANOS = 1_000_000_000;

    private final NettyDeviceLoops backLoops = new NettyDeviceLoops("blkback", 1);
    private final NettyDeviceLoops frontLoops = new NettyDeviceLoops("blkfront", 1);
    private final DeviceLoop back = backLoops.loop(0);
    private final DeviceLoop front = frontLoops.loop(0);
    private final VbdFrontend disk;

    private BlkWorker(
            int queues,
            String image,
            DiskMode mode,
            DiskEngine engine,
            List<String> words,
            DeviceNotes notes)
            throws Exception {
        LocalHypervisor hypervisor = new LocalHypervisor();
        StoreTree tree = new StoreTree();
        Store store = tree.connection(DomId.ZERO, Runnable::run);
        VbdBackendDriver backend =
                image.equals(NULL)
                        ? new VbdBackendDriver(
                                DiskImage.of(
                                        new NullStore(NULL_BYTES),
                                        DiskMode.WRITEBACK,
                                        Runnable::run))
                        : new VbdBackendDriver();
        CompletableFuture<VbdFrontend> connected = new CompletableFuture<>();
        VbdUser user =
                new VbdUser() {
                    @Override
                    public VbdFrontendOptions options(int device) {
                        return VbdFrontendOptions.DEFAULT
                                .withQueues(queues)
                                .withPersistentGrants(words.contains(PERSISTENT))
                                .withBufferBytes(MEMORY_BYTES / 4);
                    }

                    @Override
                    public void connected(int device, VbdFrontend now) {
                        connected.complete(now);
                    }
                };
        DeviceClasses classes = DeviceClasses.of(backend, new VbdFrontendDriver());
        DomId id = new DomId(1);
        tree.introduce(id);
        Toolstack toolstack = new Toolstack(store);
        toolstack.createDomain(id, "guest");
        Map<String, String> keys = new HashMap<>(Toolstack.vbdBackend("xvda", false, image));
        keys.put("cache", mode.label());
        toolstack.createDevice(
                DevicePaths.vbd(id, DomId.ZERO, VDEV), Toolstack.vbdFrontend(VDEV), keys);
        VbdHost host =
                new VbdHost(
                        new DiskImages(), VbdBackendOptions.of(new DiskWorkers(THREADS, engine)));
        var ignored =
                BackendBus.open(
                        new BackendHost(
                                        hypervisor.driverDomain(DomId.ZERO),
                                        store,
                                        () -> back,
                                        new SimpleMeterRegistry())
                                .with(
                                        HostServices.NONE
                                                .with(VbdHost.class, host)
                                                .with(DeviceNotes.class, notes)),
                        id,
                        classes,
                        BackendOptions.DEFAULT);
        FrontendBus.open(
                        new FrontendHost(() -> front, Path.of("none"), new SimpleMeterRegistry())
                                .with(HostServices.NONE.with(VbdUser.class, user)),
                        hypervisor.createGuest(id, MEMORY_BYTES, DomainLimits.DEFAULT),
                        tree.connection(id, Runnable::run),
                        classes,
                        FrontendOptions.DEFAULT)
                .get(PATIENCE_SECONDS, TimeUnit.SECONDS);
        disk = connected.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
    }

    /// Requests that are sent again as soon as they are answered. On the loop.
    private final class Load {
        private final BlockTest test;
        private final long places;
        private final SplittableRandom random = new SplittableRandom(1);
        private final CompletableFuture<Void> ended = new CompletableFuture<>();
        private boolean ending;
        private int underWay;
        private long place;
        private long answered; // for other threads as `done`
        private volatile long done;

        Load(BlockTest test) {
            this.test = test;
            places = disk.geometry().sizeBytes() / test.sizeBytes();
        }

        void begin() {
            for (int i = 0; i < test.depth(); i++) {
                new Slot(this).start();
            }
        }

        long nextOffset() {
            place = test.sequential() ? (place + 1) % places : random.nextLong(places);
            return place * test.sizeBytes();
        }
    }

    private final class Slot implements Completion {
        private final Load load;
        private final GuestBuffer buffer;

        Slot(Load load) {
            this.load = load;
            GuestBuffer free = disk.acquire(load.test.sizeBytes());
            if (free == null) {
                throw new IllegalStateException("no buffer for " + load.test);
            }
            buffer = free;
        }

        void start() {
            load.underWay++;
            if (load.test.write()) {
                disk.write(load.nextOffset(), buffer, load.test.sizeBytes(), this);
            } else {
                disk.read(load.nextOffset(), buffer, load.test.sizeBytes(), this);
            }
        }

        @Override
        public void done(int status) {
            if (status != 0) {
                load.ended.completeExceptionally(
                        new IllegalStateException(load.test + ": status " + status));
                load.ending = true;
            }
            load.underWay--;
            load.answered++;
            load.done = load.answered;
            if (!load.ending) {
                start();
                return;
            }
            disk.release(buffer);
            if (load.underWay == 0) {
                load.ended.complete(null);
            }
        }
    }

    private void run(BlockTest test, long nanos)
            throws IOException, InterruptedException, ExecutionException, TimeoutException {
        List<Long> self = List.of(ProcessHandle.current().pid());
        Load load = new Load(test);
        front.execute(load::begin);
        TimeUnit.NANOSECONDS.sleep(Math.min(WARMUP_NANOS, 2 * nanos));
        long cpuBefore = ProcessorTime.nanos(self);
        long before = load.done;
        long begin = System.nanoTime();
        do { // a busy machine may need longer for a single one
            TimeUnit.NANOSECONDS.sleep(nanos);
            if (System.nanoTime() - begin > TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS) + nanos) {
                throw new TimeoutException(test + ": nothing was answered");
            }
        } while (load.done == before && !load.ended.isDone()); // a failed load says why, below
        double operations = load.done - before;
        double rate = operations * 1e9 / (System.nanoTime() - begin);
        double cpu = (ProcessorTime.nanos(self) - cpuBefore) / operations;
        front.execute(() -> load.ending = true);
        load.ended.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
        System.out.printf("%s ops_per_second %.1f%n", test, rate);
        System.out.printf("%s cpu_ns %.1f%n", test, cpu);
    }

    /// Measures until standard input ends.
    public static void main(String[] args) throws Exception {
        List<String> words = List.of(args).subList(4, args.length);
        try (WorkerNotes notes = words.contains(NOTED) ? WorkerNotes.kept() : WorkerNotes.none()) {
            BlkWorker worker =
                    new BlkWorker(
                            Integer.parseInt(args[0]),
                            args[1],
                            DiskMode.parse(args[2]),
                            DiskEngine.valueOf(args[3]),
                            words,
                            notes.notes());
            worker.obey();
        }
        Runtime.getRuntime().halt(0);
    }

    private void obey() throws Exception {
        BufferedReader commands =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        System.out.println("ready");
        for (@Nullable String line = commands.readLine();
                line != null;
                line = commands.readLine()) {
            String[] words = line.split(" ", -1);
            long nanos = (long) (Double.parseDouble(words[1]) * 1e9);
            run(BlockTest.parse(words[0]), nanos);
            System.out.println("done");
        }
    }
}
