package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.splitring.driverdomain.nbd.NbdTls;

/// `splitring guest`: the process of a `java` guest. Started by `up`, to which it says one line on
/// its standard output: `ready`, or `error` and why. It ends when the store tells it to
/// (`control/shutdown`), or when it has been without a driver domain for a minute.
///
/// Nobody types its options, and a guest's start is waited for: what reads the options of the
/// commands takes a third of it, and is left out here.
final class GuestCommand {
    static final String NAME = "guest";
    static final String READY = "ready";
    static final String ERROR = "error ";

    /// Attach socket of the domain.
    private static final String ATTACH = "--attach";

    private static final String MEMORY_MIB = "--memory";

    /// Folder in which devices show themselves.
    private static final String SOCKETS = "--sockets";

    /// Loopback port on which the disks are exported too.
    private static final String TCP = "--tcp";

    /// PEM: without TLS nobody is let in there; of that certificate; whose certificates clients
    /// must show.
    private static final String TLS_CERTIFICATE = "--tls-certificate";

    private static final String TLS_KEY = "--tls-key";
    private static final String TLS_CLIENT_CA = "--tls-client-ca";

    /// A [StoreWay].
    private static final String XENSTORE = "--xenstore";

    /// A class that runs here and has the devices, where it is, and its arguments.
    private static final String CLASS = "--class";

    private static final String JAR = "--jar";
    private static final String ARGUMENT = "--arg";

    private static final Set<String> NAMES =
            Set.of(
                    ATTACH,
                    MEMORY_MIB,
                    SOCKETS,
                    TCP,
                    TLS_CERTIFICATE,
                    TLS_KEY,
                    TLS_CLIENT_CA,
                    XENSTORE,
                    CLASS,
                    JAR,
                    ARGUMENT);

    private final Map<String, List<String>> options = new HashMap<>();

    private GuestCommand() {}

    /// Runs the guest to its end.
    ///
    /// @param words each `--name=value`
    /// @return exit status
    static int run(List<String> words) throws InterruptedException {
        GuestCommand command = new GuestCommand();
        try {
            for (String word : words) {
                command.read(word);
            }
            command.serve();
            return 0;
        } catch (IOException e) {
            System.out.println(ERROR + e.getMessage());
            return 1;
        } catch (CommandException e) {
            System.err.println("splitring guest: " + e.getMessage());
            System.err.println("Guests are started by './splitring up'.");
            return 2;
        }
    }

    private void read(String word) throws CommandException {
        int end = word.indexOf('=');
        String name = end < 0 ? word : word.substring(0, end);
        if (end < 0 || !NAMES.contains(name)) {
            throw new CommandException("no such option: " + word);
        }
        options.computeIfAbsent(name, first -> new ArrayList<>()).add(word.substring(end + 1));
    }

    private void serve() throws CommandException, IOException, InterruptedException {
        Path attach = Path.of(needed(ATTACH));
        Path sockets = Path.of(needed(SOCKETS));
        int memoryMib = number(needed(MEMORY_MIB));
        StoreWay way = option(XENSTORE).map(StoreWay::valueOf).orElse(StoreWay.SOCKET);
        try (GuestProgram program = new GuestProgram(attach, memoryMib, way)) {
            Optional<String> className = option(CLASS);
            if (className.isPresent()) {
                program.serveClass(
                        sockets,
                        Path.of(needed(JAR)),
                        className.get(),
                        options.getOrDefault(ARGUMENT, List.of()));
            } else {
                @Nullable Integer port = option(TCP).isPresent() ? number(needed(TCP)) : null;
                program.serveDevices(sockets, port, tls());
            }
            System.out.println(READY);
            program.openConsole(sockets);
            program.awaitEnd();
        }
    }

    private @Nullable NbdTls tls() throws CommandException, IOException {
        if (option(TLS_CERTIFICATE).isEmpty()) {
            return null;
        }
        return NbdTls.load(
                Path.of(needed(TLS_CERTIFICATE)),
                Path.of(needed(TLS_KEY)),
                option(TLS_CLIENT_CA).map(Path::of).orElse(null));
    }

    private Optional<String> option(String name) {
        return Optional.ofNullable(options.get(name)).map(List::getLast);
    }

    private String needed(String name) throws CommandException {
        return option(name).orElseThrow(() -> new CommandException(name + " is missing"));
    }

    private static int number(String text) throws CommandException {
        try {
            return Integer.parseInt(text);
        } catch (NumberFormatException e) {
            throw new CommandException("not a number: " + text, e);
        }
    }
}
