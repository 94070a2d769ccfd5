package org.splitring.driverdomain;

import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;

/// `splitring doctor`: what is wrong with a running lab, and what to do.
@Command(
        name = "doctor",
        description = {
            "Look at the devices and networks of a running lab: what both halves have agreed on,",
            "what is wrong, and what to do about it."
        },
        mixinStandardHelpOptions = true,
        exitCodeListHeading = "Exit status:%n",
        exitCodeList = {
            "0:nothing is wrong",
            "1:the lab cannot be looked at",
            "3:something is wrong"
        },
        footer = {
            "",
            "For example: ./splitring doctor",
            "             ./splitring doctor web --json"
        })
final class DoctorCommand implements Callable<Integer> {
    private static final int SOMETHING_WRONG = 3;

    @Mixin private ListOptions options = new ListOptions();

    @Parameters(
            arity = "0..1",
            paramLabel = "DOMAIN",
            description = "Only this one (default: all, and the networks).")
    private @Nullable String domain;

    @Override
    public Integer call() throws CommandException {
        Examination examination = new Examination();
        for (JsonNode each : options.domains(domain)) {
            examination.domain(each);
        }
        if (domain == null) {
            options.control().get(ControlClient.path("networks")).forEach(examination::network);
        }
        if (!options.json(examination.toJson())) {
            options.print(examination.devices());
            options.print("");
            options.print(
                    examination.findings().isEmpty()
                            ? "nothing is wrong"
                            : examination.findings().size() + " things to look at:");
            for (Examination.Finding finding : examination.findings()) {
                options.print("  " + finding.place() + ": " + finding.what());
                options.print("      " + finding.advice());
            }
        }
        return examination.findings().isEmpty() ? 0 : SOMETHING_WRONG;
    }
}
