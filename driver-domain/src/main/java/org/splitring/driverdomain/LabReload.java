package org.splitring.driverdomain;

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
import org.splitring.driverdomain.lab.LabFile;
import org.splitring.driverdomain.lab.LabVif;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;

/// Changes a running lab into what its file says now, as far as that goes without touching
/// guests: the networks, and `rate` and `vlan` of vifs. What would need a guest to be started
/// anew is named.
final class LabReload {
    private static final String RATE = "rate";

    private final Lab lab;
    private final LabNetworks networks;
    private final List<LabGuest> guests;
    private final Store control;

    /// @param lab as it was started
    LabReload(Lab lab, LabNetworks networks, List<LabGuest> guests, Store control) {
        this.lab = lab;
        this.networks = networks;
        this.guests = guests;
        this.control = control;
    }

    /// Reads the lab file and does what can be done.
    ///
    /// @return what was done and what must wait, in lines
    String reload() throws CommandException, LabException {
        Lab wanted = LabFile.read(lab.file());
        List<String> done = new ArrayList<>();
        List<LabVif> vifs = new ArrayList<>();
        wanted.domains().forEach(domain -> vifs.addAll(domain.vifs()));
        done.addAll(networks.change(wanted.networks(), vifs));
        try {
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
        return done.isEmpty() ? "nothing has changed" : String.join("\n", done);
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
                change(now, before.get(), wanted.name(), done);
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
                "");
    }

    private void change(
            DeviceNodes.Attached now, DeviceNodes.Attached before, String domain, List<String> done)
            throws StoreException {
        if (now.backend().equals(before.backend())) {
            return;
        }
        DeviceNodes nodes = new DeviceNodes(control);
        nodes.forget(now.paths());
        nodes.remember(now);
        String rate = now.backend().get(RATE);
        if (!Objects.equals(rate, before.backend().get(RATE))) {
            setRate(now.paths(), rate);
            done.add(
                    domain
                            + " vif/"
                            + now.paths().device()
                            + ": rate "
                            + (rate == null ? "unlimited" : rate));
        }
    }

    private void setRate(DevicePaths vif, @Nullable String rate) throws StoreException {
        String node = vif.backend() + "/" + RATE;
        control.transaction(
                transaction -> {
                    if (transaction.read(vif.backend() + "/state").isEmpty()) {
                        return; // no guest is attached; it is remembered for the next
                    }
                    if (rate == null) {
                        transaction.remove(node);
                    } else {
                        transaction.write(node, rate);
                    }
                });
    }

    /// Whether two vifs differ in nothing but what can be changed while they are in use.
    private static boolean sameInterface(DeviceNodes.Attached one, DeviceNodes.Attached other) {
        return one.frontend().equals(other.frontend())
                && fixed(one.backend()).equals(fixed(other.backend()));
    }

    private static Map<String, String> fixed(Map<String, String> backend) {
        Map<String, String> keys = new HashMap<>(backend);
        keys.remove(RATE);
        keys.remove("vlan");
        return keys;
    }
}
