package org.splitring.driverdomain;

import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/// What every command has that lists something of a running lab.
final class ListOptions {
    private static final JsonMapper PRETTY =
            JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).build();

    @Mixin private RunDirectoryOption runDirectory = new RunDirectoryOption();

    @Option(
            names = "--json",
            description = "As JSON, with everything that the control API says of it.")
    private boolean json;

    @Spec(Spec.Target.MIXEE)
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    /// The running lab.
    ControlClient control() {
        return new ControlClient(runDirectory.path());
    }

    /// The domains of the running lab.
    ///
    /// @param only one of them; `null` for all
    JsonNode domains(@Nullable String only) throws CommandException {
        if (only == null) {
            return control().get(ControlClient.path("domains"));
        }
        JsonNode found = control().get(ControlClient.path("domains", only));
        return JsonMapper.shared().createArrayNode().add(found);
    }

    /// Prints JSON, when that is wanted.
    ///
    /// @return whether it was
    boolean json(JsonNode all) {
        if (json) {
            spec.commandLine().getOut().println(PRETTY.writeValueAsString(all));
        }
        return json;
    }

    void print(String line) {
        spec.commandLine().getOut().println(line);
    }

    void print(TextTable table) {
        table.lines().forEach(spec.commandLine().getOut()::println);
    }
}
