package org.splitring.driverdomain;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.image.DiskSource;
import org.splitring.driverdomain.control.Answer;
import org.splitring.driverdomain.control.ControlException;
import org.splitring.driverdomain.control.ControlRequest;
import org.splitring.driverdomain.control.Events;
import org.splitring.driverdomain.control.Routes;
import org.splitring.driverdomain.lab.DiskLimits;
import org.splitring.driverdomain.lab.LabDomain;
import org.splitring.driverdomain.lab.LabException;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;
import tools.jackson.databind.JsonNode;

/// What the control API can show and change of a running lab: `docs/control.md`.
final class LabControl {
    private static final long DEFAULT_SECONDS = 15;
    private static final long MAX_SECONDS = 600;

    private final RunningLab lab;
    private final Store control;
    private final LabNetworks networks;
    private final LabReload reload;
    private final LabViews views;
    private final LabRings rings;
    private final Events events;
    private final long startedNanos = System.nanoTime();

    /// What was done, a line each, for people.
    record Done(List<String> done) {}

    /// The lab as a whole.
    record LabView(
            String file,
            String runDir,
            long pid,
            String version,
            long upSeconds,
            int domains,
            int networks) {}

    /// A domain of the lab.
    ///
    /// @param guest who runs in it: `java`, or `external` for whoever attaches
    /// @param pid of the guest's process, when we have started it and it lives
    /// @param attached whether a guest is there
    /// @param suspended whether its devices stand still
    record DomainView(
            String name,
            int domid,
            int memoryMib,
            String guest,
            @Nullable Long pid,
            boolean attached,
            boolean suspended,
            List<LabViews.Device> devices) {}

    /// A device, and how long its requests took.
    record DeviceView(LabViews.Device device, Map<String, LabViews.Latency> latency) {}

    LabControl(
            RunningLab lab, Store control, LabNetworks networks, LabReload reload, Events events) {
        this.lab = lab;
        this.control = control;
        this.networks = networks;
        this.reload = reload;
        this.events = events;
        views = new LabViews(control, lab.meters());
        rings = new LabRings(control);
    }

    /// Everything that can be asked.
    Routes routes() {
        return new DomainRequests(lab)
                .addTo(new Routes())
                .get("/v1/lab", request -> lab())
                .get("/v1/domains", request -> domains())
                .get("/v1/domains/{domain}", request -> view(guest(lab, request)))
                .post("/v1/domains/{domain}/devices", told(this::attach))
                .get("/v1/domains/{domain}/devices/{class}/{id}", this::device)
                .delete("/v1/domains/{domain}/devices/{class}/{id}", told(this::detach))
                .get(
                        "/v1/domains/{domain}/rings",
                        request -> rings.of(List.of(guest(lab, request))))
                .get("/v1/rings", request -> rings.of(lab.guests()))
                .patch("/v1/domains/{domain}/disks/{disk}", told(this::changeDisk))
                .patch("/v1/domains/{domain}/vifs/{vif}", told(this::changeVif))
                .get("/v1/domains/{domain}/console", this::console)
                .post("/v1/domains/{domain}/console/{session}", told(this::type))
                .get("/v1/networks", request -> networks())
                .get("/v1/networks/{network}", this::network)
                .post("/v1/captures", told(this::capture))
                .delete("/v1/captures", told(this::endCapture))
                .post("/v1/reload", told((request, done) -> done.addAll(reload.reload())))
                .get("/v1/events", request -> events)
                .get(
                        "/metrics",
                        request -> Answer.text("text/plain; version=0.0.4", lab.metrics().text()));
    }

    /// Changes something, and says what was done.
    @FunctionalInterface
    interface Change {
        void perform(ControlRequest request, List<String> done) throws Exception;
    }

    /// Tells the client what can be mended by whoever asked.
    static Routes.Handler told(Change change) {
        return request -> {
            List<String> done = new ArrayList<>();
            try {
                change.perform(request, done);
            } catch (CommandException | LabException e) {
                throw new ControlException(409, String.valueOf(e.getMessage()));
            }
            return new Done(done);
        };
    }

    private LabView lab() {
        return new LabView(
                lab.file().toString(),
                lab.runDir().toString(),
                ProcessHandle.current().pid(),
                Splitring.VERSION,
                (System.nanoTime() - startedNanos) / 1_000_000_000L,
                lab.guests().size(),
                networks.networks().size());
    }

    private List<DomainView> domains() throws StoreException {
        List<DomainView> all = new ArrayList<>();
        for (LabGuest guest : lab.guests()) {
            all.add(view(guest));
        }
        return all;
    }

    static LabGuest guest(RunningLab lab, ControlRequest request) throws ControlException {
        String name = request.name("domain");
        List<String> names = lab.guests().stream().map(each -> each.domain().name()).toList();
        return lab.guests().stream()
                .filter(each -> each.domain().name().equals(name))
                .findFirst()
                .orElseThrow(
                        () ->
                                ControlException.notFound(
                                        "no domain \""
                                                + name
                                                + "\"; there are "
                                                + String.join(", ", names)));
    }

    private DomainView view(LabGuest guest) throws StoreException {
        LabDomain domain = guest.domain();
        Optional<GuestProcess> process = lab.processes().of(domain).filter(GuestProcess::isAlive);
        return new DomainView(
                domain.name(),
                guest.domid().value(),
                domain.memoryMib(),
                domain.guest() == LabDomain.GuestKind.JAVA ? "java" : "external",
                process.map(GuestProcess::pid).orElse(null),
                guest.isAttached(),
                guest.suspension().isSuspended(),
                views.devices(guest.domid()));
    }

    private Object device(ControlRequest request) throws ControlException, StoreException {
        LabGuest guest = guest(lab, request);
        String type = request.name("class");
        String id = request.name("id");
        LabViews.Device device =
                views.device(guest.domid(), type, id)
                        .orElseThrow(
                                () ->
                                        ControlException.notFound(
                                                "domain "
                                                        + guest.domain().name()
                                                        + " has no device "
                                                        + type
                                                        + "/"
                                                        + id));
        return new DeviceView(
                device, type.equals("vbd") ? views.latency(guest.domid(), device.id()) : Map.of());
    }

    /// How long something may take.
    static long seconds(ControlRequest request) throws ControlException {
        long seconds = request.number("timeout_seconds").orElse(DEFAULT_SECONDS);
        if (seconds < 1 || seconds > MAX_SECONDS) {
            throw ControlException.badRequest(
                    "timeout_seconds " + seconds + " is not in 1.." + MAX_SECONDS);
        }
        return seconds;
    }

    private GuestDevices devices(ControlRequest request, List<String> done)
            throws ControlException, CommandException {
        String name = request.name("domain");
        for (LabGuest guest : lab.guests()) {
            if (guest.domain().name().equals(name)) {
                guest.suspension().checkNot();
            }
        }
        return new GuestDevices(
                control, lab.runDir(), lab.file(), name, seconds(request), done::add);
    }

    private void attach(ControlRequest request, List<String> done) throws Exception {
        request.allow("device", "folder", "timeout_seconds");
        Path folder = path("folder", request.text("folder").orElse("/"));
        devices(request, done).attachDevice(request.needed("device"), folder);
    }

    static Path path(String key, String text) throws ControlException {
        try {
            Path path = Path.of(text);
            if (path.isAbsolute()) {
                return path.normalize();
            }
        } catch (InvalidPathException e) {
            throw ControlException.badRequest("\"" + key + "\" is no path: " + e.getMessage());
        }
        throw ControlException.badRequest("\"" + key + "\" is \"" + text + "\", not from /");
    }

    private void detach(ControlRequest request, List<String> done) throws Exception {
        request.allow("force", "timeout_seconds");
        devices(request, done)
                .detach(
                        request.name("class") + "/" + request.name("id"),
                        request.flag("force").orElse(false));
    }

    private void changeDisk(ControlRequest request, List<String> done) throws Exception {
        request.allow("size_bytes", "limits", "paused", "image", "timeout_seconds");
        String disk = request.name("disk");
        OptionalLong sizeBytes = request.number("size_bytes");
        Optional<Boolean> paused = request.flag("paused");
        Optional<String> image = request.text("image");
        JsonNode limits = request.body().path("limits");
        if (image.isPresent() && paused.orElse(true)) {
            throw ControlException.badRequest("\"image\" goes with \"paused\": false");
        }
        GuestDevices devices = devices(request, done);
        if (sizeBytes.isPresent()) {
            devices.resizeDisk(disk, sizeBytes.getAsLong());
        }
        if (limits.isObject()) {
            devices.limitDisk(disk, limits(limits));
        }
        if (paused.isPresent() && paused.get()) {
            devices.pauseDisk(disk);
        } else if (paused.isPresent()) {
            devices.unpauseDisk(disk, image.isPresent() ? source(image.get()) : null);
        }
        if (done.isEmpty()) {
            throw ControlException.badRequest(
                    "nothing to change: give \"size_bytes\", \"limits\" or \"paused\"");
        }
    }

    private static DiskLimits limits(JsonNode limits) throws LabException {
        return DiskLimits.parse(
                limits.path("bps").asString(""),
                limits.path("iops").asString(""),
                limits.path("burst").asString(""),
                limits.path("weight").asString(""));
    }

    private static DiskSource source(String image) throws ControlException {
        try {
            return DiskSource.parse(image);
        } catch (DiskException e) {
            throw ControlException.badRequest("\"image\" is " + e.getMessage());
        }
    }

    private void changeVif(ControlRequest request, List<String> done) throws Exception {
        request.allow("rate");
        devices(request, done).limitVif(request.name("vif"), request.needed("rate"));
    }

    private Object console(ControlRequest request) throws ControlException {
        return lab.consoles().open(guest(lab, request).domain().name());
    }

    private void type(ControlRequest request, List<String> done) throws ControlException {
        request.allow("keys");
        lab.consoles().type(request.name("session"), request.needed("keys"));
        done.add("typed");
    }

    private Object network(ControlRequest request) throws ControlException, CommandException {
        RunningNetwork network;
        try {
            network = networks.network(request.name("network"));
        } catch (CommandException e) {
            throw ControlException.notFound(String.valueOf(e.getMessage()));
        }
        return LabViews.network(network, networks.networks());
    }

    private List<LabViews.Network> networks() throws CommandException {
        List<LabViews.Network> all = new ArrayList<>();
        List<RunningNetwork> running = networks.networks();
        for (RunningNetwork network : running) {
            all.add(LabViews.network(network, running));
        }
        return all;
    }

    private void capture(ControlRequest request, List<String> done) throws Exception {
        request.allow("network", "port", "file", "size_bytes");
        Path file = path("file", request.needed("file"));
        networks.capture(
                request.needed("network"),
                request.text("port").orElse(""),
                file,
                request.number("size_bytes").orElse(CaptureCommand.DEFAULT_BYTES));
        done.add("capturing into " + file);
    }

    private void endCapture(ControlRequest request, List<String> done) throws Exception {
        request.allow("file");
        done.add(networks.endCapture(path("file", request.needed("file"))));
    }
}
