package org.splitring.driverdomain;

import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;

/// `splitring block-list`: the disks of running guests.
@Command(
        name = "block-list",
        description = "List the disks of a running lab's domains.",
        mixinStandardHelpOptions = true,
        footer = {"", "For example: ./splitring block-list web"})
final class BlockListCommand implements Callable<Integer> {
    @Mixin private ListOptions options = new ListOptions();

    @Parameters(
            arity = "0..1",
            paramLabel = "DOMAIN",
            description = "Only of this one (default: of all).")
    private @Nullable String domain;

    @Override
    public Integer call() throws CommandException {
        JsonNode domains = options.domains(domain);
        if (options.json(DeviceRows.of(domains, "vbd"))) {
            return 0;
        }
        TextTable table =
                new TextTable(
                        "Domain", "Disk", ">Vdev", "Mode", "State", "evt-ch", ">Queues", ">Size",
                        "Image");
        for (JsonNode each : domains) {
            for (JsonNode device : DeviceRows.devices(each, "vbd")) {
                JsonNode front = device.path("frontend");
                JsonNode back = device.path("backend");
                table.line(
                        each.path("name").asString(),
                        back.path("dev").asString("-"),
                        device.path("id").asInt(),
                        back.path("mode").asString("-"),
                        device.path("backend_state").asString(),
                        front.path("event-channel").asString("-"),
                        front.path("multi-queue-num-queues").asString("1"),
                        DeviceRows.size(back),
                        back.path("params").asString("-"));
            }
        }
        options.print(table);
        return 0;
    }
}
