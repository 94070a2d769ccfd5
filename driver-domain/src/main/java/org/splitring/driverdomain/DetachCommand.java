package org.splitring.driverdomain;

import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.splitring.hypervisor.DomId;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Toolstack;
import org.splitring.xenbus.store.StoreException;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `splitring detach`: unplugs a device of a running guest.
@Command(
        name = "detach",
        description = {
            "Detach a device from a running guest: it finishes what it was asked, and closes."
        },
        mixinStandardHelpOptions = true,
        footer = {"", "For example: ./splitring detach web vrng/0"})
final class DetachCommand implements Callable<Integer> {
    private static final Pattern NAME = Pattern.compile("([A-Za-z0-9_-]{1,64})/([0-9]{1,9})");

    @Mixin private RunDirectoryOption runDirectory = new RunDirectoryOption();

    @Parameters(index = "0", paramLabel = "DOMAIN", description = "Name of the guest.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private String domain;

    @Parameters(index = "1", paramLabel = "CLASS/ID", description = "The device: vrng/0.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private String device;

    @Option(
            names = "--force",
            description =
                    "Do not wait for the guest: what it still wanted is answered with errors.")
    private boolean force;

    @Option(
            names = "--timeout",
            paramLabel = "SECONDS",
            description = "How long to wait for the two ends (default: ${DEFAULT-VALUE}).")
    private int seconds = 15;

    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    @Override
    public Integer call() throws CommandException, InterruptedException {
        Matcher name = NAME.matcher(device);
        if (!name.matches()) {
            throw new CommandException("\"" + device + "\" is not CLASS/ID, such as vrng/0");
        }
        try (RunningStore running = RunningStore.connect(runDirectory.path())) {
            DomId guest = running.domain(domain);
            DevicePaths paths =
                    new DevicePaths(
                            name.group(1), guest, DomId.ZERO, Integer.parseInt(name.group(2)));
            if (running.store().read(paths.backend() + "/state").isEmpty()) {
                throw new CommandException("domain " + domain + " has no device " + device);
            }
            Toolstack toolstack = new Toolstack(running.store());
            if (force) {
                toolstack.removeDevice(paths);
            } else {
                toolstack.detach(paths, Duration.ofSeconds(seconds));
            }
            new DeviceNodes(running.store()).forget(paths);
            spec.commandLine().getOut().println("detached " + device + " from " + domain);
            return 0;
        } catch (HandshakeException e) {
            throw new CommandException(
                    "detach " + device + ": " + e.getMessage() + "; --force does not wait", e);
        } catch (StoreException e) {
            throw new CommandException("store: " + e.getMessage(), e);
        }
    }
}
