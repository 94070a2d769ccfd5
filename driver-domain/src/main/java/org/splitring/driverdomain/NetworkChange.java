package org.splitring.driverdomain;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.splitring.bridge.PortLink;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.port.StreamPorts;
import org.splitring.driverdomain.RunningNetwork.OpenPort;
import org.splitring.driverdomain.lab.LabNetwork;
import org.splitring.driverdomain.lab.LabPort;
import org.splitring.driverdomain.lab.LabRouting;
import org.splitring.driverdomain.lab.LabVif;
import org.splitring.hypervisor.attached.NettyDeviceLoops;

/// One change of a lab's networks into what another lab file says of them: all of it, or nothing.
///
/// 1. Everything is checked that can be without doing it.
/// 2. What may fail is done: new networks and modes are made, new ports opened, but let nothing
///    pass. A port that has the place of one that goes (its name, its interface, its address) takes
///    that one's out first. If one of it fails, what was done is undone, last first.
/// 3. What cannot fail is done: ports that are not wanted go, networks follow their new plans, the
///    new ports let pass what their settings say, networks that are not wanted go.
final class NetworkChange {
    private final LabNetworks lab;
    private final Map<String, RunningNetwork> networks;
    private final NettyDeviceLoops loops;
    private final List<LabNetwork> plans;
    private final Map<String, LabNetwork> planned;
    private final List<LabVif> vifs;
    private final Map<String, NetworkModes.Mode> modes = new HashMap<>();
    private final List<Undoing> undoings = new ArrayList<>();
    private final List<String> done = new ArrayList<>();

    private interface Undoing {
        void undo() throws CommandException;
    }

    /// A port and the network that it is a port of.
    private record Plugged(RunningNetwork running, OpenPort open) {}

    /// @param networks those that there are, as `lab` knows them
    NetworkChange(
            LabNetworks lab,
            Map<String, RunningNetwork> networks,
            NettyDeviceLoops loops,
            List<LabNetwork> plans,
            List<LabVif> vifs) {
        this.lab = lab;
        this.networks = networks;
        this.loops = loops;
        this.plans = plans;
        this.vifs = vifs;
        planned = plans.stream().collect(Collectors.toMap(LabNetwork::name, plan -> plan));
    }

    /// Does it.
    ///
    /// @return what was changed, a line each
    /// @throws CommandException with the place of what cannot be; then nothing is changed
    List<String> perform() throws CommandException {
        boolean prepared = false;
        try {
            check();
            prepare();
            prepared = true;
        } catch (CommandException e) {
            throw new CommandException(e.getMessage() + undo(), e);
        } finally {
            if (!prepared) {
                undo(); // after what was no CommandException
            }
        }
        change();
        return done;
    }

    private void check() throws CommandException {
        for (RunningNetwork running : networks.values()) {
            String name = running.plan().name();
            if (!planned.containsKey(name) && !running.vifs().isEmpty()) {
                throw new CommandException(
                        "network "
                                + name
                                + " cannot be taken away: on it are "
                                + String.join(
                                        ", ", running.vifs().keySet().stream().sorted().toList()));
            }
        }
        for (LabNetwork plan : plans) {
            RunningNetwork running = networks.get(plan.name());
            try {
                NetworkModes.check(plan, running == null ? List.of() : running.descriptions());
                if (running != null) {
                    running.vifs()
                            .forEach((name, plug) -> now(plan, name, plug).settings(plan, name));
                }
            } catch (IllegalArgumentException e) {
                throw new CommandException(plan.place() + ": " + e.getMessage(), e);
            }
        }
    }

    /// A vif of a network as the lab file has it now.
    private VifPlug now(LabNetwork plan, String name, VifPlug plug) {
        return vifs.stream()
                .filter(vif -> vif.portName().equals(name) && vif.network().equals(plan.name()))
                .findFirst()
                .map(vif -> plug.withVlan(vif.vlan()))
                .orElse(plug);
    }

    // ---- what may fail

    private void prepare() throws CommandException {
        for (LabNetwork plan : plans) { // first, because ports of others may lead to them
            RunningNetwork running = networks.get(plan.name());
            if (running == null) {
                RunningNetwork made = RunningNetwork.make(plan, loops.next());
                networks.put(plan.name(), made);
                undoings.add(
                        () -> {
                            networks.remove(plan.name());
                            made.close();
                        });
                done.add("network " + plan.name() + ": made");
            } else if (needsAnotherMode(plan, running.plan())) {
                prepareMode(running, plan);
            }
        }
        List<Plugged> going = new ArrayList<>();
        for (RunningNetwork running : networks.values()) {
            for (OpenPort open : running.ports()) {
                if (!isWanted(running, open)) {
                    going.add(new Plugged(running, open));
                }
            }
        }
        openPorts(going, true);
        openPorts(going, false);
        for (LabNetwork plan : plans) {
            prepareMtu(running(plan.name()), plan);
        }
    }

    private void prepareMode(RunningNetwork running, LabNetwork plan) throws CommandException {
        try {
            NetworkModes.Mode made =
                    NetworkModes.make(plan, running.descriptions(), running.loop());
            modes.put(plan.name(), made);
            undoings.add(() -> RunningNetwork.close(made.resources()));
        } catch (IOException | IllegalArgumentException e) {
            throw new CommandException(plan.place() + ": " + e.getMessage(), e);
        }
    }

    private boolean isWanted(RunningNetwork running, OpenPort open) {
        LabNetwork plan = planned.get(running.plan().name());
        return plan != null
                && plan.ports().stream().anyMatch(port -> LabPorts.samePlug(port, open.plan()));
    }

    /// Opens ports that are not there yet: those that hurt no other first, then those that have
    /// the place of one that goes.
    private void openPorts(List<Plugged> going, boolean harmless) throws CommandException {
        for (LabNetwork plan : plans) {
            RunningNetwork running = running(plan.name());
            for (LabPort port : plan.ports()) {
                Set<String> claims = LabPorts.claims(plan, port);
                List<Plugged> inTheWay =
                        going.stream()
                                .filter(old -> !Collections.disjoint(claims, claims(old)))
                                .toList();
                boolean there =
                        running.ports().stream()
                                .anyMatch(open -> LabPorts.samePlug(port, open.plan()));
                if (!there && inTheWay.isEmpty() == harmless) {
                    inTheWay.forEach(this::unplug);
                    open(running, port);
                }
            }
        }
    }

    private static Set<String> claims(Plugged old) {
        return LabPorts.claims(old.running().plan(), old.open().plan());
    }

    private void unplug(Plugged old) {
        RunningNetwork running = old.running();
        if (running.ports().contains(old.open())) {
            running.unplug(old.open());
            LabPort port = old.open().plan();
            PortSettings settings = LabPorts.settings(running.plan(), port);
            undoings.add(() -> lab.plugIn(running, port, settings));
            takenAway(running, port);
        }
    }

    private void open(RunningNetwork running, LabPort port) throws CommandException {
        OpenPort opened = lab.plugIn(running, port, LabPorts.shut(LabPorts.name(port)));
        undoings.add(() -> running.unplug(opened));
        done.add(line(running, port, "plugged in"));
    }

    private void takenAway(RunningNetwork running, LabPort port) {
        done.add(line(running, port, "taken away"));
    }

    private static String line(RunningNetwork running, LabPort port, String what) {
        return "network " + running.plan().name() + ": port " + LabPorts.name(port) + " " + what;
    }

    private void prepareMtu(RunningNetwork running, LabNetwork plan) throws CommandException {
        for (OpenPort open : running.ports()) {
            int before = mtu(running.plan(), open.plan(), name -> running(name).plan());
            int now = mtu(plan, open.plan(), name -> planned.getOrDefault(name, plan));
            if (now != before && isWanted(running, open)) {
                setMtu(open, now);
                undoings.add(() -> setMtu(open, before));
            }
        }
    }

    /// What a port can pass: a cable the less of its two networks.
    private static int mtu(
            LabNetwork plan, LabPort port, Function<String, LabNetwork> networkNamed) {
        return port instanceof LabPort.Link link
                ? Math.min(plan.mtu(), networkNamed.apply(link.network()).mtu())
                : plan.mtu();
    }

    private static void setMtu(OpenPort open, int mtu) throws CommandException {
        try {
            LabPorts.setMtu(open.plan(), open.port(), mtu);
        } catch (IOException e) {
            throw new CommandException(open.plan().plug().place() + ": " + e.getMessage(), e);
        }
    }

    /// Undoes what was prepared, last first.
    ///
    /// @return what became of it, to follow the message of what failed
    private String undo() {
        StringBuilder left = new StringBuilder();
        while (!undoings.isEmpty()) {
            try {
                undoings.removeLast().undo();
            } catch (CommandException e) {
                left.append("; what was closed for it cannot be had again: ");
                left.append(e.getMessage());
            }
        }
        return left.isEmpty() ? "; nothing has changed" : left.toString();
    }

    // ---- what cannot fail

    private void change() throws CommandException {
        for (RunningNetwork running : networks.values()) {
            for (OpenPort open : List.copyOf(running.ports())) {
                if (!isWanted(running, open)) {
                    running.unplug(open);
                    takenAway(running, open.plan());
                }
            }
        }
        for (LabNetwork plan : plans) {
            follow(running(plan.name()), plan);
        }
        for (LabNetwork plan : plans) {
            RunningNetwork running = running(plan.name());
            running.onLoop(() -> settle(running));
        }
        for (RunningNetwork running : List.copyOf(networks.values())) {
            String name = running.plan().name();
            if (!planned.containsKey(name)) {
                networks.remove(name);
                running.close();
                done.add("network " + name + ": taken away");
            }
        }
    }

    private void follow(RunningNetwork running, LabNetwork plan) throws CommandException {
        LabNetwork old = running.plan();
        running.vifs().replaceAll((name, plug) -> now(plan, name, plug));
        NetworkModes.Mode mode = modes.get(plan.name());
        if (mode == null) {
            running.follow(plan);
        } else {
            running.follow(plan, mode);
        }
        String line = "network " + plan.name() + ": ";
        if (mode != null) {
            done.add(line + "mode " + plan.mode().text());
        } else if (!routed(plan).equals(routed(old))) {
            done.add(line + "addresses, routes or forwards changed");
        }
        if (plan.mtu() != old.mtu()) {
            done.add(line + "mtu " + plan.mtu());
        }
    }

    /// Gives all ports of a network the settings that its plan says. On its loop.
    private void settle(RunningNetwork running) {
        LabNetwork plan = running.plan();
        for (OpenPort open : running.ports()) {
            if (open.port() instanceof StreamPorts streams) {
                streams.configure(LabPorts.settings(plan, open.plan()));
            }
        }
        for (PortLink link : running.network().ports()) {
            String name = link.settings().name();
            PortSettings wanted = running.wanted(link, isFarEnd(name, plan));
            if (!wanted.equals(link.settings())) {
                boolean isNew = link.settings().equals(LabPorts.shut(name));
                link.configure(wanted);
                if (!isNew) {
                    done.add("network " + plan.name() + ": port " + name + " changed");
                }
            }
        }
    }

    /// Whether a port of that name is the far end of another network's cable.
    private boolean isFarEnd(String name, LabNetwork plan) {
        RunningNetwork other = networks.get(name);
        return other != null && other.hasCableTo(running(plan.name()), name);
    }

    private RunningNetwork running(String name) {
        return Objects.requireNonNull(networks.get(name));
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
}
