package org.splitring.driverdomain;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.splitring.bridge.SwitchSettings;
import org.splitring.driverdomain.lab.LabNetwork;
import org.splitring.driverdomain.lab.LabPort;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.hypervisor.linux.NetworkNamespace;
import org.splitring.hypervisor.linux.TapDevice;
import org.splitring.netback.VifPlace;
import org.splitring.xenbus.device.BackendContext;
import org.splitring.xenbus.device.DeviceException;

/// The switches that vifs of Xen guests are plugged into: one for each name that stands in a
/// `bridge` node, made when the first vif asks for it. One that has an uplink reaches a bridge of
/// Linux's, and through it the rest of the world.
final class XenSwitches implements VifPlace.Finder, AutoCloseable {
    private static final String USUAL = "xenbr0"; // what libxl writes where nothing is said

    private final NettyDeviceLoops loops;
    private final LabNetwork.Antispoof antispoof;
    private final Map<String, RunningNetwork> switches = new HashMap<>(); // guarded by this
    private final Deque<RunningNetwork.OpenPort> uplinks = new ArrayDeque<>();
    private final Set<String> interfaces = new HashSet<>();

    XenSwitches(NettyDeviceLoops loops, LabNetwork.Antispoof antispoof) {
        this.loops = loops;
        this.antispoof = antispoof;
    }

    /// Connects a switch to a bridge of Linux's, through a TAP.
    ///
    /// @param mtu of both
    /// @throws CommandException when it cannot be made
    synchronized void addUplink(String name, String bridge, int mtu) throws CommandException {
        String tap =
                ("sr-" + name).substring(0, Math.min(TapDevice.MAX_NAME_BYTES, name.length() + 3));
        String place = "--uplink " + name + "=" + bridge;
        Optional<String> problem = TapDevice.nameProblem(tap);
        if (problem.isPresent() || !interfaces.add(tap)) {
            throw new CommandException(
                    place + ": " + problem.orElse("there is an interface " + tap + " already"));
        }
        RunningNetwork running = make(name, mtu, place);
        LabPort.Plug plug =
                new LabPort.Plug(tap, Optional.empty(), List.of(), Optional.empty(), place);
        LabPort.Tap port = new LabPort.Tap(plug, tap, List.of());
        try {
            AutoCloseable open =
                    LabPorts.open(
                            running.network(),
                            LabPorts.settings(running.plan(), port),
                            mtu,
                            running.loop(),
                            port);
            uplinks.push(new RunningNetwork.OpenPort(port, open));
            NetworkNamespace.ipHere("link set dev " + tap + " master " + bridge + "\n");
        } catch (IOException e) {
            throw new CommandException(place + ": " + e.getMessage(), e);
        }
    }

    private RunningNetwork make(String name, int mtu, String place) throws CommandException {
        RunningNetwork running =
                RunningNetwork.make(
                        new LabNetwork(
                                name,
                                LabNetwork.Mode.BRIDGE,
                                List.of(),
                                List.of(),
                                mtu,
                                SwitchSettings.DEFAULT,
                                antispoof,
                                false,
                                List.of(),
                                Optional.empty(),
                                Map.of(),
                                place),
                        loops.next());
        switches.put(name, running);
        return running;
    }

    /// A switch that only guests are on takes what its first vif may send.
    private synchronized RunningNetwork named(String name, int mtu) throws CommandException {
        RunningNetwork running = switches.get(name);
        return running != null ? running : make(name, mtu, "bridge " + name);
    }

    @Override
    public VifPlace find(BackendContext context) throws DeviceException {
        String bridge = context.parameter("bridge").filter(name -> !name.isEmpty()).orElse(USUAL);
        String usual = "vif" + context.paths().frontendDomain() + "." + context.paths().device();
        String name = context.parameter("vifname").filter(given -> !given.isEmpty()).orElse(usual);
        VifPlug plug =
                new VifPlug(
                        usual,
                        context.parameter("mac"),
                        context.parameter("ip").orElse("").strip(),
                        context.parameter("vlan"));
        try {
            RunningNetwork running = named(bridge, mtu(context));
            VifPlace place = running.enter(name, plug);
            context.onEnd(() -> running.leave(name, plug));
            return place;
        } catch (CommandException e) {
            throw new DeviceException(String.valueOf(e.getMessage()), e);
        }
    }

    private static int mtu(BackendContext context) throws DeviceException {
        String text = context.parameter("mtu").orElse("1500");
        if (!text.matches("[0-9]{1,5}") || Integer.parseInt(text) < 68) {
            throw new DeviceException("mtu is \"" + text + "\": expected 68 to 65521");
        }
        return Integer.parseInt(text);
    }

    @Override
    public synchronized void close() {
        uplinks.forEach(open -> RunningNetwork.close(open.port()));
        uplinks.clear();
        switches.values().forEach(RunningNetwork::close);
        switches.clear();
    }
}
