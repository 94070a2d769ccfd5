package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.splitring.hypervisor.linux.NetworkNamespace;
import tools.jackson.databind.json.JsonMapper;

/// Programs in a network namespace, as tests run them.
public final class InNamespace {
    private InNamespace() {}

    /// Runs a program, which has to succeed.
    ///
    /// @return what it has printed
    public static String run(NetworkNamespace.Entrance inside, String... command) throws Exception {
        Process process =
                new ProcessBuilder(inside.commandLine(List.of(command)))
                        .redirectErrorStream(true)
                        .start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), String.join(" ", command) + ": " + output);
        return output;
    }

    /// Runs iperf3 for a single client.
    ///
    /// @param address of the server
    /// @param options of the client, beside its `-c` and `-J`
    /// @return bytes of payload that have arrived: what is in the sender's buffer when iperf3 has
    ///     written everything need not
    public static long transfer(
            NetworkNamespace.Entrance client,
            NetworkNamespace.Entrance server,
            String address,
            List<String> options)
            throws Exception {
        Process listening =
                new ProcessBuilder(
                                server.commandLine(List.of("iperf3", "-s", "-1", "--forceflush")))
                        .redirectErrorStream(true)
                        .start();
        try {
            String line = listening.inputReader().readLine();
            while (line != null && !line.startsWith("Server listening")) {
                line = listening.inputReader().readLine();
            }
            List<String> command = new ArrayList<>(List.of("iperf3", "-J", "-c", address));
            command.addAll(options);
            String report = run(client, command.toArray(String[]::new));
            return JsonMapper.shared().readTree(report).at("/end/sum_received/bytes").longValue();
        } finally {
            listening.destroyForcibly();
        }
    }
}
