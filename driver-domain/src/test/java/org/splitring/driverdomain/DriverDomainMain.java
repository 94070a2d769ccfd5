package org.splitring.driverdomain;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.blkback.DiskAccess;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.DiskImages;
import org.splitring.blkback.DiskMode;
import org.splitring.blkback.DiskWorkers;
import org.splitring.blkback.VbdBackendDriver;
import org.splitring.blkback.VbdBackendOptions;
import org.splitring.blkback.VbdHost;
import org.splitring.blkback.image.DiskSource;
import org.splitring.blkfront.VbdFrontendDriver;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.attached.AttachServer;
import org.splitring.hypervisor.attached.AttachedPeer;
import org.splitring.hypervisor.attached.GuestListener;
import org.splitring.hypervisor.attached.NettyDeviceLoop;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.xenbus.BackendOptions;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.Toolstack;
import org.splitring.xenbus.device.BackendBus;
import org.splitring.xenbus.device.BackendHost;
import org.splitring.xenbus.device.DeviceClasses;
import org.splitring.xenbus.device.HostServices;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.StoreTree;

/// The least driver domain that serves guests in other processes: a store, an attach socket and a
/// vbd for each domain. For tests that attack and kill it.
///
/// Arguments: run directory, then for each domain `NAME:IMAGE` or `NAME:IMAGE:ro`; domids count
/// from
/// 1. Says `ready` and runs until killed.
final class DriverDomainMain {
    private static final Logger LOG = LoggerFactory.getLogger(DriverDomainMain.class);

    private static final DeviceClasses CLASSES =
            DeviceClasses.of(new VbdBackendDriver(), new VbdFrontendDriver());

    private DriverDomainMain() {}

    public static void main(String[] args) throws Exception {
        Path runDir = Path.of(args[0]);
        NettyDeviceLoops loops = new NettyDeviceLoops("device", 1);
        AttachServer server = new AttachServer(DomId.ZERO, loops.loop(0));
        StoreTree tree = new StoreTree();
        new DeviceNodes(tree.connection(DomId.ZERO, Runnable::run))
                .publishPlugins(runDir.resolve("plugins")); // where guests of ours look for them
        VbdHost disks = new VbdHost(new DiskImages(), VbdBackendOptions.of(new DiskWorkers(4)));
        for (int i = 1; i < args.length; i++) {
            String[] words = args[i].split(":", -1);
            Path folder = Files.createDirectories(runDir.resolve(words[0]));
            ServedDomain domain =
                    new ServedDomain(
                            new DomId(i), words[0], words.length > 2, tree, loops.next(), disks);
            domain.open(Path.of(words[1]));
            server.listen(folder.resolve("attach"), domain.domid, DomainLimits.DEFAULT, domain);
        }
        System.out.println("ready");
        Thread.sleep(Duration.ofDays(1));
    }

    /// One domain and its vbd: made when a guest attaches, taken away when it is gone.
    private static final class ServedDomain implements GuestListener {
        private final DomId domid;
        private final String name;
        private final boolean readOnly;
        private final StoreTree tree;
        private final NettyDeviceLoop loop;
        private final VbdHost disks;
        private final Store store;
        private final Toolstack toolstack;
        private final DevicePaths paths;
        // One after the other: what a detachment starts is over before the next guest is served.
        private final ExecutorService control =
                Executors.newSingleThreadExecutor(Thread.ofVirtual().factory());

        private Path image = Path.of("");
        private @Nullable BackendBus backends;
        private @Nullable GuestStore guestStore;

        ServedDomain(
                DomId domid,
                String name,
                boolean readOnly,
                StoreTree tree,
                NettyDeviceLoop loop,
                VbdHost disks) {
            this.domid = domid;
            this.name = name;
            this.readOnly = readOnly;
            this.tree = tree;
            this.loop = loop;
            this.disks = disks;
            store = tree.connection(DomId.ZERO, Executors.newVirtualThreadPerTaskExecutor());
            toolstack = new Toolstack(store);
            paths = DevicePaths.vbd(domid, DomId.ZERO, DriverDomainUnderTest.VDEV);
        }

        /// Holds the image from now on, whether a guest is there or not.
        void open(Path path) throws DiskException {
            image = path.toAbsolutePath();
            disks.images()
                    .hold(
                            paths,
                            DiskSource.raw(image),
                            readOnly ? DiskAccess.READ_ONLY : DiskAccess.READ_WRITE,
                            DiskMode.WRITEBACK);
        }

        @Override
        public void attached(AttachedPeer peer) {
            control.execute(() -> serve(peer));
        }

        @Override
        public void detached(AttachedPeer peer) {
            control.execute(this::cleanUp);
        }

        private void serve(AttachedPeer peer) {
            try {
                tree.introduce(domid);
                toolstack.createDomain(domid, name);
                backends =
                        BackendBus.open(
                                new BackendHost(
                                                peer.driverDomain(),
                                                store,
                                                () -> loop,
                                                new SimpleMeterRegistry())
                                        .with(HostServices.NONE.with(VbdHost.class, disks)),
                                domid,
                                CLASSES,
                                BackendOptions.DEFAULT);
                toolstack.createVbd(paths, "xvda", readOnly, image.toString());
                guestStore = GuestStore.serve(tree, peer, loop);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            } catch (StoreException e) {
                LOG.error("{}: {}", name, e.toString());
            }
        }

        private void cleanUp() {
            if (backends != null) {
                backends.guestGone().join();
                backends = null;
            }
            if (guestStore != null) {
                guestStore.close();
                guestStore = null;
            }
            try {
                toolstack.removeDevice(paths);
                toolstack.removeDomain(domid);
            } catch (StoreException e) {
                LOG.error("{}: {}", name, e.toString());
            }
            tree.release(domid);
        }
    }
}
