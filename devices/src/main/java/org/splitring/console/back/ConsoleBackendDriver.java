package org.splitring.console.back;

import java.nio.file.Path;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.splitring.xenbus.BackendHooks;
import org.splitring.xenbus.device.BackendContext;
import org.splitring.xenbus.device.BackendDriver;
import org.splitring.xenbus.device.DeviceException;

/// Makes backends of consoles. Parameters, all of the toolstack (the guest reads them, and can
/// change nothing by what it writes elsewhere):
///
/// - `socket`: where viewers connect; without it there are none
/// - `log`: the file that takes what the guest prints; without it there is none
public final class ConsoleBackendDriver implements BackendDriver {
    /// For the service loader.
    public ConsoleBackendDriver() {}

    @Override
    public String deviceClass() {
        return "console";
    }

    @Override
    public Set<String> parameters() {
        return Set.of("socket", "log");
    }

    @Override
    public BackendHooks create(BackendContext context) throws DeviceException {
        Path logFile = path(context, "log");
        Path socket = path(context, "socket");
        ConsoleLog log = logFile == null ? null : new ConsoleLog(logFile, GuestConsole.LOG_BYTES);
        GuestConsole console = new GuestConsole(log);
        context.onEnd(console);
        if (socket != null) {
            context.expose(socket, console);
        }
        return new ConsoleBackend(context, console);
    }

    private static @Nullable Path path(BackendContext context, String key) throws DeviceException {
        Optional<String> text = context.parameter(key);
        if (text.isPresent() && !Path.of(text.get()).isAbsolute()) {
            throw new DeviceException(
                    "console: " + key + " is " + text.get() + ": give it from the root on");
        }
        return text.map(Path::of).orElse(null);
    }
}
