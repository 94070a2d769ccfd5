package org.splitring.driverdomain;

import java.io.IOException;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.bridge.PortCapabilities;
import org.splitring.bridge.PortLink;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.VirtualNetwork;
import org.splitring.driverdomain.lab.LabNetwork;
import org.splitring.driverdomain.lab.LabPort;
import org.splitring.hypervisor.attached.NettyDeviceLoop;
import org.splitring.netback.VifPlace;
import org.splitring.xenbus.device.DeviceException;

/// A network of a running lab: its present plan, and what is plugged into it. Nothing here is
/// called on a loop, unless it says so.
final class RunningNetwork {
    private static final Logger LOG = LoggerFactory.getLogger(RunningNetwork.class);

    private final VirtualNetwork network;
    private final NettyDeviceLoop loop;
    private volatile LabNetwork plan;
    private final Deque<OpenPort> ports = new ConcurrentLinkedDeque<>();
    private final Map<String, VifPlug> vifs = new ConcurrentHashMap<>();
    private volatile NetworkModes.Mode mode;
    private final ScheduledFuture<?> ticks;

    /// A port to somebody else than a guest.
    record OpenPort(LabPort plan, AutoCloseable port) {}

    private RunningNetwork(LabNetwork plan, NettyDeviceLoop loop) throws IOException {
        this.plan = plan;
        this.loop = loop;
        mode = NetworkModes.make(plan, List.of(), loop);
        network = new VirtualNetwork(plan.name(), loop, System::nanoTime, mode.forwarder());
        network.mtu(plan.mtu());
        ticks = loop.eventLoop().scheduleAtFixedRate(network::tick, 1, 1, TimeUnit.SECONDS);
    }

    /// Makes a network without ports.
    ///
    /// @throws CommandException with its place
    static RunningNetwork make(LabNetwork plan, NettyDeviceLoop loop) throws CommandException {
        try {
            return new RunningNetwork(plan, loop);
        } catch (IOException | IllegalArgumentException e) {
            throw new CommandException(plan.place() + ": " + e.getMessage(), e);
        }
    }

    VirtualNetwork network() {
        return network;
    }

    NettyDeviceLoop loop() {
        return loop;
    }

    LabNetwork plan() {
        return plan;
    }

    Deque<OpenPort> ports() {
        return ports;
    }

    Map<String, VifPlug> vifs() {
        return vifs;
    }

    /// What its vifs say of themselves.
    List<NetworkModes.Vif> descriptions() {
        return vifs.entrySet().stream().map(vif -> vif.getValue().describe(vif.getKey())).toList();
    }

    /// The place of a vif, which is entered as one.
    VifPlace enter(String name, VifPlug plug) throws DeviceException {
        try {
            // The network's MTU limits the port, also when it is another one later.
            VifPlace place =
                    new VifPlace(
                            network, loop, plug.settings(plan, name), PortCapabilities.MAX_MTU);
            plug.describe(name); // its addresses make sense
            vifs.put(name, plug);
            boolean told = false;
            try {
                configure();
                told = true;
                return place;
            } finally {
                if (!told) {
                    vifs.remove(name, plug);
                }
            }
        } catch (IllegalArgumentException | CommandException e) {
            throw new DeviceException(String.valueOf(e.getMessage()), e);
        }
    }

    void leave(String name, VifPlug plug) throws CommandException {
        if (vifs.remove(name, plug)) {
            configure();
        }
    }

    /// Passes on that vifs have come or gone, or that the plan is another.
    private void configure() throws CommandException {
        onLoop(() -> NetworkModes.configure(mode.forwarder(), plan, descriptions()));
    }

    /// Follows another plan from now on, which [NetworkModes#check] has found nothing wrong with.
    void follow(LabNetwork now) throws CommandException {
        plan = now;
        onLoop(() -> network.mtu(now.mtu()));
        configure();
    }

    /// Follows another plan in another mode.
    ///
    /// @param made of that plan; this network's from now on
    void follow(LabNetwork now, NetworkModes.Mode made) throws CommandException {
        NetworkModes.Mode before = mode;
        plan = now;
        onLoop(
                () -> {
                    network.mtu(now.mtu());
                    network.mode(made.forwarder());
                });
        mode = made;
        close(before.resources());
        configure(); // vifs may have come meanwhile, and told the old one
    }

    /// Unplugs a port and forgets it.
    void unplug(OpenPort open) {
        ports.remove(open);
        close(open.port());
    }

    /// The ports that are plugged in now. Any thread but the network's loop.
    List<PortLink> links() {
        return CompletableFuture.supplyAsync(() -> List.copyOf(network.ports()), loop).join();
    }

    /// The port of that name that is plugged in now. On the network's loop.
    PortLink link(String port) {
        PortLink link = network.port(port);
        if (link == null) {
            List<String> names = network.ports().stream().map(PortLink::toString).sorted().toList();
            throw new IllegalArgumentException(
                    "there is no port \"" + port + "\" now; ports are " + String.join(", ", names));
        }
        return link;
    }

    /// What the plan says of a port that is plugged in. On the network's loop.
    ///
    /// @param isFarEnd whether it is the other end of another network's cable
    PortSettings wanted(PortLink link, boolean isFarEnd) {
        String name = link.settings().name();
        VifPlug vif = vifs.get(name);
        if (vif != null) {
            return vif.settings(plan, name);
        }
        return plan.ports().stream()
                .filter(port -> LabPorts.isOf(name, port))
                .findFirst()
                .map(port -> LabPorts.settings(plan, port).withName(name))
                .orElseGet(() -> isFarEnd ? plan.settingsOf(name) : link.settings());
    }

    /// Whether a cable of this network ends at a port of another one.
    boolean hasCableTo(RunningNetwork other, String port) {
        return plan.name().equals(port)
                && ports.stream()
                        .anyMatch(
                                open ->
                                        open.plan() instanceof LabPort.Link link
                                                && link.network().equals(other.plan.name()));
    }

    /// Runs something on the loop that everything of the network is called on.
    void onLoop(Runnable task) throws CommandException {
        try {
            CompletableFuture.runAsync(task, loop).join();
        } catch (CompletionException e) {
            Throwable cause = e.getCause();
            String why = String.valueOf((cause == null ? e : cause).getMessage());
            throw new CommandException("network " + plan.name() + ": " + why, e);
        }
    }

    static void close(AutoCloseable port) {
        try {
            port.close();
        } catch (Exception e) {
            LOG.warn("port {}: {}", port, e.getMessage());
        }
    }

    /// Ends it, after its ports.
    void close() {
        ticks.cancel(false);
        close(mode.resources());
    }
}
