package org.splitring.benchmarks;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.splitring.bridge.LearningSwitch;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.SwitchSettings;
import org.splitring.bridge.VirtualNetwork;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.hypervisor.local.LocalHypervisor;
import org.splitring.netback.VifBackendDriver;
import org.splitring.netback.VifBackendOptions;
import org.splitring.netback.VifPlace;
import org.splitring.netfront.FrameChecksum;
import org.splitring.netfront.FrameSegmentation;
import org.splitring.netfront.ReceivedFrame;
import org.splitring.netfront.TxFrame;
import org.splitring.netfront.VifFeatures;
import org.splitring.netfront.VifFrontend;
import org.splitring.netfront.VifFrontendDriver;
import org.splitring.netfront.VifFrontendOptions;
import org.splitring.netfront.VifUser;
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

/// Frames from ring to ring through the switch: netfront, netback, switch, netback, netfront. One
/// event loop is both guests', the other that of the backends and the network: two processors.
/// Arguments: seconds of a test, `kept` or `unkept` (whether backends keep the guests' pages
/// mapped) or `noted` (kept, and with a note that a successor would find), then the sizes of
/// frames; one above 1514 bytes is a large segment of TCP. Prints `SIZE METRIC VALUE`.
final class NetWorker {
    static final String KEPT = "kept";
    static final String UNKEPT = "unkept";
    static final String NOTED = "noted";
    private static final int BATCH = 64;
    private static final int ETHERNET = 14;
    private static final int LARGEST_PLAIN = 1514;
    private static final int SEGMENT_PAYLOAD = 1448;
    private static final int PATIENCE_SECONDS = 20;
    private static final long WARM_UP_NANOS = TimeUnit.MILLISECONDS.toNanos(1500);

    /// Before the first test, unless tests are shorter than [#SHORT_NANOS] and only show that all
    /// runs: it takes the compilers seconds to come to rest.
    private static final long FIRST_NANOS = TimeUnit.SECONDS.toNanos(6);

    private static final long SHORT_NANOS = TimeUnit.MILLISECONDS.toNanos(200);

    private final NettyDeviceLoops backLoops = new NettyDeviceLoops("netback", 1);
    private final NettyDeviceLoops frontLoops = new NettyDeviceLoops("netfront", 1);
    private final DeviceLoop back = backLoops.loop(0);
    private final DeviceLoop front = frontLoops.loop(0);
    private final LocalHypervisor hypervisor = new LocalHypervisor();
    private final StoreTree tree = new StoreTree();
    private final Store store = tree.connection(DomId.ZERO, Runnable::run);
    private final VirtualNetwork network =
            new VirtualNetwork(
                    "bench", back, System::nanoTime, new LearningSwitch(SwitchSettings.DEFAULT));

    private final VifFrontendOptions options;
    private final DeviceNotes notes;

    private NetWorker(VifFrontendOptions options, DeviceNotes notes) {
        this.options = options;
        this.notes = notes;
    }

    /// A guest: sends as fast as there is room while it has something to send, and counts what it
    /// receives. State is the loop's own.
    private static final class Guest implements VifUser {
        private final DeviceLoop loop;
        private final CountDownLatch connected = new CountDownLatch(1);
        private final Runnable sendOn = this::send;
        private @Nullable VifFrontend vif;
        private @Nullable MemorySegment toSend;
        private int sizeBytes;
        private long taken;
        private volatile long received; // `taken` after each batch, for other threads

        Guest(DeviceLoop loop) {
            this.loop = loop;
        }

        @Override
        public void carrierOn(VifFeatures features) {
            connected.countDown();
        }

        @Override
        public void received(ReceivedFrame frame) {
            taken++;
        }

        @Override
        public void batchEnd() {
            received = taken;
        }

        void begin(MemorySegment frame, int bytes) {
            toSend = frame;
            sizeBytes = bytes;
            send();
        }

        void end() {
            toSend = null;
        }

        void sendOne(MemorySegment frame, int bytes) {
            toSend = frame;
            sizeBytes = bytes;
            put(frame);
            toSend = null;
            open().flush();
        }

        private VifFrontend open() {
            VifFrontend now = vif;
            if (now == null) {
                throw new IllegalStateException("no vif yet");
            }
            return now;
        }

        private void send() {
            MemorySegment frame = toSend;
            if (frame == null) {
                return;
            }
            int n = 0;
            while (n < BATCH && put(frame)) {
                n++;
            }
            open().flush();
            if (n == BATCH) {
                loop.execute(sendOn); // what is received has its turn before
            }
        }

        @Override
        public void writable(int queue) {
            send();
        }

        private boolean put(MemorySegment bytes) {
            TxFrame frame = open().acquire(0, sizeBytes);
            if (frame == null) {
                return false;
            }
            frame.append(bytes, 0, sizeBytes);
            if (sizeBytes > LARGEST_PLAIN) {
                frame.checksum(FrameChecksum.PARTIAL);
                frame.segmentation(FrameSegmentation.TCPV4, SEGMENT_PAYLOAD);
            }
            frame.send();
            return true;
        }
    }

    private Guest guest(int domid) throws Exception {
        DomId id = new DomId(domid);
        Guest user = new Guest(front);
        VifFrontend vif = VifFrontend.create(front, user, options);
        user.vif = vif;
        VifPlace place = new VifPlace(network, back, PortSettings.of("vif" + domid + ".0"), 1500);
        DeviceClasses classes =
                DeviceClasses.of(
                        new VifBackendDriver(context -> place, VifBackendOptions.DEFAULT),
                        new VifFrontendDriver((context, same) -> vif, options));
        tree.introduce(id);
        Toolstack toolstack = new Toolstack(store);
        toolstack.createDomain(id, "guest" + domid);
        toolstack.createDevice(
                new DevicePaths("vif", id, DomId.ZERO, 0), Map.of("mac", ""), Map.of());
        var ignored =
                BackendBus.open(
                        new BackendHost(
                                        hypervisor.driverDomain(DomId.ZERO),
                                        store,
                                        () -> back,
                                        new SimpleMeterRegistry())
                                .with(HostServices.NONE.with(DeviceNotes.class, notes)),
                        id,
                        classes,
                        BackendOptions.DEFAULT);
        FrontendBus.open(
                        new FrontendHost(() -> front, Path.of("none"), new SimpleMeterRegistry()),
                        hypervisor.createGuest(id, 8 << 20, DomainLimits.DEFAULT),
                        tree.connection(id, Runnable::run),
                        classes,
                        FrontendOptions.DEFAULT)
                .get(PATIENCE_SECONDS, TimeUnit.SECONDS);
        if (!user.connected.await(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
            throw new IllegalStateException("guest " + domid + " has no carrier");
        }
        return user;
    }

    /// One test: warms up as long as it measures, at least.
    private void run(Guest sender, Guest receiver, int size, long warmUp, long nanos)
            throws Exception {
        MemorySegment frame = frame(2, 1, size);
        front.execute(() -> sender.begin(frame, size));
        TimeUnit.NANOSECONDS.sleep(Math.max(nanos, warmUp));
        long before = receiver.received;
        long begin = System.nanoTime();
        do { // a busy machine may need longer for a single one
            TimeUnit.NANOSECONDS.sleep(nanos);
        } while (receiver.received == before);
        long frames = receiver.received - before;
        double seconds = (System.nanoTime() - begin) / 1e9;
        front.execute(sender::end);
        TimeUnit.MILLISECONDS.sleep(20); // what is under way arrives
        System.out.printf("%d frames_per_second %.1f%n", size, frames / seconds);
        System.out.printf("%d bits_per_second %.1f%n", size, frames / seconds * size * 8);
        System.out.printf("%d frame_ns %.3f%n", size, seconds * 1e9 / frames);
    }

    /// From one guest to another: TCP over IPv4, as far as anybody looks.
    private static MemorySegment frame(int to, int from, int size) {
        MemorySegment frame = Arena.ofAuto().allocate(size, 8);
        byte[] ip = {
            8,
            0,
            0x45,
            0,
            (byte) ((size - ETHERNET) >>> 8),
            (byte) (size - ETHERNET),
            0,
            0,
            0x40,
            0,
            64,
            6,
            0,
            0,
            10,
            0,
            0,
            (byte) from,
            10,
            0,
            0,
            (byte) to
        };
        mac(frame, 0, to);
        mac(frame, 6, from);
        MemorySegment.copy(MemorySegment.ofArray(ip), 0, frame, 12, ip.length);
        frame.set(ValueLayout.JAVA_BYTE, 46, (byte) 0x50); // five words of TCP header
        return frame;
    }

    private static void mac(MemorySegment frame, int at, int guest) {
        frame.set(ValueLayout.JAVA_BYTE, at + 1, (byte) 0x16);
        frame.set(ValueLayout.JAVA_BYTE, at + 2, (byte) 0x3E);
        frame.set(ValueLayout.JAVA_BYTE, at + 5, (byte) guest);
    }

    public static void main(String[] args) throws Exception {
        JavaProgram.endWithParent();
        long nanos = (long) (Double.parseDouble(args[0]) * 1e9);
        VifFrontendOptions options = VifFrontendOptions.DEFAULT;
        try (WorkerNotes notes = args[1].equals(NOTED) ? WorkerNotes.kept() : WorkerNotes.none()) {
            NetWorker worker =
                    new NetWorker(
                            args[1].equals(UNKEPT) ? options.withoutStaticGrants() : options,
                            notes.notes());
            Guest sender = worker.guest(1);
            Guest receiver = worker.guest(2);
            MemorySegment hello = frame(1, 2, 64);
            worker.front.execute(() -> receiver.sendOne(hello, 64)); // the switch learns it
            for (int i = 2; i < args.length; i++) {
                long warmUp = i == 2 && nanos >= SHORT_NANOS ? FIRST_NANOS : WARM_UP_NANOS;
                worker.run(sender, receiver, Integer.parseInt(args[i]), warmUp, nanos);
            }
            System.out.flush();
        }
        Runtime.getRuntime().halt(0);
    }
}
