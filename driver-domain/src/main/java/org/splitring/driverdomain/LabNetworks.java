package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import org.splitring.bridge.Capture;
import org.splitring.bridge.Frame;
import org.splitring.bridge.NetworkLink;
import org.splitring.bridge.PortSettings;
import org.splitring.driverdomain.lab.LabNetwork;
import org.splitring.driverdomain.lab.LabPort;
import org.splitring.driverdomain.lab.LabVif;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.netback.VifPlace;
import org.splitring.xenbus.device.BackendContext;
import org.splitring.xenbus.device.DeviceException;

/// The networks of a running lab, with their ports to others than guests, and the place of each
/// vif in them. A network and all its ports are served by one loop.
final class LabNetworks implements VifPlace.Finder, AutoCloseable {

    private final Map<String, RunningNetwork> networks = new ConcurrentHashMap<>();
    private final Map<Path, OpenCapture> captures = new ConcurrentHashMap<>();
    private final NettyDeviceLoops loops;

    /// A capture of a whole network, or of the port that is named. Its methods are called on the
    /// network's loop.
    private record OpenCapture(RunningNetwork running, String port, Capture capture) {
        void start() {
            if (port.isEmpty()) {
                running.network().startCapture(capture);
            } else {
                running.link(port).startCapture(capture);
            }
        }

        void stop() {
            running.network().stopCapture(capture);
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
                opened.networks.put(plan.name(), RunningNetwork.make(plan, loops.next()));
            }
            for (RunningNetwork running : opened.networks.values()) { // some lead to others
                for (LabPort port : running.plan().ports()) {
                    opened.plugIn(running, port, LabPorts.settings(running.plan(), port));
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

    /// Opens a port and plugs it in.
    ///
    /// @throws CommandException with its place; then there is none
    RunningNetwork.OpenPort plugIn(RunningNetwork running, LabPort port, PortSettings settings)
            throws CommandException {
        try {
            RunningNetwork.OpenPort open =
                    new RunningNetwork.OpenPort(port, open(running, port, settings));
            running.ports().push(open);
            return open;
        } catch (IOException | IllegalArgumentException e) {
            throw new CommandException(port.plug().place() + ": " + e.getMessage(), e);
        } catch (CompletionException e) {
            Throwable cause = e.getCause() == null ? e : e.getCause();
            throw new CommandException(port.plug().place() + ": " + cause.getMessage(), e);
        }
    }

    private AutoCloseable open(RunningNetwork running, LabPort port, PortSettings settings)
            throws IOException {
        LabNetwork plan = running.plan();
        if (!(port instanceof LabPort.Link link)) {
            return LabPorts.open(running.network(), settings, plan.mtu(), running.loop(), port);
        }
        RunningNetwork far = networks.get(link.network());
        if (far == null) {
            throw new IOException("there is no network " + link.network());
        }
        PortSettings farSettings =
                settings.equals(LabPorts.shut(link.plug().name()))
                        ? LabPorts.shut(plan.name())
                        : far.plan().settingsOf(plan.name());
        return NetworkLink.connect(
                running.network(),
                settings,
                far.network(),
                farSettings,
                Math.min(plan.mtu(), far.plan().mtu()));
    }

    @Override
    public VifPlace find(BackendContext context) throws DeviceException {
        String bridge = context.parameter("bridge").orElse("");
        RunningNetwork running = networks.get(bridge);
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
        VifPlace place = running.enter(name, plug);
        context.onEnd(() -> running.leave(name, plug));
        return place;
    }

    /// Changes the networks into what another lab file says of them, while traffic flows.
    ///
    /// @param vifs of all domains: their `vlan=` is looked at
    /// @return what was changed, a line each
    /// @throws CommandException with the place of what cannot be changed; then nothing is
    synchronized List<String> change(List<LabNetwork> plans, List<LabVif> vifs)
            throws CommandException {
        return new NetworkChange(this, networks, loops, plans, vifs).perform();
    }

    /// The networks of now, by name.
    List<RunningNetwork> networks() {
        return networks.values().stream()
                .sorted(Comparator.comparing(network -> network.plan().name()))
                .toList();
    }

    /// One network.
    ///
    /// @throws CommandException when there is none of that name
    RunningNetwork network(String name) throws CommandException {
        RunningNetwork running = networks.get(name);
        if (running == null) {
            throw new CommandException(
                    "there is no network \""
                            + name
                            + "\"; networks are "
                            + String.join(", ", networks.keySet()));
        }
        return running;
    }

    /// Begins to write the frames of a network into a file.
    ///
    /// @param port empty for all
    /// @param maxBytes largest size of the file
    synchronized void capture(String network, String port, Path file, long maxBytes)
            throws CommandException {
        RunningNetwork running = network(network);
        running.onLoop(() -> checkPort(running, port));
        if (captures.containsKey(file)) {
            throw new CommandException(file + " is being written already");
        }
        OpenCapture opened; // the file is emptied only now that nothing else speaks against it
        try {
            Capture capture = Capture.open(file, Frame.MAX_BYTES, maxBytes);
            opened = new OpenCapture(running, port, capture);
        } catch (IOException | IllegalArgumentException e) {
            throw new CommandException(file + " cannot be written: " + e, e);
        }
        boolean started = false;
        try {
            running.onLoop(opened::start);
            captures.put(file, opened);
            started = true;
        } finally {
            if (!started) {
                RunningNetwork.close(opened.capture());
            }
        }
    }

    private static void checkPort(RunningNetwork running, String port) {
        if (!port.isEmpty()) {
            var _ = running.link(port);
        }
    }

    /// Ends a capture: everything is in the file when this returns.
    ///
    /// @return how much is in it
    synchronized String endCapture(Path file) throws CommandException {
        OpenCapture ending = captures.remove(file);
        if (ending == null) {
            throw new CommandException(file + " is not being written");
        }
        ending.running().onLoop(ending::stop);
        RunningNetwork.close(ending.capture());
        return String.format(
                Locale.ROOT,
                "%d frames in %s, %d missing",
                ending.capture().frames(),
                file,
                ending.capture().missing());
    }

    /// Unplugs the ports. Not on a loop.
    @Override
    public synchronized void close() {
        for (OpenCapture capture : captures.values()) {
            CompletableFuture.runAsync(capture::stop, capture.running().loop()).join();
            RunningNetwork.close(capture.capture());
        }
        captures.clear();
        for (RunningNetwork running : networks.values()) {
            List.copyOf(running.ports()).forEach(running::unplug);
        }
        networks.values().forEach(RunningNetwork::close);
    }
}
