package org.splitring.benchmarks;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;

/// Our store: [StoreServer] with the JVM options of the program.
final class SplitringStore implements StoreDaemon {
    private final Path socket;
    private final Process process;
    private final BufferedReader answers;
    private final PrintStream commands;

    /// @param folder for its socket
    SplitringStore(Path folder) throws IOException {
        socket = folder.resolve("socket");
        List<String> command =
                JavaProgram.command(
                        StoreServer.class,
                        "-XX:+UseSerialGC",
                        "-Xms32m",
                        "-Xmx512m",
                        "-Dio.netty.leakDetection.level=disabled");
        command.add(socket.toString());
        process =
                new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        answers = process.inputReader(StandardCharsets.UTF_8);
        commands = new PrintStream(process.getOutputStream(), true, StandardCharsets.US_ASCII);
        await("ready");
    }

    private void await(String expected) throws IOException {
        for (String line = answers.readLine(); line != null; line = answers.readLine()) {
            if (line.equals(expected)) {
                return;
            }
        }
        throw new IOException("the store has ended");
    }

    @Override
    public Process process() {
        return process;
    }

    @Override
    public Path socket() {
        return socket;
    }

    @Override
    public void connectGuests(int first, int last) throws IOException {
        commands.println("guests " + first + " " + last);
        await("done");
    }

    @Override
    public void close() {
        process.destroyForcibly();
        process.onExit().join();
    }
}
