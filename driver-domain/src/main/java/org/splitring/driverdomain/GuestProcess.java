package org.splitring.driverdomain;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.splitring.driverdomain.lab.LabDisk;
import org.splitring.driverdomain.lab.LabDomain;

/// The process of a `java` guest, from the driver domain's side. Its standard input is held open as
/// long as it shall live; its standard output says when it is ready; its errors go to a file.
final class GuestProcess {
    private static final long STOP_SECONDS = 15;

    private final LabDomain domain;
    private final Process process;
    private final CompletableFuture<String> greeting = new CompletableFuture<>();

    private GuestProcess(LabDomain domain, Process process) {
        this.domain = domain;
        this.process = process;
    }

    static GuestProcess start(LabDomain domain, Path runDir) throws IOException {
        List<String> arguments = new ArrayList<>(List.of("guest"));
        arguments.add("--attach=" + RunDirectory.attachSocket(runDir, domain.name()));
        arguments.add("--sockets=" + RunDirectory.domain(runDir, domain.name()));
        arguments.add("--memory=" + domain.memoryMib());
        for (LabDisk disk : domain.disks()) {
            arguments.add("--disk=" + disk.device().name());
        }
        domain.tcpPort().ifPresent(port -> arguments.add("--tcp=" + port));
        Process process =
                new ProcessBuilder(JavaCommand.of(JavaCommand.SMALL, arguments))
                        .redirectError(RunDirectory.guestLog(runDir, domain.name()).toFile())
                        .start();
        GuestProcess guest = new GuestProcess(domain, process);
        Thread.ofVirtual().name("greeting of " + domain.name()).start(guest::readGreeting);
        return guest;
    }

    private void readGreeting() {
        try (BufferedReader reader =
                new BufferedReader(
                        new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
            String line = reader.readLine();
            greeting.complete(line == null ? "" : line);
            while (reader.readLine() != null) {
                // It has no more to say, and must not wait for a reader.
            }
        } catch (IOException e) {
            greeting.complete("");
        }
    }

    /// Waits until the guest's disks are exported.
    ///
    /// @throws CommandException with the guest's own reason when it gives up
    void awaitReady(long seconds, Path runDir) throws CommandException, InterruptedException {
        String said;
        try {
            said = greeting.get(seconds, TimeUnit.SECONDS);
        } catch (TimeoutException e) {
            throw new CommandException(
                    "guest " + domain.name() + " is not ready after " + seconds + " seconds", e);
        } catch (ExecutionException e) {
            throw new IllegalStateException(e);
        }
        if (said.equals(GuestCommand.READY)) {
            return;
        }
        if (said.startsWith(GuestCommand.ERROR)) {
            throw new CommandException(
                    "guest " + domain.name() + ": " + said.substring(GuestCommand.ERROR.length()));
        }
        int code = process.waitFor();
        throw new CommandException(
                "guest "
                        + domain.name()
                        + " "
                        + ending(code)
                        + " before it was ready; see "
                        + RunDirectory.guestLog(runDir, domain.name()));
    }

    LabDomain domain() {
        return domain;
    }

    long pid() {
        return process.pid();
    }

    /// Runs `listener` when the process has ended.
    void onExit(Runnable listener) {
        var ignored = process.onExit().thenRun(listener);
    }

    /// How it ended, for people.
    String ending() {
        return ending(process.exitValue());
    }

    private static String ending(int code) {
        return code > 128 ? "was killed by signal " + (code - 128) : "ended with status " + code;
    }

    /// Lets the guest close its devices and end; kills it when it does not.
    void stop() {
        try {
            process.getOutputStream().close();
        } catch (IOException e) {
            // It has ended already.
        }
        try {
            if (!process.waitFor(STOP_SECONDS, TimeUnit.SECONDS)) {
                process.destroyForcibly().waitFor();
            }
        } catch (InterruptedException e) {
            process.destroyForcibly();
            Thread.currentThread().interrupt();
        }
    }
}
