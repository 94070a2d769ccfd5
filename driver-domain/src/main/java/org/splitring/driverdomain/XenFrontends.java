package org.splitring.driverdomain;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.blkfront.VbdUser;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.attached.NettyDeviceLoop;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.hypervisor.xen.XenDevices;
import org.splitring.hypervisor.xen.XenGuestDomain;
import org.splitring.netfront.VifFrontendDriver;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.FrontendOptions;
import org.splitring.xenbus.device.DeviceClasses;
import org.splitring.xenbus.device.FrontendBus;
import org.splitring.xenbus.device.FrontendHost;
import org.splitring.xenbus.device.HostServices;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.StoreWireClient;

/// Frontends of a domain under Xen on whichever backends it was given: Linux's own, or ours in
/// another domain. Disks are offered over NBD, interfaces are in a namespace, as in a lab's guest.
///
/// What is opened is closed in the opposite order, whether the start fails half-way or all is
/// stopped.
final class XenFrontends implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(XenFrontends.class);

    /// Choices of whoever starts it.
    ///
    /// @param devices class and number of each: `vbd/51712`
    /// @param sockets folder in which disks show themselves
    record Choices(XenStoreWay store, Set<String> devices, int memoryMib, Path sockets) {
        Choices {
            devices = Set.copyOf(devices);
        }
    }

    private final Deque<AutoCloseable> open = new ArrayDeque<>();
    private final Choices choices;
    private List<FrontendBus.Frontend> frontends = List.of();

    private XenFrontends(Choices choices) {
        this.choices = choices;
    }

    /// Finds out whether there is what cannot be done without.
    ///
    /// @throws CommandException that says what is missing, and what to do
    static void checkPlace(XenDevices devices) throws CommandException {
        try {
            devices.checkFrontends();
        } catch (IOException e) {
            throw new CommandException(String.valueOf(e.getMessage()), e);
        }
    }

    /// Connects every device.
    ///
    /// @param onStoreLost runs when the store has gone away, once
    /// @throws CommandException when something that is needed is not there, or a device does not
    ///     connect
    static XenFrontends start(Choices choices, Runnable onStoreLost)
            throws CommandException, InterruptedException {
        XenFrontends started = new XenFrontends(choices);
        boolean complete = false;
        try {
            started.connect(onStoreLost);
            complete = true;
            return started;
        } catch (IOException e) {
            throw new CommandException(String.valueOf(e.getMessage()), e);
        } catch (StoreException e) {
            throw new CommandException("xenstore: " + e.getMessage(), e);
        } catch (ExecutionException e) {
            throw new CommandException("devices: " + e.getCause(), e);
        } finally {
            if (!complete) {
                started.close();
            }
        }
    }

    private void connect(Runnable onStoreLost)
            throws CommandException,
                    IOException,
                    StoreException,
                    ExecutionException,
                    InterruptedException {
        Files.createDirectories(choices.sockets());
        ExecutorService watches = add(Executors.newVirtualThreadPerTaskExecutor());
        NettyDeviceLoops loops = add(new NettyDeviceLoops("frontend", 1));
        NettyDeviceLoop loop = loops.next();
        StoreWireClient store = add(choices.store().connect(loop, watches));
        store.onLost(onStoreLost);
        DomId self = store.domain();
        int pages = (int) (((long) choices.memoryMib() << 20) / GuestMemory.PAGE_SIZE);
        DomId backend = backendDomain(store, DevicePaths.domain(self) + "/device/");
        XenGuestDomain guest = add(XenGuestDomain.open(self, backend, XenDevices.USUAL, pages));
        String name = store.read(DevicePaths.domain(self) + "/name").orElse("domain" + self);
        GuestNetwork network = add(new GuestNetwork(loop, name, choices.sockets()));
        DiskExports disks =
                new DiskExports(
                        loop, guest.pages(), choices.memoryMib(), choices.sockets(), null, null);
        disks.expect((int) choices.devices().stream().filter(d -> d.startsWith("vbd/")).count());
        DeviceClasses classes = add(DeviceClasses.find(Optional.empty()));
        FrontendHost host =
                new FrontendHost(() -> loop, choices.sockets(), new SimpleMeterRegistry())
                        .with(
                                HostServices.NONE
                                        .with(VbdUser.class, disks)
                                        .with(VifFrontendDriver.Users.class, network));
        FrontendBus bus =
                add(
                        FrontendBus.open(
                                        host,
                                        guest,
                                        store,
                                        classes,
                                        FrontendOptions.DEFAULT,
                                        choices.devices()::contains)
                                .get());
        add(disks);
        frontends = bus.frontends().get();
        awaitConnected(store, DevicePaths.domain(self) + "/error/device/");
    }

    /// Memory is granted to one domain when it is made.
    private DomId backendDomain(StoreWireClient store, String folder)
            throws CommandException, StoreException {
        Set<Integer> domains = new HashSet<>();
        for (String device : choices.devices()) {
            String id = store.read(folder + device + "/backend-id").orElse("");
            if (!id.matches("[0-9]{1,5}")) {
                throw new CommandException(
                        device
                                + ": this domain has no such device (there is no "
                                + folder
                                + device
                                + "/backend-id): attach it with xl first");
            }
            domains.add(Integer.valueOf(id));
        }
        if (domains.size() != 1) {
            throw new CommandException(
                    "the devices have backends in several domains, "
                            + domains
                            + ": start a process for each");
        }
        return new DomId(domains.iterator().next());
    }

    private void awaitConnected(StoreWireClient store, String errors)
            throws CommandException, StoreException, InterruptedException {
        for (FrontendBus.Frontend frontend : frontends) {
            try {
                frontend.connected().get();
            } catch (ExecutionException e) {
                Throwable cause = e.getCause();
                throw new CommandException(
                        frontend.name() + ": " + (cause == null ? e : cause).getMessage(), e);
            }
        }
        for (String device : choices.devices()) {
            Optional<String> error = store.read(errors + device + "/error");
            boolean connected = frontends.stream().anyMatch(f -> f.name().equals(device));
            if (!connected) {
                throw new CommandException(
                        device + ": " + error.orElse("there is no frontend of this class"));
            }
        }
    }

    private <T extends AutoCloseable> T add(T opened) {
        open.push(opened);
        return opened;
    }

    /// Runs something when the last device has been taken away.
    void whenAllEnded(Runnable task) {
        CompletableFuture<?>[] ends =
                frontends.stream()
                        .map(frontend -> frontend.machine().whenEnded())
                        .toArray(CompletableFuture[]::new);
        var ignored = CompletableFuture.allOf(ends).thenRun(task);
    }

    @Override
    public void close() {
        while (!open.isEmpty()) {
            try {
                open.pop().close();
            } catch (Exception e) {
                LOG.warn("stopping: {}", e.getMessage());
            }
        }
    }
}
