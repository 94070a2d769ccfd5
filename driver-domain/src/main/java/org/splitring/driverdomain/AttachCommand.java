package org.splitring.driverdomain;

import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.Callable;
import org.splitring.driverdomain.lab.DeviceSpec;
import org.splitring.driverdomain.lab.LabException;
import org.splitring.hypervisor.DomId;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Toolstack;
import org.splitring.xenbus.store.StoreException;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `splitring attach`: plugs a device into a running guest.
@Command(
        name = "attach",
        description = {
            "Attach a device to a running guest, and return when both ends are connected.",
            "A device that does not connect is taken away again, and the step that failed is named."
        },
        mixinStandardHelpOptions = true,
        footer = {"", "For example: ./splitring attach web 9pfs,tag=share,path=./dir"})
final class AttachCommand implements Callable<Integer> {
    @Mixin private RunDirectoryOption runDirectory = new RunDirectoryOption();

    @Parameters(index = "0", paramLabel = "DOMAIN", description = "Name of the guest.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private String domain;

    @Parameters(
            index = "1",
            paramLabel = "CLASS[,KEY=VALUE...]",
            description = "The device; a value that begins with ./ is a path.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private String device;

    @Option(
            names = "--timeout",
            paramLabel = "SECONDS",
            description = "How long to wait for the two ends (default: ${DEFAULT-VALUE}).")
    private int seconds = 15;

    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    @Override
    public Integer call() throws CommandException, LabException, InterruptedException {
        DeviceSpec wanted = DeviceSpec.parse(device, Path.of(""));
        try (RunningStore running = RunningStore.connect(runDirectory.path())) {
            DomId guest = running.domain(domain);
            DeviceNodes nodes = new DeviceNodes(running.store());
            DeviceNodes.Attached planned = nodes.plan(guest, wanted);
            Toolstack toolstack = new Toolstack(running.store());
            toolstack.attach(
                    planned.paths(),
                    planned.frontend(),
                    planned.backend(),
                    Duration.ofSeconds(seconds));
            nodes.remember(planned); // from now on the domain has it, whoever serves it
            String name = planned.paths().type() + "/" + planned.paths().device();
            spec.commandLine().getOut().println("attached " + name + " to " + domain);
            return 0;
        } catch (HandshakeException e) {
            throw new CommandException(
                    "attach " + wanted.deviceClass() + " to " + domain + ": " + e.getMessage(), e);
        } catch (StoreException e) {
            throw new CommandException("store: " + e.getMessage(), e);
        }
    }
}
