package org.splitring.driverdomain;

import java.time.Duration;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DomId;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;

/// Whether the devices of one guest stand still. The guest is asked through the node that Xen's
/// toolstack uses, and says itself that it can:
///
///     control/feature-suspend    1: written by the guest
///     control/shutdown           suspend: the guest closes all its devices in order, then empties
///                                the node; resume: it connects them again, then does the same
///
/// What the guest's clients want meanwhile waits in the guest. `/splitring/suspended/DOMID`, where
/// no guest can write, tells a driver domain that takes over.
final class Suspension {
    private static final Logger LOG = LoggerFactory.getLogger(Suspension.class);
    private static final String TOP = "/splitring/suspended";

    private final Store control;
    private final String domain;
    private final DomId domid;

    Suspension(Store control, String domain, DomId domid) {
        this.control = control;
        this.domain = domain;
        this.domid = domid;
    }

    private String note() {
        return TOP + "/" + domid;
    }

    private String node(String name) {
        return DevicePaths.domain(domid) + "/control/" + name;
    }

    /// Whether the guest was suspended, and not resumed since.
    boolean isSuspended() {
        try {
            return control.read(note()).isPresent();
        } catch (StoreException e) {
            LOG.warn("domain {}: store: {}", domain, e.getMessage());
            return false;
        }
    }

    /// Forgets it: the guest is gone.
    void forget() {
        try {
            control.remove(note());
        } catch (StoreException e) {
            LOG.warn("domain {}: store: {}", domain, e.getMessage());
        }
    }

    /// Refuses what cannot be done with devices that stand still.
    void checkNot() throws CommandException {
        if (isSuspended()) {
            throw new CommandException(
                    "domain "
                            + domain
                            + " is suspended; ./splitring resume "
                            + domain
                            + " lets it go on");
        }
    }

    /// Has the guest close its devices: when this returns nothing of it is in use, and every
    /// request that was on a ring is answered. A guest that does not say so in time goes on.
    synchronized void suspend(Duration limit)
            throws CommandException, StoreException, InterruptedException {
        checkNot();
        if (!control.read(node("feature-suspend")).orElse("").equals("1")) {
            throw new CommandException(
                    "domain "
                            + domain
                            + " cannot be suspended: "
                            + (control.read(node("shutdown")).isPresent()
                                    ? "its guest does not say that it can (control/feature-suspend)"
                                    : "no guest is attached"));
        }
        if (!ask("suspend", limit)) {
            control.write(node("shutdown"), "resume");
            throw new CommandException(
                    "domain "
                            + domain
                            + " has not suspended within "
                            + limit.toSeconds()
                            + " s, and was told to go on");
        }
        control.write(note(), "");
        if (!new DeviceNodes(control).awaitSaved(limit)) {
            throw new CommandException(
                    "domain " + domain + " is suspended, but the driver domain cannot note it");
        }
    }

    /// Has the guest connect its devices again.
    synchronized void resume(Duration limit)
            throws CommandException, StoreException, InterruptedException {
        if (!isSuspended()) {
            throw new CommandException("domain " + domain + " is not suspended");
        }
        boolean done = ask("resume", limit);
        control.remove(note());
        if (!done) {
            throw new CommandException(
                    "domain "
                            + domain
                            + " was told to go on, but its devices are not connected after "
                            + limit.toSeconds()
                            + " s; ./splitring doctor says more");
        }
    }

    private boolean ask(String word, Duration limit) throws StoreException, InterruptedException {
        control.write(node("shutdown"), word);
        Optional<String> left =
                NodeWait.await(
                        control, node("shutdown"), limit, value -> value.orElse("").isEmpty());
        return left.isPresent() && left.get().isEmpty();
    }
}
