package org.splitring.driverdomain;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Consumer;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.blkfront.VbdFrontend;
import org.splitring.blkfront.VbdUser;
import org.splitring.driverdomain.nbd.NbdTls;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.attached.AttachedGuest;
import org.splitring.hypervisor.attached.NettyDeviceLoop;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.hypervisor.linux.Fd;
import org.splitring.netfront.VifFrontendDriver;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.FrontendOptions;
import org.splitring.xenbus.XenbusState;
import org.splitring.xenbus.device.DeviceClasses;
import org.splitring.xenbus.device.FrontendBus;
import org.splitring.xenbus.device.FrontendHost;
import org.splitring.xenbus.device.HostServices;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.StoreWireClient;

/// What a `java` guest does: attaches, connects its devices, and offers its disks over NBD. One
/// loop serves the attach socket, the rings and the NBD clients.
final class GuestProgram implements AutoCloseable {
    /// How long a guest lives without a driver domain.
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    /// How long for one that has not begun to listen: guests are started beside it.
    private static final Duration START_PATIENCE = Duration.ofMinutes(2);

    private static final Set<String> SHUTDOWNS = Set.of("poweroff", "halt", "reboot");

    private static final Logger LOG = LoggerFactory.getLogger(GuestProgram.class);

    private final NettyDeviceLoops loops = new NettyDeviceLoops("guest", 1);
    private final NettyDeviceLoop loop = loops.next();
    private final ExecutorService watches = Executors.newVirtualThreadPerTaskExecutor();
    private final ExecutorService control =
            Executors.newSingleThreadExecutor(Thread.ofVirtual().name("control").factory());
    private final int memoryMib;
    private final AttachedGuest guest;
    private final StoreWay storeWay;
    private volatile StoreWireClient store; // changed by the control thread
    private final CountDownLatch end = new CountDownLatch(1);
    private @Nullable DiskExports exports;
    private @Nullable GuestNetwork network;
    private @Nullable DeviceClasses classes;
    private volatile @Nullable FrontendBus bus;
    private @Nullable GuestShell shell;
    private @Nullable ClassRun run;

    /// Attaches.
    ///
    /// @throws IOException when the driver domain refuses: the message says why
    GuestProgram(Path attachSocket, int memoryMib, StoreWay storeWay) throws IOException {
        this.memoryMib = memoryMib;
        this.storeWay = storeWay;
        try {
            guest =
                    AttachedGuest.attach(
                            attachSocket,
                            (long) memoryMib << 20,
                            loop,
                            () -> lost(),
                            START_PATIENCE);
        } catch (IOException e) {
            loops.close();
            throw e;
        }
        try {
            store = openStore();
        } catch (IOException e) {
            guest.close();
            loops.close();
            throw e;
        }
    }

    private StoreWireClient connectStore() throws IOException {
        if (storeWay == StoreWay.SOCKET) {
            return StoreWireClient.open(guest.storeFd(), guest.id(), loop.eventLoop(), watches);
        }
        Fd.close(guest.storeFd());
        try {
            return StoreWireClient.overPage(guest.openXenstorePage(), guest.id(), loop, watches);
        } catch (EventChannelException e) {
            throw new IOException("xenstore page: " + e.getMessage(), e);
        }
    }

    private StoreWireClient openStore() throws IOException {
        StoreWireClient opened = connectStore();
        String shutdown = DevicePaths.domain(guest.id()) + "/control/shutdown";
        try {
            opened.watch(shutdown, path -> lookForShutdown(opened, shutdown));
        } catch (StoreException e) {
            opened.close();
            throw new IOException("store: " + e.getMessage(), e);
        }
        return opened;
    }

    /// What Xen's toolstack may ask for. An empty node says that it was heard, or done.
    private void lookForShutdown(Store from, String node) {
        try {
            String word = from.read(node).orElse("");
            if (SHUTDOWNS.contains(word)) {
                from.write(node, "");
                end.countDown();
            } else if (word.equals("suspend")) {
                control.execute(() -> change(FrontendBus::rest, node));
            } else if (word.equals("resume")) {
                control.execute(() -> change(FrontendBus::wake, node));
            }
        } catch (StoreException e) {
            LOG.debug("{}: {}", node, e.getMessage()); // the driver domain is gone, perhaps
        }
    }

    /// Suspends or resumes all devices, and says when it is done.
    private void change(Function<FrontendBus, CompletableFuture<Void>> how, String node) {
        FrontendBus devices = bus;
        if (devices == null) {
            return; // we have not said that we can
        }
        var ignored =
                how.apply(devices)
                        .whenComplete(
                                (done, failure) -> {
                                    if (failure == null) {
                                        write(node, "");
                                    } else {
                                        LOG.error("devices: {}", failure.getMessage());
                                    }
                                });
    }

    private void write(String node, String value) {
        try {
            store.write(node, value);
        } catch (StoreException e) {
            LOG.warn("{}: {}", node, e.getMessage());
        }
    }

    private void offerSuspending() {
        write(DevicePaths.domain(guest.id()) + "/control/feature-suspend", "1");
    }

    /// The driver domain is gone. On the loop. A page cannot say so by itself, so whoever waits
    /// for the store is told by who knows.
    private void lost() {
        StoreWireClient waiting = store;
        if (waiting != null) { // it is null while we attach for the first time
            waiting.storeGone();
        }
        control.execute(this::attachAgain);
    }

    /// Goes on with the driver domain that takes the place of the last one. Clients see a delay.
    private void attachAgain() {
        long start = System.nanoTime();
        try {
            guest.attachAgain(PATIENCE);
            store.close();
            store = openStore();
            Store connected = store;
            FrontendBus devices = bus;
            if (devices != null) {
                report("devices", start, devices.resume(guest, connected));
                offerSuspending();
            }
        } catch (IOException e) {
            LOG.error("no driver domain: this guest ends: {}", e.getMessage());
            end.countDown();
        }
    }

    private static void report(String what, long start, CompletableFuture<Void> resumed) {
        var ignored =
                resumed.whenComplete(
                        (done, failure) -> {
                            long millis = (System.nanoTime() - start) / 1_000_000;
                            if (failure == null) {
                                LOG.info("{}: on again after {} ms", what, millis);
                            } else {
                                LOG.error("{}: not on again", what, failure);
                            }
                        });
    }

    /// Connects the devices that are there, and from then on those that come. Disks are offered
    /// on sockets and on the port, interfaces are in a namespace.
    ///
    /// @param sockets folder in which devices show themselves
    /// @param tls of the port
    /// @throws IOException when a disk or a vif does not connect; another device that does not is
    ///     one line in the log
    void serveDevices(Path sockets, @Nullable Integer tcpPort, @Nullable NbdTls tls)
            throws IOException, InterruptedException {
        DiskExports offered =
                new DiskExports(loop, guest.pages(), memoryMib, sockets, tcpPort, tls);
        exports = offered;
        offered.expect(list("device/vbd").size());
        GuestNetwork interfaces = new GuestNetwork(loop, name(), sockets);
        network = interfaces;
        openDevices(sockets, offered, interfaces);
        offered.expect(0);
    }

    /// As the other one, for a class that will have the devices: it runs from [#openConsole] on.
    ///
    /// @throws IOException also when there is no such class
    void serveClass(Path sockets, Path jar, String className, List<String> arguments)
            throws IOException, InterruptedException {
        ClassDevices devices = new ClassDevices(loop, name(), arguments, memoryMib);
        ClassRun loaded = new ClassRun(jar, className, devices, end::countDown);
        run = loaded;
        openDevices(sockets, devices, devices);
    }

    private String name() throws IOException {
        try {
            return store.read(DevicePaths.domain(guest.id()) + "/name").orElse("guest");
        } catch (StoreException e) {
            throw new IOException("store: " + e.getMessage(), e);
        }
    }

    private List<String> list(String folder) throws IOException {
        try {
            return store.list(DevicePaths.domain(guest.id()) + "/" + folder);
        } catch (StoreException e) {
            throw new IOException("store: " + e.getMessage(), e);
        }
    }

    private void openDevices(Path sockets, VbdUser disks, VifFrontendDriver.Users vifs)
            throws IOException, InterruptedException {
        Optional<Path> plugins;
        try {
            plugins = new DeviceNodes(store).plugins();
        } catch (StoreException e) {
            throw new IOException("store: " + e.getMessage(), e);
        }
        DeviceClasses found = DeviceClasses.find(plugins);
        classes = found;
        found.problems().forEach(LOG::warn);
        FrontendHost host =
                new FrontendHost(() -> loop, sockets, new SimpleMeterRegistry())
                        .with(
                                HostServices.NONE
                                        .with(VbdUser.class, disks)
                                        .with(VifFrontendDriver.Users.class, vifs));
        try {
            FrontendBus opened =
                    FrontendBus.open(host, guest, store, found, FrontendOptions.DEFAULT).get();
            bus = opened;
            for (FrontendBus.Frontend frontend : opened.frontends().get()) {
                awaitFirstConnection(frontend);
            }
            checkRefusedVifs();
            offerSuspending();
        } catch (ExecutionException e) {
            throw new IOException("devices: " + e.getCause(), e);
        }
    }

    /// A vif that there can be no interface for is none that the guest could begin without.
    private void checkRefusedVifs() throws IOException {
        String domain = DevicePaths.domain(guest.id());
        try {
            for (String device : list("device/vif")) {
                Optional<String> error =
                        store.read(domain + "/error/device/vif/" + device + "/error");
                if (error.isPresent()) {
                    throw new IOException("vif/" + device + ": " + error.get());
                }
            }
        } catch (StoreException e) {
            throw new IOException("store: " + e.getMessage(), e);
        }
    }

    private static void awaitFirstConnection(FrontendBus.Frontend frontend)
            throws IOException, InterruptedException {
        try {
            frontend.connected().get();
        } catch (ExecutionException e) {
            Throwable cause = e.getCause();
            String reason = frontend.name() + ": " + (cause == null ? e : cause).getMessage();
            if (frontend.hooks() instanceof VbdFrontend || frontend.name().startsWith("vif/")) {
                throw new IOException(reason, e);
            }
            LOG.warn("{}", reason);
        }
    }

    /// Answers on the console, and prints there what this process prints. The class begins.
    ///
    /// @param sockets folder with the console's socket
    void openConsole(Path sockets) {
        connectConsole(sockets);
        ClassRun loaded = run;
        if (loaded != null) {
            loaded.start();
        }
    }

    private void connectConsole(Path sockets) {
        Path socket = sockets.resolve("console0.sock");
        if (Files.notExists(socket)) {
            return; // its device was refused, which the log says
        }
        try {
            GuestShell opened =
                    GuestShell.connect(socket, name())
                            .command(
                                    "devices",
                                    "this guest's devices and their states",
                                    this::listDevices)
                            .command("shutdown", "end this guest", print -> end.countDown());
            shell = opened;
            opened.start();
            System.setOut(opened.beside(System.out));
            System.setErr(opened.beside(System.err));
        } catch (IOException e) {
            LOG.warn("console: {}", e.getMessage());
        }
    }

    private void listDevices(Consumer<String> print) throws StoreException {
        String folder = DevicePaths.domain(guest.id()) + "/device";
        for (String deviceClass : store.list(folder)) {
            for (String number : store.list(folder + "/" + deviceClass)) {
                String device = deviceClass + "/" + number;
                String state = store.read(folder + "/" + device + "/state").orElse("");
                print.accept(String.format("%-16s %s", device, XenbusState.parse(state)));
            }
        }
    }

    /// Waits until the store tells us to end, or there is no driver domain any more.
    void awaitEnd() throws InterruptedException {
        end.await();
    }

    /// Clients first, so that everything they were promised is on the ring; then the devices.
    @Override
    public void close() {
        ClassRun running = run;
        if (running != null) {
            running.close();
        }
        DiskExports offered = exports;
        if (offered != null) {
            offered.close();
        }
        GuestShell talking = shell;
        if (talking != null) {
            talking.close();
        }
        FrontendBus open = bus;
        if (open != null) {
            open.close();
        }
        GuestNetwork interfaces = network;
        if (interfaces != null) {
            interfaces.close();
        }
        DeviceClasses found = classes;
        if (found != null) {
            found.close();
        }
        guest.close(); // also ends a wait for another driver domain
        control.close();
        store.close();
        loops.close();
        watches.close();
    }
}
