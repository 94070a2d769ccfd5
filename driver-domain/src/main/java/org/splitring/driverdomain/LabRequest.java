package org.splitring.driverdomain;

import java.time.Duration;
import java.util.Map;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/// What the commands share that ask a running lab for something: where it is, and that they print
/// what it has done.
final class LabRequest {
    /// For what starts or ends a guest.
    static final Duration PATIENCE = Duration.ofMinutes(2);

    @Mixin private RunDirectoryOption runDirectory = new RunDirectoryOption();

    @Spec(Spec.Target.MIXEE)
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    /// Has it done, and prints what was.
    ///
    /// @param path see [ControlClient#path]
    /// @param body what becomes JSON
    /// @param limit how long the lab itself may wait for it
    void send(String method, String path, Map<String, ?> body, Duration limit)
            throws CommandException {
        new ControlClient(runDirectory.path())
                .print(method, path, body, limit, spec.commandLine().getOut());
    }
}
