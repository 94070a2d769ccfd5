package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.splitring.driverdomain.lab.Lab;
import org.splitring.driverdomain.lab.LabDomain;
import org.splitring.driverdomain.lab.LabException;
import org.splitring.driverdomain.lab.LabVif;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;

/// Changes a running lab into what its file says now, as far as that goes without touching
/// guests: the networks, and `rate`, `vlan` and `mtu` of vifs. What would need a guest to be
/// started anew is named.
final class LabReload {
    private static final String RATE = "rate";
    private static final String MTU = "mtu";

    private final Path runDir;
    private final Wanted lab;
    private final LabNetworks networks;
    private final List<LabGuest> guests;
    private final Store control;

    /// The lab as it shall be.
    @FunctionalInterface
    interface Wanted {
        Lab read() throws LabException;
    }

    /// @param lab reads what its file says now
    /// @param guests of now
    LabReload(Path runDir, Wanted lab, LabNetworks networks, List<LabGuest> guests, Store control) {
        this.runDir = runDir;
        this.lab = lab;
        this.networks = networks;
        this.guests = guests;
        this.control = control;
    }

    /// Reads the lab file and does what can be done.
    ///
    /// @return what was done and what must wait, in lines
    List<String> reload() throws CommandException, LabException {
        Lab wanted = lab.read();
        List<String> done = new ArrayList<>();
        List<LabVif> vifs = new ArrayList<>();
        wanted.domains().forEach(domain -> vifs.addAll(domain.vifs()));
        try {
            checkNetworks(wanted);
            done.addAll(networks.change(wanted.networks(), vifs));
            for (LabDomain domain : wanted.domains()) {
                Optional<LabGuest> guest = guest(domain);
                if (guest.isPresent()) {
                    change(guest.get(), domain, done);
                } else {
                    done.add("domain " + domain.name() + ": new, waits for replace");
                }
            }
        } catch (StoreException e) {
            throw new CommandException("store: " + e.getMessage(), e);
        }
        Set<String> names = new HashSet<>();
        wanted.domains().forEach(domain -> names.add(domain.name()));
        for (LabGuest guest : guests) {
            if (!names.contains(guest.domain().name())) {
                done.add("domain " + guest.domain().name() + ": gone, runs on until replace");
            }
        }
        return done.isEmpty() ? List.of("nothing has changed") : done;
    }

    /// No network goes that a guest has an interface on, be it that it is not attached now.
    private void checkNetworks(Lab wanted) throws StoreException, CommandException {
        Set<String> there = new HashSet<>();
        wanted.networks().forEach(network -> there.add(network.name()));
        for (LabGuest guest : guests) {
            for (DeviceNodes.Attached vif :
                    new DeviceNodes(control).remembered(guest.domid(), "vif")) {
                String network = vif.backend().getOrDefault("bridge", "");
                if (!there.contains(network)) {
                    throw new CommandException(
                            "network "
                                    + network
                                    + " cannot be taken away: vif/"
                                    + vif.paths().device()
                                    + " of domain "
                                    + guest.domain().name()
                                    + " is on it; nothing has changed");
                }
            }
        }
    }

    private Optional<LabGuest> guest(LabDomain domain) {
        return guests.stream()
                .filter(guest -> guest.domain().name().equals(domain.name()))
                .findFirst();
    }

    private void change(LabGuest guest, LabDomain wanted, List<String> done) throws StoreException {
        DeviceNodes nodes = new DeviceNodes(control);
        for (LabVif vif : wanted.vifs()) {
            DeviceNodes.Attached now = DeviceNodes.vif(guest.domid(), vif);
            Optional<DeviceNodes.Attached> before =
                    nodes.remembered(guest.domid(), "vif").stream()
                            .filter(each -> each.paths().equals(now.paths()))
                            .findFirst();
            if (before.isEmpty()) {
                done.add(wanted.name() + " vif/" + vif.device() + ": new, waits for replace");
            } else if (!sameInterface(before.get(), now)) {
                done.add(
                        wanted.name()
                                + " vif/"
                                + vif.device()
                                + ": another interface, waits for replace");
            } else {
                change(now, before.get(), guest.domain(), done);
            }
        }
        if (!withoutVifs(wanted).equals(withoutVifs(guest.domain()))) {
            done.add("domain " + wanted.name() + ": other changes wait for replace");
        }
    }

    private static LabDomain withoutVifs(LabDomain domain) {
        return new LabDomain(
                domain.name(),
                domain.memoryMib(),
                domain.guest(),
                domain.disks().stream().map(disk -> disk.at("")).toList(),
                List.of(),
                domain.devices().stream().map(device -> device.at("")).toList(),
                domain.tcpPort(),
                domain.tls(),
                domain.program(),
                "");
    }

    private void change(
            DeviceNodes.Attached now,
            DeviceNodes.Attached before,
            LabDomain domain,
            List<String> done)
            throws StoreException {
        if (now.equals(before)) {
            return;
        }
        DeviceNodes nodes = new DeviceNodes(control);
        nodes.forget(now.paths());
        nodes.remember(now);
        String line = domain.name() + " vif/" + now.paths().device() + ": ";
        String rate = now.backend().get(RATE);
        if (!Objects.equals(rate, before.backend().get(RATE))) {
            set(now.paths(), now.paths().backend() + "/" + RATE, rate);
            done.add(line + "rate " + (rate == null ? "unlimited" : rate));
        }
        String mtu = now.frontend().get(MTU);
        if (mtu != null && !mtu.equals(before.frontend().get(MTU))) {
            set(now.paths(), now.paths().backend() + "/" + MTU, mtu);
            set(now.paths(), now.paths().frontend() + "/" + MTU, mtu);
            done.add(line + "mtu " + mtu + setInside(domain.name(), now.paths(), mtu));
        }
    }

    /// Writes a node of a vif, if a guest is attached; for the next one it is remembered.
    private void set(DevicePaths vif, String node, @Nullable String value) throws StoreException {
        control.transaction(
                transaction -> {
                    if (transaction.read(vif.backend() + "/state").isEmpty()) {
                        return;
                    }
                    if (value == null) {
                        transaction.remove(node);
                    } else {
                        transaction.write(node, value);
                    }
                });
    }

    /// Sets the MTU of the interface in a guest of ours; any other guest reads it when it connects
    /// next.
    ///
    /// @return what to add to the line that says so
    private String setInside(String domain, DevicePaths vif, String mtu) {
        try {
            Optional<NamespaceRecord> inside =
                    NamespaceRecord.living(RunDirectory.domain(runDir, domain));
            if (inside.isEmpty()) {
                return ", for when the guest connects again";
            }
            inside.get().entrance().ip("link set dev eth" + vif.device() + " mtu " + mtu + "\n");
            return "";
        } catch (IOException e) {
            return ", for when the guest connects again: " + e.getMessage();
        }
    }

    /// Whether two vifs differ in nothing but what can be changed while they are in use.
    private static boolean sameInterface(DeviceNodes.Attached one, DeviceNodes.Attached other) {
        return fixed(one.frontend()).equals(fixed(other.frontend()))
                && fixed(one.backend()).equals(fixed(other.backend()));
    }

    private static Map<String, String> fixed(Map<String, String> all) {
        Map<String, String> keys = new HashMap<>(all);
        keys.keySet().removeAll(Set.of(RATE, "vlan", MTU));
        return keys;
    }
}
