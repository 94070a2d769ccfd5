package org.splitring.driverdomain;

import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;

/// `splitring list`: the domains of a running lab, as `xl list` has them.
@Command(
        name = "list",
        description = "List the domains of a running lab.",
        mixinStandardHelpOptions = true,
        footer = {
            "",
            "State is running, suspended (resume lets it go on), stopped (start runs it again),",
            "or waiting (an external domain to which nobody is attached).",
            "",
            "For example: ./splitring list",
            "             ./splitring list --json web"
        })
final class ListCommand implements Callable<Integer> {
    @Mixin private ListOptions options = new ListOptions();

    @Parameters(
            arity = "0..1",
            paramLabel = "DOMAIN",
            description = "Only this one (default: all).")
    private @Nullable String domain;

    @Override
    public Integer call() throws CommandException {
        JsonNode domains = options.domains(domain);
        if (options.json(domains)) {
            return 0;
        }
        TextTable table = new TextTable("Name", ">ID", ">Mem", "Guest", ">PID", "State", "Devices");
        for (JsonNode each : domains) {
            table.line(
                    each.path("name").asString(),
                    each.path("domid").asInt(),
                    each.path("memory_mib").asInt(),
                    each.path("guest").asString(),
                    each.path("pid").isNumber() ? each.path("pid").asLong() + "" : "-",
                    state(each),
                    devices(each));
        }
        options.print(table);
        return 0;
    }

    static String state(JsonNode domain) {
        if (domain.path("attached").asBoolean()) {
            return domain.path("suspended").asBoolean() ? "suspended" : "running";
        }
        return domain.path("guest").asString().equals("java") ? "stopped" : "waiting";
    }

    private static String devices(JsonNode domain) {
        StringBuilder names = new StringBuilder();
        for (JsonNode device : domain.path("devices")) {
            names.append(names.isEmpty() ? "" : " ").append(device.path("name").asString());
        }
        return names.toString();
    }
}
