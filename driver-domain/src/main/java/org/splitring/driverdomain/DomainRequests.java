package org.splitring.driverdomain;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.splitring.driverdomain.control.ControlException;
import org.splitring.driverdomain.control.ControlRequest;
import org.splitring.driverdomain.control.Routes;
import org.splitring.xenbus.store.StoreException;

/// What the control API can do with whole domains: make, start, stop, suspend and end them.
final class DomainRequests {
    private final RunningLab lab;

    DomainRequests(RunningLab lab) {
        this.lab = lab;
    }

    Routes addTo(Routes routes) {
        return routes.post("/v1/domains", LabControl.told(this::create))
                .delete("/v1/domains/{domain}", LabControl.told(this::destroy))
                .post("/v1/domains/{domain}/start", LabControl.told(this::start))
                .post("/v1/domains/{domain}/stop", LabControl.told(this::stop))
                .post("/v1/domains/{domain}/save", LabControl.told(this::save))
                .post("/v1/domains/{domain}/suspend", LabControl.told(this::suspend))
                .post("/v1/domains/{domain}/resume", LabControl.told(this::resume));
    }

    private LabGuest guest(ControlRequest request) throws ControlException {
        return LabControl.guest(lab, request);
    }

    private static Duration limit(ControlRequest request) throws ControlException {
        return Duration.ofSeconds(LabControl.seconds(request));
    }

    private void create(ControlRequest request, List<String> done) throws Exception {
        request.allow("config", "saved");
        Optional<String> saved = request.text("saved");
        if (saved.isEmpty()) {
            done.addAll(lab.create(LabControl.path("config", request.needed("config"))));
        } else if (request.text("config").isPresent()) {
            throw ControlException.badRequest("\"config\" and \"saved\" are given, choose one");
        } else {
            done.add(new DomainSaving(lab).restore(LabControl.path("saved", saved.get())));
        }
    }

    private void destroy(ControlRequest request, List<String> done)
            throws ControlException, CommandException {
        request.allow();
        LabGuest guest = guest(request);
        lab.destroy(guest);
        done.add("destroyed " + guest.domain().name());
    }

    private void start(ControlRequest request, List<String> done)
            throws ControlException, CommandException, InterruptedException {
        request.allow();
        LabGuest guest = guest(request);
        lab.start(guest);
        done.add("started " + guest.domain().name());
    }

    private void stop(ControlRequest request, List<String> done)
            throws ControlException, CommandException {
        request.allow("force");
        LabGuest guest = guest(request);
        boolean force = request.flag("force").orElse(false);
        lab.stop(guest, force);
        done.add((force ? "killed " : "stopped ") + guest.domain().name());
    }

    private void save(ControlRequest request, List<String> done) throws Exception {
        request.allow("file", "leave_running", "timeout_seconds");
        LabGuest guest = guest(request);
        Path file = LabControl.path("file", request.needed("file"));
        boolean leaveRunning = request.flag("leave_running").orElse(false);
        new DomainSaving(lab).save(guest, file, leaveRunning, limit(request));
        done.add(
                "saved "
                        + guest.domain().name()
                        + " in "
                        + file
                        + (leaveRunning ? "; it goes on" : ""));
    }

    private void suspend(ControlRequest request, List<String> done)
            throws ControlException, CommandException, StoreException, InterruptedException {
        request.allow("timeout_seconds");
        LabGuest guest = guest(request);
        guest.suspension().suspend(limit(request));
        done.add("suspended " + guest.domain().name());
    }

    private void resume(ControlRequest request, List<String> done)
            throws ControlException, CommandException, StoreException, InterruptedException {
        request.allow("timeout_seconds");
        LabGuest guest = guest(request);
        guest.suspension().resume(limit(request));
        done.add("resumed " + guest.domain().name());
    }
}
