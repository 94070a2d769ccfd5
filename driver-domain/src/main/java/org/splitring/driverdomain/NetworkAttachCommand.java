package org.splitring.driverdomain;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/// `splitring network-attach`: `attach` of a network interface, as xl has it.
@Command(
        name = "network-attach",
        description = "Attach a network interface: the same as attach DOMAIN vif VIF.",
        mixinStandardHelpOptions = true,
        footer = {"", "For example: ./splitring network-attach web bridge=lan,ip=10.20.0.9"})
final class NetworkAttachCommand implements Callable<Integer> {
    @Mixin private DeviceRequests command = new DeviceRequests();

    @Parameters(
            index = "1..*",
            paramLabel = "VIF",
            description = "The interface in xl's syntax, in one word or several.")
    private List<String> vif = List.of();

    @Override
    public Integer call() throws CommandException {
        List<String> words = new ArrayList<>(vif);
        words.addFirst("vif");
        command.attach(words);
        return 0;
    }
}
