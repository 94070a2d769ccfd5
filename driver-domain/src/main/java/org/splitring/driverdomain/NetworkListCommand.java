package org.splitring.driverdomain;

import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;

/// `splitring network-list`: the network interfaces of running guests.
@Command(
        name = "network-list",
        description = "List the network interfaces of a running lab's domains.",
        mixinStandardHelpOptions = true,
        footer = {"", "For example: ./splitring network-list web"})
final class NetworkListCommand implements Callable<Integer> {
    @Mixin private ListOptions options = new ListOptions();

    @Parameters(
            arity = "0..1",
            paramLabel = "DOMAIN",
            description = "Only of this one (default: of all).")
    private @Nullable String domain;

    @Override
    public Integer call() throws CommandException {
        JsonNode domains = options.domains(domain);
        if (options.json(DeviceRows.of(domains, "vif"))) {
            return 0;
        }
        TextTable table =
                new TextTable(
                        "Domain",
                        ">Idx",
                        "Mac Addr.",
                        "Network",
                        "State",
                        "tx/rx evt-ch",
                        ">Queues",
                        ">MTU",
                        "Addresses");
        for (JsonNode each : domains) {
            for (JsonNode device : DeviceRows.devices(each, "vif")) {
                JsonNode front = device.path("frontend");
                JsonNode back = device.path("backend");
                String one = front.path("event-channel").asString("-");
                table.line(
                        each.path("name").asString(),
                        device.path("id").asInt(),
                        back.path("mac").asString("-"),
                        back.path("bridge").asString("-"),
                        device.path("backend_state").asString(),
                        front.path("event-channel-tx").asString(one)
                                + "/"
                                + front.path("event-channel-rx").asString(one),
                        front.path("multi-queue-num-queues").asString("1"),
                        back.path("mtu").asString("-"),
                        back.path("ip").asString(""));
            }
        }
        options.print(table);
        return 0;
    }
}
