package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Map;
import java.util.OptionalInt;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.splitring.driverdomain.control.ControlServer;
import org.splitring.driverdomain.control.Events;
import org.splitring.driverdomain.control.Routes;
import org.splitring.driverdomain.control.Tokens;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;
import org.splitring.xenbus.store.Watch;
import tools.jackson.databind.PropertyNamingStrategies;
import tools.jackson.databind.json.JsonMapper;

/// The control API of a running lab, where others reach it: a Unix socket in the run directory, and
/// a port of loopback when somebody wants one. It has a loop of its own, so nothing that is asked
/// waits for data, or data for it.
final class LabApi implements AutoCloseable {
    /// How records become JSON: `size_bytes`.
    static final JsonMapper JSON =
            JsonMapper.builder()
                    .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
                    .build();

    private static final String BACKENDS = "/local/domain/0/backend";
    private static final Pattern STATE =
            Pattern.compile(BACKENDS + "/([^/]+)/([0-9]+)/([0-9]+)/state");

    private final Deque<AutoCloseable> undoings = new ArrayDeque<>();

    private LabApi() {}

    /// Begins to answer.
    ///
    /// @throws CommandException when the port is in use
    static LabApi open(
            RunningLab lab, Routes routes, Store control, Events events, OptionalInt httpPort)
            throws CommandException {
        LabApi api = new LabApi();
        boolean complete = false;
        try {
            NettyDeviceLoops loops = new NettyDeviceLoops("control", 1, 0);
            api.undoings.push(loops);
            ExecutorService workers =
                    Executors.newThreadPerTaskExecutor(
                            Thread.ofVirtual().name("control ", 0).factory());
            api.undoings.push(workers);
            ControlServer server =
                    new ControlServer(
                            routes.open("/openapi.json", WebPages::openApi)
                                    .open("/", WebPages::index)
                                    .open("/web/{file}", WebPages::file),
                            JSON,
                            workers,
                            loops.next().eventLoop());
            api.undoings.push(server);
            server.listen(RunDirectory.controlSocket(lab.runDir()));
            if (httpPort.isPresent()) {
                api.listen(server, lab.runDir(), httpPort.getAsInt());
            }
            api.undoings.push(new FlightEvents(lab.meters()));
            Watch watch = control.watch(BACKENDS, path -> tell(control, events, path));
            api.undoings.push(watch);
            complete = true;
            return api;
        } catch (IOException e) {
            throw new CommandException(String.valueOf(e.getMessage()), e);
        } catch (StoreException e) {
            throw new CommandException("store: " + e.getMessage(), e);
        } finally {
            if (!complete) {
                api.close();
            }
        }
    }

    private void listen(ControlServer server, Path runDir, int port) throws IOException {
        Path file = RunDirectory.tokens(runDir);
        Tokens tokens = Files.exists(file) ? Tokens.load(file) : Tokens.make(file);
        server.listen(port, tokens);
    }

    /// What a browser opens to see and steer the lab.
    static String page(Path runDir, int port) throws IOException {
        return "http://localhost:"
                + port
                + "/#"
                + Tokens.load(RunDirectory.tokens(runDir)).change();
    }

    private static void tell(Store control, Events events, String path) {
        Matcher state = STATE.matcher(path);
        if (!state.matches()) {
            return;
        }
        try {
            String folder = path.substring(0, path.lastIndexOf('/'));
            String type = state.group(1);
            int guest = Integer.parseInt(state.group(2));
            int device = Integer.parseInt(state.group(3));
            String now = LabViews.state(control, folder);
            FlightEvents.state(type, guest, device, now);
            events.publish(
                    "device",
                    Map.of("type", type, "domid", guest, "id", device, "backend_state", now));
        } catch (StoreException e) {
            // the store has been closed: there is nobody to tell
        }
    }

    @Override
    public void close() {
        while (!undoings.isEmpty()) {
            try {
                undoings.pop().close();
            } catch (Exception e) {
                throw new IllegalStateException("the control API cannot be closed", e);
            }
        }
    }
}
