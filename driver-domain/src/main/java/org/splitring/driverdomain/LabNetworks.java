package org.splitring.driverdomain;

import java.io.IOException;
import java.net.InetAddress;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.bridge.AddressPins;
import org.splitring.bridge.Capture;
import org.splitring.bridge.Frame;
import org.splitring.bridge.MacAddress;
import org.splitring.bridge.NetworkLink;
import org.splitring.bridge.PortLink;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.PortVlans;
import org.splitring.bridge.VirtualNetwork;
import org.splitring.driverdomain.lab.LabNetwork;
import org.splitring.driverdomain.lab.LabNetwork.Antispoof;
import org.splitring.driverdomain.lab.LabPort;
import org.splitring.driverdomain.lab.LabRouting;
import org.splitring.driverdomain.lab.LabVif;
import org.splitring.hypervisor.attached.NettyDeviceLoop;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.netback.VifPlace;
import org.splitring.xenbus.device.BackendContext;
import org.splitring.xenbus.device.DeviceException;

/// The networks of a running lab, with their ports to others than guests, and the place of each
/// vif in them. A network and all its ports are served by one loop.
final class LabNetworks implements VifPlace.Finder, AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(LabNetworks.class);

    private final Map<String, Running> networks = new ConcurrentHashMap<>();
    private final Map<Path, OpenCapture> captures = new ConcurrentHashMap<>();
    private final NettyDeviceLoops loops;

    /// A capture of a whole network, or of the port that is named. Its methods are called on the
    /// network's loop.
    private record OpenCapture(Running running, String port, Capture capture) {
        void start() {
            if (port.isEmpty()) {
                running.network.startCapture(capture);
            } else {
                link(running, port).startCapture(capture);
            }
        }

        void stop() {
            running.network.stopCapture(capture);
        }
    }

    /// The port of that name that is plugged in now. On the network's loop.
    private static PortLink link(Running running, String port) {
        PortLink link = running.network.port(port);
        if (link == null) {
            List<String> names =
                    running.network.ports().stream().map(PortLink::toString).sorted().toList();
            throw new IllegalArgumentException(
                    "there is no port \"" + port + "\" now; ports are " + String.join(", ", names));
        }
        return link;
    }

    /// A network, its present plan, what is plugged into it.
    private static final class Running {
        final VirtualNetwork network;
        final NettyDeviceLoop loop;
        volatile LabNetwork plan;
        final Deque<OpenPort> ports = new ConcurrentLinkedDeque<>();
        final Map<String, VifPlug> vifs = new ConcurrentHashMap<>();

        private volatile NetworkModes.Mode mode;
        private final ScheduledFuture<?> ticks;

        Running(LabNetwork plan, NettyDeviceLoop loop) throws IOException {
            this.plan = plan;
            this.loop = loop;
            mode = NetworkModes.make(plan, List.of(), loop);
            network = new VirtualNetwork(plan.name(), loop, System::nanoTime, mode.forwarder());
            ticks = loop.eventLoop().scheduleAtFixedRate(network::tick, 1, 1, TimeUnit.SECONDS);
        }

        private List<NetworkModes.Vif> vifs() {
            return vifs.entrySet().stream()
                    .map(vif -> vif.getValue().describe(vif.getKey()))
                    .toList();
        }

        /// Passes on that vifs have come or gone, or that the plan is another.
        void configure() throws CommandException {
            onLoop(() -> NetworkModes.configure(mode.forwarder(), plan, vifs()));
        }

        /// Exchanges the mode for what the plan says now.
        void changeMode() throws CommandException {
            NetworkModes.Mode made;
            try {
                made = NetworkModes.make(plan, vifs(), loop);
            } catch (IOException | IllegalArgumentException e) {
                throw new CommandException(plan.place() + ": " + e.getMessage(), e);
            }
            boolean changed = false;
            try {
                onLoop(() -> network.mode(made.forwarder()));
                changed = true;
            } finally {
                LabNetworks.close((changed ? mode : made).resources());
            }
            mode = made;
            configure(); // vifs may have come meanwhile, and told the old one
        }

        void close() {
            ticks.cancel(false);
            LabNetworks.close(mode.resources());
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
    }

    private record OpenPort(LabPort plan, AutoCloseable port) {}

    /// What a vif says of its port besides what the lab file does.
    private record VifPlug(String domain, Optional<String> mac, String ips, Optional<String> vlan) {
        NetworkModes.Vif describe(String port) {
            return new NetworkModes.Vif(
                    port,
                    domain,
                    mac.map(MacAddress::parse),
                    ips.isEmpty()
                            ? List.of()
                            : Stream.of(ips.split(" +", -1)).map(InetAddress::ofLiteral).toList());
        }

        PortSettings settings(LabNetwork plan, String name) {
            PortSettings settings = plan.settingsOf(name);
            if (vlan.isPresent()) {
                settings = settings.withVlans(PortVlans.parse(vlan.get()));
            }
            if (plan.antispoof() == Antispoof.OFF) {
                return settings;
            }
            if (mac.isEmpty()) {
                throw new IllegalArgumentException("mac is missing");
            }
            MacAddress own = MacAddress.parse(mac.get());
            boolean pinned = plan.antispoof() == Antispoof.IP && !ips.isEmpty();
            return settings.withPins(
                    pinned
                            ? AddressPins.of(own, List.of(ips.split(" +", -1)))
                            : AddressPins.of(own));
        }
    }

    private LabNetworks(NettyDeviceLoops loops) {
        this.loops = loops;
    }

    /// Makes the networks and opens their ports.
    ///
    /// @throws CommandException with the place of a port that cannot be opened; then none is left
    static LabNetworks open(List<LabNetwork> plans, NettyDeviceLoops loops)
            throws CommandException {
        LabNetworks opened = new LabNetworks(loops);
        boolean complete = false;
        try {
            for (LabNetwork plan : plans) {
                opened.make(plan);
            }
            for (Running running : opened.networks.values()) { // some lead to others
                for (LabPort port : running.plan.ports()) {
                    opened.plugIn(running, port);
                }
            }
            complete = true;
            return opened;
        } finally {
            if (!complete) {
                opened.close();
            }
        }
    }

    private void make(LabNetwork plan) throws CommandException {
        try {
            networks.put(plan.name(), new Running(plan, loops.next()));
        } catch (IOException | IllegalArgumentException e) {
            throw new CommandException(plan.place() + ": " + e.getMessage(), e);
        }
    }

    private void plugIn(Running running, LabPort port) throws CommandException {
        try {
            running.ports.push(new OpenPort(port, open(running, port)));
        } catch (IOException | IllegalArgumentException e) {
            throw new CommandException(port.plug().place() + ": " + e.getMessage(), e);
        } catch (CompletionException e) {
            Throwable cause = e.getCause() == null ? e : e.getCause();
            throw new CommandException(port.plug().place() + ": " + cause.getMessage(), e);
        }
    }

    private AutoCloseable open(Running running, LabPort port) throws IOException {
        LabNetwork plan = running.plan;
        if (!(port instanceof LabPort.Link link)) {
            return LabPorts.open(running.network, plan, running.loop, port);
        }
        Running far = networks.get(link.network());
        if (far == null) {
            throw new IOException("there is no network " + link.network());
        }
        return NetworkLink.connect(
                running.network,
                LabPorts.settings(plan, port),
                far.network,
                far.plan.settingsOf(plan.name()),
                Math.min(plan.mtu(), far.plan.mtu()));
    }

    @Override
    public VifPlace find(BackendContext context) throws DeviceException {
        String bridge = context.parameter("bridge").orElse("");
        Running running = networks.get(bridge);
        if (running == null) {
            throw new DeviceException(
                    "bridge is \""
                            + bridge
                            + "\": there is no such network; "
                            + (networks.isEmpty()
                                    ? "there is none"
                                    : "networks are " + String.join(", ", networks.keySet())));
        }
        String usual = "vif" + context.paths().frontendDomain() + "." + context.paths().device();
        String name = context.parameter("vifname").orElse(usual);
        VifPlug plug =
                new VifPlug(
                        context.parameter("domain").orElse(usual),
                        context.parameter("mac"),
                        context.parameter("ip").orElse("").strip(),
                        context.parameter("vlan"));
        try {
            VifPlace place =
                    new VifPlace(
                            running.network,
                            running.loop,
                            plug.settings(running.plan, name),
                            running.plan.mtu());
            plug.describe(name); // its addresses make sense
            enter(running, name, plug);
            context.onEnd(() -> leave(running, name, plug));
            return place;
        } catch (IllegalArgumentException e) {
            throw new DeviceException(String.valueOf(e.getMessage()), e);
        }
    }

    private static void enter(Running running, String name, VifPlug plug) throws DeviceException {
        running.vifs.put(name, plug);
        try {
            running.configure();
        } catch (CommandException e) {
            running.vifs.remove(name, plug);
            throw new DeviceException(String.valueOf(e.getMessage()), e);
        }
    }

    private static void leave(Running running, String name, VifPlug plug) throws CommandException {
        if (running.vifs.remove(name, plug)) {
            running.configure();
        }
    }

    /// Changes the networks into what another lab file says of them, while traffic flows.
    ///
    /// @param vifs of all domains: their `vlan=` is looked at
    /// @return what was changed, a line each
    /// @throws CommandException with the place of what cannot be changed; then nothing is, unless
    ///     it was a new port that could not be opened
    synchronized List<String> change(List<LabNetwork> plans, List<LabVif> vifs)
            throws CommandException {
        for (Running running : networks.values()) {
            LabNetwork old = running.plan;
            LabNetwork now =
                    plans.stream()
                            .filter(plan -> plan.name().equals(old.name()))
                            .findFirst()
                            .orElseThrow(
                                    () ->
                                            new CommandException(
                                                    "network "
                                                            + old.name()
                                                            + " cannot be taken away while the lab"
                                                            + " runs"));
            if (now.mtu() != old.mtu()) {
                throw new CommandException(
                        now.place()
                                + ": mtu "
                                + now.mtu()
                                + ": it stays "
                                + old.mtu()
                                + " while the lab runs");
            }
        }
        for (LabNetwork plan : plans) {
            Running running = networks.get(plan.name());
            try {
                NetworkModes.check(plan, running == null ? List.of() : running.vifs());
            } catch (IllegalArgumentException e) {
                throw new CommandException(plan.place() + ": " + e.getMessage(), e);
            }
        }
        List<String> done = new ArrayList<>();
        for (LabNetwork plan : plans) { // first, because ports of others may lead to them
            if (!networks.containsKey(plan.name())) {
                make(plan);
                done.add("network " + plan.name() + ": made");
            }
        }
        for (LabNetwork plan : plans) {
            change(Objects.requireNonNull(networks.get(plan.name())), plan, vifs, done);
        }
        return done;
    }

    private void change(Running running, LabNetwork plan, List<LabVif> vifs, List<String> done)
            throws CommandException {
        LabNetwork old = running.plan;
        for (OpenPort open : List.copyOf(running.ports)) {
            if (plan.ports().stream().noneMatch(port -> LabPorts.samePlug(port, open.plan()))) {
                running.ports.remove(open);
                close(open.port());
                done.add(
                        "network "
                                + plan.name()
                                + ": port "
                                + LabPorts.name(open.plan())
                                + " taken away");
            }
        }
        running.plan = plan;
        if (needsAnotherMode(plan, old)) {
            boolean changed = false;
            try {
                running.changeMode();
                changed = true;
            } finally {
                running.plan = changed ? plan : old;
            }
            done.add("network " + plan.name() + ": mode " + plan.mode().text());
        } else if (!routed(plan).equals(routed(old))) {
            running.configure();
            done.add("network " + plan.name() + ": addresses, routes or forwards changed");
        }
        for (LabVif vif : vifs) {
            running.vifs.computeIfPresent(
                    vif.portName(),
                    (name, plug) -> new VifPlug(plug.domain(), plug.mac(), plug.ips(), vif.vlan()));
        }
        running.onLoop(() -> reconfigure(running, done));
        for (LabPort port : plan.ports()) {
            if (running.ports.stream().noneMatch(open -> LabPorts.samePlug(port, open.plan()))) {
                plugIn(running, port);
                done.add(
                        "network " + plan.name() + ": port " + LabPorts.name(port) + " plugged in");
            }
        }
    }

    /// What a router is told of a plan, but for its vifs.
    private static List<Object> routed(LabNetwork plan) {
        List<Object> all = new ArrayList<>(List.of(plan.routing()));
        for (LabPort port : plan.ports()) {
            all.add(LabPorts.name(port));
            all.add(port.plug().addresses());
            all.add(port.plug().via());
        }
        return all;
    }

    /// Whether the forwarder cannot simply be told.
    private static boolean needsAnotherMode(LabNetwork plan, LabNetwork old) {
        return plan.mode() != old.mode()
                || (plan.mode() == LabNetwork.Mode.BRIDGE && !plan.bridge().equals(old.bridge()))
                || !plan.routing()
                        .map(LabRouting::resolvers)
                        .equals(old.routing().map(LabRouting::resolvers));
    }

    /// On the network's loop.
    private void reconfigure(Running running, List<String> done) {
        LabNetwork plan = running.plan;
        for (PortLink link : running.network.ports()) {
            String name = link.settings().name();
            VifPlug vif = running.vifs.get(name);
            PortSettings wanted =
                    vif != null
                            ? vif.settings(plan, name)
                            : plan.ports().stream()
                                    .filter(port -> LabPorts.isOf(name, port))
                                    .findFirst()
                                    .map(port -> LabPorts.settings(plan, port).withName(name))
                                    .orElseGet(
                                            () ->
                                                    isLinkedFrom(name, plan)
                                                            ? plan.settingsOf(name)
                                                            : link.settings());
            if (!wanted.equals(link.settings())) {
                link.configure(wanted);
                done.add("network " + plan.name() + ": port " + name + " changed");
            }
        }
    }

    /// Whether a port of that name is the far end of another network's cable.
    private boolean isLinkedFrom(String name, LabNetwork plan) {
        Running other = networks.get(name);
        return other != null
                && other.ports.stream()
                        .anyMatch(
                                open ->
                                        open.plan() instanceof LabPort.Link link
                                                && link.network().equals(plan.name()));
    }

    /// The networks, as they are now.
    List<LabNetwork> plans() {
        return networks.values().stream()
                .map(running -> running.plan)
                .sorted(Comparator.comparing(LabNetwork::name))
                .toList();
    }

    /// Begins to write the frames of a network into a file.
    ///
    /// @param words network, port or nothing, file, largest size of the file in bytes
    synchronized String capture(List<String> words) throws CommandException {
        Running running = networks.get(words.get(0));
        if (running == null) {
            throw new CommandException(
                    "there is no network \""
                            + words.get(0)
                            + "\"; networks are "
                            + String.join(", ", networks.keySet()));
        }
        Path file = Path.of(words.get(2));
        String port = words.get(1);
        running.onLoop(() -> checkPort(running, port));
        if (captures.containsKey(file)) {
            throw new CommandException(file + " is being written already");
        }
        OpenCapture opened; // the file is emptied only now that nothing else speaks against it
        try {
            Capture capture = Capture.open(file, Frame.MAX_BYTES, Long.parseLong(words.get(3)));
            opened = new OpenCapture(running, port, capture);
        } catch (IOException | IllegalArgumentException e) {
            throw new CommandException(file + " cannot be written: " + e, e);
        }
        boolean started = false;
        try {
            running.onLoop(opened::start);
            captures.put(file, opened);
            started = true;
            return "";
        } finally {
            if (!started) {
                close(opened.capture());
            }
        }
    }

    private static void checkPort(Running running, String port) {
        if (!port.isEmpty()) {
            var _ = link(running, port);
        }
    }

    /// Ends a capture: everything is in the file when this returns.
    ///
    /// @param words the file
    /// @return how much is in it
    synchronized String endCapture(List<String> words) throws CommandException {
        OpenCapture ending = captures.remove(Path.of(words.get(0)));
        if (ending == null) {
            throw new CommandException(words.get(0) + " is not being written");
        }
        ending.running().onLoop(ending::stop);
        close(ending.capture());
        return String.format(
                Locale.ROOT,
                "%d frames in %s, %d missing",
                ending.capture().frames(),
                words.get(0),
                ending.capture().missing());
    }

    private static void close(AutoCloseable port) {
        try {
            port.close();
        } catch (Exception e) {
            LOG.warn("port {}: {}", port, e.getMessage());
        }
    }

    /// Unplugs the ports. Not on a loop.
    @Override
    public synchronized void close() {
        for (OpenCapture capture : captures.values()) {
            CompletableFuture.runAsync(capture::stop, capture.running().loop).join();
            close(capture.capture());
        }
        captures.clear();
        for (Running running : networks.values()) {
            while (!running.ports.isEmpty()) {
                close(running.ports.pop().port());
            }
        }
        for (Running running : networks.values()) {
            running.close();
        }
    }
}
