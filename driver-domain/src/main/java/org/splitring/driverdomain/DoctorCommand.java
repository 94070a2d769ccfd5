package org.splitring.driverdomain;

import java.time.Duration;
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
            "Look at the devices and networks of a running lab, twice within a second: what both",
            "halves have agreed on, where their rings stand, what is wrong, and what to do about it.",
            "",
            "Of a ring, req_prod and rsp_event are the guest's and shown as they were found in shared",
            "memory; the others are ours. Waiting are requests that were not taken (of rx rings: free",
            "buffers), under way those without an answer; sent and received are events. Of rings of",
            "bytes there are out_prod and out_cons, in_prod, and what waits in both directions."
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

    /// What stands still for so long is looked at closer.
    private static final Duration APART = Duration.ofMillis(500);

    @Mixin private ListOptions options = new ListOptions();

    @Parameters(
            arity = "0..1",
            paramLabel = "DOMAIN",
            description = "Only this one (default: all, and the networks).")
    private @Nullable String domain;

    @Override
    public Integer call() throws CommandException, InterruptedException {
        JsonNode before = options.domains(domain);
        JsonNode ringsBefore = rings();
        Thread.sleep(APART);
        Examination examination = new Examination(before, ringsBefore, rings());
        for (JsonNode each : options.domains(domain)) {
            examination.domain(each);
        }
        if (domain == null) {
            options.control().get(ControlClient.path("networks")).forEach(examination::network);
        }
        if (!options.json(examination.toJson())) {
            options.print(examination.devices());
            options.print("");
            options.print(examination.rings());
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

    private JsonNode rings() throws CommandException {
        return options.control()
                .get(
                        domain == null
                                ? ControlClient.path("rings")
                                : ControlClient.path("domains", domain, "rings"));
    }
}
