package org.splitring.driverdomain;

import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/// `splitring network-limit`: how fast an interface may send.
@Command(
        name = "network-limit",
        description = "Limit what a running guest may send; without RATE it has no limit.",
        mixinStandardHelpOptions = true,
        footer = {"", "For example: ./splitring network-limit web 0 100Mb/s"})
final class NetworkLimitCommand implements Callable<Integer> {
    @Mixin private LabRequest lab = new LabRequest();

    @Parameters(index = "0", paramLabel = "DOMAIN", description = "Name of the guest.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private String domain;

    @Parameters(
            index = "1",
            paramLabel = "VIF",
            description = "Number or MAC address of the interface.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private String vif;

    @Parameters(
            index = "2",
            arity = "0..1",
            paramLabel = "RATE",
            description = "As xl's rate=: 10MB/s, 100Mb/s@20ms.")
    private String rate = "";

    @Override
    public Integer call() throws CommandException {
        lab.send(
                "PATCH",
                ControlClient.path("domains", domain, "vifs", vif),
                Map.of("rate", rate),
                LabRequest.PATIENCE);
        return 0;
    }
}
