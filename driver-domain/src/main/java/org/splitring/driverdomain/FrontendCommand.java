package org.splitring.driverdomain;

import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import org.splitring.hypervisor.xen.XenDevices;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// `splitring frontend`: uses devices that xl gave to the Xen domain that this runs in.
@Command(
        name = "frontend",
        description = {
            "Use disks and network interfaces that xl has attached to this domain of Xen, on"
                    + " whatever backends they are, Linux's own too; until they are detached or it"
                    + " is told to stop.",
            "A disk is offered over NBD on a socket; an interface is in a network namespace of its"
                    + " own."
        },
        mixinStandardHelpOptions = true,
        footer = {
            "",
            "For example, in dom0, on Linux's blkback (xen-blkfront must not be loaded):",
            "  xl block-attach 0 format=raw,vdev=xvda,access=rw,target=/dev/loop0",
            "  ./splitring frontend vbd/51712 --sockets /run/disks",
            "  nbdinfo nbd+unix:///?socket=/run/disks/xvda.nbd",
            "docs/xen.md says what is possible from user space, and what is not."
        })
final class FrontendCommand implements Callable<Integer> {
    @Mixin private XenStoreOption store = new XenStoreOption();

    @Option(
            names = "--memory",
            paramLabel = "MIB",
            description =
                    "Memory that the devices share with their backends, for all of their buffers"
                            + " (default: ${DEFAULT-VALUE}). The module xen-gntalloc has a limit.")
    private int memoryMib = 16;

    @Option(
            names = "--sockets",
            paramLabel = "DIR",
            description = "Where disks are offered: xvda.nbd (default: ${DEFAULT-VALUE}).")
    private Path sockets = Path.of("/run/splitring-frontend");

    @Parameters(
            arity = "1..*",
            paramLabel = "CLASS/DEVICE",
            description = "The devices, as they are called in this domain's folder device/.")
    private List<String> devices = List.of();

    private final StopSignal stop = new StopSignal();

    @Override
    public Integer call() throws CommandException, InterruptedException {
        XenFrontends.Choices choices = choices();
        stop.install();
        try (XenFrontends frontends = XenFrontends.start(choices, stop::storeLost)) {
            frontends.whenAllEnded(stop::stop);
            System.out.println(
                    "connected: "
                            + String.join(", ", choices.devices())
                            + "; process "
                            + ProcessHandle.current().pid());
            stop.await();
        }
        stop.checkStore(choices.store());
        return 0;
    }

    private XenFrontends.Choices choices() throws CommandException {
        if (memoryMib < 1 || memoryMib > 1024) {
            throw new CommandException("--memory " + memoryMib + " is not between 1 and 1024");
        }
        Set<String> names = new LinkedHashSet<>();
        for (String device : devices) {
            if (!device.matches("(vbd|vif)/(0|[1-9][0-9]{0,8})")) {
                throw new CommandException(
                        "\"" + device + "\" is no device: say vbd/51712 or vif/0");
            }
            if (!names.add(device)) {
                throw new CommandException(device + " is there twice");
            }
        }
        XenFrontends.checkPlace(XenDevices.USUAL);
        return new XenFrontends.Choices(store.way(), names, memoryMib, sockets);
    }
}
