package org.splitring.driverdomain;

import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Measurement;
import io.micrometer.core.instrument.Meter;
import io.micrometer.core.instrument.MeterRegistry;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import org.splitring.bridge.LearningSwitch;
import org.splitring.bridge.PortCounter;
import org.splitring.bridge.PortLink;
import org.splitring.hypervisor.DomId;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.XenbusState;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreException;

/// What the control API shows of devices and networks. The records become JSON as they are.
final class LabViews {
    /// Meters of a device that are shown as its histograms.
    private static final String LATENCY = "latency.";

    private final Store control;
    private final MeterRegistry meters;

    LabViews(Store control, MeterRegistry meters) {
        this.control = control;
        this.meters = meters;
    }

    /// A device of a guest, whether the guest is attached or not.
    ///
    /// @param type its class, as in the paths of the store
    /// @param id its number
    /// @param name as people call it: `vbd/xvda`
    /// @param frontendState of the guest's half: `connected`, or `absent` without a guest
    /// @param backendState of ours
    /// @param frontend keys of the folder of the guest's half, as the guest and the toolstack wrote
    ///     them
    /// @param backend keys of the folder of our half
    /// @param frontendError what the guest's half has to complain of, if anything
    /// @param backendError what ours has
    /// @param meters what it has counted since the guest came, by the names of `docs/control.md`
    record Device(
            String type,
            int id,
            String name,
            String frontendState,
            String backendState,
            Map<String, String> frontend,
            Map<String, String> backend,
            String frontendError,
            String backendError,
            Map<String, Double> meters) {}

    /// How long requests of one direction took, cumulative.
    ///
    /// @param belowSeconds bounds of the buckets, the last without
    /// @param counts requests that took less than each
    record Latency(List<String> belowSeconds, List<Long> counts) {}

    /// A port of a network.
    ///
    /// @param kind `vif`, `tap`, `stream`, `dgram`, `vxlan` or `network`
    /// @param to who is at the other end: a domain, an interface, a socket, peers, another network
    /// @param counters those that are not 0
    record Port(String name, String kind, String to, int mtu, Map<String, Long> counters) {}

    /// A network.
    ///
    /// @param addresses what a bridge has learned; empty in other modes
    record Network(
            String name,
            String mode,
            int mtu,
            List<String> subnets,
            List<String> gateways,
            List<Port> ports,
            List<Address> addresses) {}

    /// An address that a bridge knows.
    record Address(String mac, int vlan, String port, int ageSeconds, boolean fixed) {}

    /// The devices of a guest, as [DeviceNodes] remembers them.
    List<Device> devices(DomId guest) throws StoreException {
        List<Device> found = new ArrayList<>();
        Map<String, SortedMap<String, Double>> counted = counted(guest);
        for (DeviceNodes.Attached device : new DeviceNodes(control).remembered(guest)) {
            found.add(device(device, counted));
        }
        return found;
    }

    /// One device of a guest, by class and number or name.
    Optional<Device> device(DomId guest, String type, String id) throws StoreException {
        return devices(guest).stream()
                .filter(
                        device ->
                                device.type().equals(type)
                                        && (device.name().equals(type + "/" + id)
                                                || Integer.toString(device.id()).equals(id)))
                .findFirst();
    }

    private Device device(
            DeviceNodes.Attached device, Map<String, SortedMap<String, Double>> counted)
            throws StoreException {
        DevicePaths paths = device.paths();
        return control.transactionReturning(
                transaction ->
                        new Device(
                                paths.type(),
                                paths.device(),
                                DeviceNodes.name(device),
                                state(transaction, paths.frontend()),
                                state(transaction, paths.backend()),
                                keys(transaction, paths.frontend(), ""),
                                keys(transaction, paths.backend(), ""),
                                transaction.read(paths.frontendError()).orElse(""),
                                transaction.read(paths.backendError()).orElse(""),
                                counted.getOrDefault(
                                        paths.type() + "/" + paths.device(), new TreeMap<>())));
    }

    /// In words.
    static String state(StoreAccess from, String folder) throws StoreException {
        Optional<String> text = from.read(folder + "/state");
        return text.isEmpty()
                ? "absent"
                : XenbusState.parse(text.get()).name().toLowerCase(Locale.ROOT);
    }

    /// Every node below a folder that has no nodes below it.
    private static SortedMap<String, String> keys(StoreAccess from, String folder, String prefix)
            throws StoreException {
        SortedMap<String, String> keys = new TreeMap<>();
        for (String name : from.list(folder)) {
            String node = folder + "/" + name;
            SortedMap<String, String> below = keys(from, node, prefix + name + "/");
            if (below.isEmpty()) {
                keys.put(prefix + name, from.read(node).orElse(""));
            }
            keys.putAll(below);
        }
        return keys;
    }

    /// What the devices of a guest have counted, by class and number.
    private Map<String, SortedMap<String, Double>> counted(DomId guest) {
        Map<String, SortedMap<String, Double>> all = new HashMap<>();
        for (Meter meter : meters.getMeters()) {
            Meter.Id id = meter.getId();
            String[] name = id.getName().split("\\.", 3);
            if (name.length < 3
                    || name[2].startsWith(LATENCY)
                    || !"backend".equals(id.getTag("side"))
                    || !guest.toString().equals(id.getTag("guest"))) {
                continue;
            }
            for (Measurement measurement : meter.measure()) {
                all.computeIfAbsent(name[1] + "/" + id.getTag("device"), key -> new TreeMap<>())
                        .put(name[2].replace('.', '_'), measurement.getValue());
                break; // the first of a timer is its count
            }
        }
        return all;
    }

    /// How long the requests of a disk took, by direction.
    Map<String, Latency> latency(DomId guest, int device) {
        Map<String, SortedMap<Double, FunctionCounter>> found = new TreeMap<>();
        for (FunctionCounter bucket :
                meters.find("splitring.vbd.latency.bucket")
                        .tag("guest", guest.toString())
                        .tag("device", Integer.toString(device))
                        .functionCounters()) {
            String below = String.valueOf(bucket.getId().getTag("le"));
            found.computeIfAbsent(
                            String.valueOf(bucket.getId().getTag("direction")),
                            key -> new TreeMap<>())
                    .put(
                            below.equals("+Inf")
                                    ? Double.POSITIVE_INFINITY
                                    : Double.parseDouble(below),
                            bucket);
        }
        Map<String, Latency> all = new TreeMap<>();
        found.forEach(
                (direction, buckets) ->
                        all.put(
                                direction,
                                new Latency(
                                        buckets.values().stream()
                                                .map(each -> each.getId().getTag("le"))
                                                .map(String::valueOf)
                                                .toList(),
                                        buckets.values().stream()
                                                .map(each -> (long) each.count())
                                                .toList())));
        return all;
    }

    /// A network with its ports.
    ///
    /// @param all networks of the lab: a cable of another one may end here
    static Network network(RunningNetwork running, List<RunningNetwork> all)
            throws CommandException {
        List<Port> ports = new ArrayList<>();
        List<Address> addresses = new ArrayList<>();
        running.onLoop(
                () -> {
                    for (PortLink link : running.network().ports()) {
                        String name = link.settings().name();
                        PortEnd end = PortEnd.of(running, name, all);
                        ports.add(new Port(name, end.kind(), end.to(), link.mtu(), counters(link)));
                    }
                    if (running.network().mode() instanceof LearningSwitch bridge) {
                        for (LearningSwitch.Address each : bridge.addressList()) {
                            addresses.add(
                                    new Address(
                                            each.mac().toString(),
                                            each.vlan(),
                                            each.port(),
                                            each.ageSeconds(),
                                            each.fixed()));
                        }
                    }
                });
        var plan = running.plan();
        return new Network(
                plan.name(),
                plan.mode().text(),
                plan.mtu(),
                plan.subnets().stream().map(Object::toString).toList(),
                plan.gateways(),
                ports,
                addresses);
    }

    private static Map<String, Long> counters(PortLink link) {
        Map<String, Long> counters = new TreeMap<>();
        for (PortCounter counter : PortCounter.values()) {
            long value = link.counters().get(counter);
            if (value != 0) {
                counters.put(counter.name().toLowerCase(Locale.ROOT), value);
            }
        }
        return counters;
    }
}
