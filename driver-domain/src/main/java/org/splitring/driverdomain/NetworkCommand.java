package org.splitring.driverdomain;

import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// `splitring network`: the networks of a running lab, their ports, and what they have learned.
@Command(
        name = "network",
        description = {
            "Show the networks of a running lab; of one its ports, counters and learned addresses."
        },
        mixinStandardHelpOptions = true,
        footer = {"", "For example: ./splitring network lan"})
final class NetworkCommand implements Callable<Integer> {
    @Mixin private ListOptions options = new ListOptions();

    @Parameters(
            arity = "0..1",
            paramLabel = "NETWORK",
            description = "Only this one, with its ports (default: all).")
    private @Nullable String network;

    @Override
    public Integer call() throws CommandException {
        if (network == null) {
            return all(options.control().get(ControlClient.path("networks")));
        }
        JsonNode found = options.control().get(ControlClient.path("networks", network));
        if (options.json(JsonMapper.shared().createArrayNode().add(found))) {
            return 0;
        }
        options.print(ports(found));
        if (!found.path("addresses").isEmpty()) {
            TextTable table = new TextTable("Mac Addr.", ">VLAN", "Port", ">Age");
            for (JsonNode each : found.path("addresses")) {
                table.line(
                        each.path("mac").asString(),
                        each.path("vlan").asInt(),
                        each.path("port").asString(),
                        each.path("fixed").asBoolean()
                                ? "fixed"
                                : each.path("age_seconds").asInt() + " s");
            }
            options.print(table);
        }
        return 0;
    }

    private int all(JsonNode networks) {
        if (options.json(networks)) {
            return 0;
        }
        TextTable table = new TextTable("Name", "Mode", ">MTU", ">Ports", "Subnets", "Gateways");
        for (JsonNode each : networks) {
            table.line(
                    each.path("name").asString(),
                    each.path("mode").asString(),
                    each.path("mtu").asInt(),
                    each.path("ports").size(),
                    words(each.path("subnets")),
                    words(each.path("gateways")));
        }
        options.print(table);
        return 0;
    }

    private static String words(JsonNode list) {
        StringBuilder words = new StringBuilder();
        list.forEach(each -> words.append(words.isEmpty() ? "" : " ").append(each.asString()));
        return words.toString();
    }

    private static TextTable ports(JsonNode network) {
        TextTable table =
                new TextTable(
                        "Port",
                        "To",
                        ">Frames in",
                        ">Bytes in",
                        ">Frames out",
                        ">Bytes out",
                        "Dropped");
        for (JsonNode port : network.path("ports")) {
            JsonNode counters = port.path("counters");
            StringBuilder dropped = new StringBuilder();
            for (Map.Entry<String, JsonNode> counter : counters.properties()) {
                if (counter.getKey().contains("_dropped_")) {
                    dropped.append(dropped.isEmpty() ? "" : ", ")
                            .append(counter.getKey().replace("_dropped_", " "))
                            .append(' ')
                            .append(counter.getValue().asLong());
                }
            }
            table.line(
                    port.path("name").asString(),
                    port.path("kind").asString() + " " + port.path("to").asString(),
                    counters.path("in_frames").asLong(0),
                    counters.path("in_bytes").asLong(0),
                    counters.path("out_frames").asLong(0),
                    counters.path("out_bytes").asLong(0),
                    dropped);
        }
        return table;
    }
}
