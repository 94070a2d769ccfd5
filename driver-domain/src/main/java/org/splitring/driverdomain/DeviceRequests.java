package org.splitring.driverdomain;

import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.image.DiskSource;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// What the commands share that plug devices into running guests, change them, let them stand
/// still, and take them out.
final class DeviceRequests {
    @Mixin private LabRequest lab = new LabRequest();

    @Parameters(index = "0", paramLabel = "DOMAIN", description = "Name of the guest.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private String domain;

    @Option(
            names = "--timeout",
            paramLabel = "SECONDS",
            description = "How long to wait for the two ends (default: ${DEFAULT-VALUE}).")
    private int seconds = 15;

    /// Attaches what `CLASS,KEY=VALUE...` says; relative paths are ones from here.
    void attach(List<String> words) throws CommandException {
        Map<String, Object> body = new HashMap<>();
        body.put("device", String.join(",", words));
        body.put("folder", Path.of("").toAbsolutePath().toString());
        ask("POST", ControlClient.path("domains", domain, "devices"), body);
    }

    /// Detaches `CLASS/ID`; a disk also by its name, a network interface by its MAC address.
    ///
    /// @param force without the guest's help: what it still wanted is answered with errors
    void detach(String text, boolean force) throws CommandException {
        int slash = text.indexOf('/');
        if (slash < 0) {
            throw new CommandException(
                    "\"" + text + "\" is not CLASS/ID, such as vrng/0, vbd/51728 or vbd/xvdb");
        }
        String path =
                ControlClient.path(
                        "domains",
                        domain,
                        "devices",
                        text.substring(0, slash),
                        text.substring(slash + 1));
        ask("DELETE", path, new HashMap<>(Map.of("force", force)));
    }

    /// Changes the size of a disk that is served now.
    void resizeDisk(String disk, long sizeBytes) throws CommandException {
        change(disk, Map.of("size_bytes", sizeBytes));
    }

    /// Limits a disk that is served now, and whenever the guest starts.
    ///
    /// @param limits as they were written, by their names; empty for none
    void limitDisk(String disk, Map<String, String> limits) throws CommandException {
        change(disk, Map.of("limits", limits));
    }

    /// Stops serving a disk until [#unpauseDisk]; its image is closed.
    void pauseDisk(String disk) throws CommandException {
        change(disk, Map.of("paused", true));
    }

    /// Goes on with a disk that is paused.
    ///
    /// @param image that it has from now on, `null` for the same
    void unpauseDisk(String disk, @Nullable DiskSource image) throws CommandException {
        Map<String, Object> body = new LinkedHashMap<>(Map.of("paused", false));
        if (image != null) {
            body.put("image", image.toString());
        }
        change(disk, body);
    }

    /// Lets all devices stand still.
    void suspend() throws CommandException {
        ask("POST", ControlClient.path("domains", domain, "suspend"), new HashMap<>());
    }

    /// Writes what the guest's devices are into a file.
    void save(Path file, boolean leaveRunning) throws CommandException {
        Map<String, Object> body = new HashMap<>();
        body.put("file", file.toAbsolutePath().normalize().toString());
        body.put("leave_running", leaveRunning);
        ask("POST", ControlClient.path("domains", domain, "save"), body);
    }

    /// Lets them go on.
    void resume() throws CommandException {
        ask("POST", ControlClient.path("domains", domain, "resume"), new HashMap<>());
    }

    private void change(String disk, Map<String, ?> what) throws CommandException {
        ask("PATCH", ControlClient.path("domains", domain, "disks", disk), new HashMap<>(what));
    }

    private void ask(String method, String path, Map<String, Object> body) throws CommandException {
        body.put("timeout_seconds", seconds);
        lab.send(method, path, body, Duration.ofSeconds(3L * seconds));
    }
}
