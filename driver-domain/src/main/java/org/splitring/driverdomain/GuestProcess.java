package org.splitring.driverdomain;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;
import org.splitring.driverdomain.lab.LabDisk;
import org.splitring.driverdomain.lab.LabDomain;
import org.splitring.driverdomain.lab.LabVif;

/// The process of a `java` guest, from the driver domain's side: one that we have started, or one
/// that an earlier driver domain has started and that lives on.
///
/// It has no need of us: its standard output says once when it is ready, its errors go to a file,
/// and it is stopped through the store, as a guest of Xen's.
final class GuestProcess {
    private static final long LOOK_NANOS = TimeUnit.MILLISECONDS.toNanos(2);
    private static final long ADOPTED_LOOK_NANOS = TimeUnit.MILLISECONDS.toNanos(500);
    private static final long KILL_NANOS = TimeUnit.SECONDS.toNanos(10);

    private final LabDomain domain;
    private final ProcessIdentity identity;
    private final @Nullable Process child; // null: not ours, adopted
    private final CompletableFuture<String> greeting = new CompletableFuture<>();

    private GuestProcess(LabDomain domain, ProcessIdentity identity, @Nullable Process child) {
        this.domain = domain;
        this.identity = identity;
        this.child = child;
    }

    private static List<String> arguments(LabDomain domain, Path runDir) {
        List<String> arguments = new ArrayList<>(List.of(GuestCommand.NAME));
        arguments.add("--attach=" + RunDirectory.attachSocket(runDir, domain.name()));
        arguments.add("--sockets=" + RunDirectory.domain(runDir, domain.name()));
        arguments.add("--memory=" + domain.memoryMib());
        domain.tcpPort().ifPresent(port -> arguments.add("--tcp=" + port));
        domain.tls()
                .ifPresent(
                        tls -> {
                            arguments.add("--tls-certificate=" + tls.certificate());
                            arguments.add("--tls-key=" + tls.key());
                            tls.clientCa().ifPresent(ca -> arguments.add("--tls-client-ca=" + ca));
                        });
        domain.program()
                .ifPresent(
                        program -> {
                            arguments.add("--class=" + program.className());
                            arguments.add("--jar=" + program.jar());
                            program.arguments().forEach(word -> arguments.add("--arg=" + word));
                        });
        return arguments;
    }

    /// All that a guest was started with. It finds its disks in the store, and keeps those that
    /// it has: other disks or interfaces in the lab file make it another guest.
    private static List<String> beginning(LabDomain domain, Path runDir) {
        List<String> words = new ArrayList<>(arguments(domain, runDir));
        for (LabDisk disk : domain.disks()) {
            String access = disk.readOnly() ? "ro" : "rw";
            words.add("disk " + disk.device().name() + " " + access + " " + disk.source());
        }
        for (LabVif vif : domain.vifs()) {
            words.add("vif " + vif.network() + " " + vif.frontendKeys());
        }
        return words;
    }

    static GuestProcess start(LabDomain domain, Path runDir) throws IOException {
        List<String> arguments = arguments(domain, runDir);
        Process process =
                new ProcessBuilder(JavaCommand.guest(arguments))
                        .redirectInput(Path.of("/dev/null").toFile())
                        .redirectError(RunDirectory.guestLog(runDir, domain.name()).toFile())
                        .start();
        ProcessIdentity identity =
                ProcessIdentity.of(process.pid())
                        .orElseThrow(() -> new IOException("it ended at once"));
        new GuestRecord(identity, beginning(domain, runDir))
                .write(RunDirectory.domain(runDir, domain.name()));
        GuestProcess guest = new GuestProcess(domain, identity, process);
        Thread.ofVirtual()
                .name("greeting of " + domain.name())
                .start(() -> guest.readGreeting(process));
        return guest;
    }

    /// The guest that an earlier driver domain has left for this domain.
    ///
    /// @return nothing when there is none, or one that was started otherwise than we would
    static Optional<GuestProcess> adopt(LabDomain domain, Path runDir) throws IOException {
        return GuestRecord.living(RunDirectory.domain(runDir, domain.name()))
                .filter(record -> record.arguments().equals(beginning(domain, runDir)))
                .map(record -> new GuestProcess(domain, record.process(), null));
    }

    private void readGreeting(Process process) {
        try (BufferedReader reader =
                new BufferedReader(
                        new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                if (line.equals(GuestCommand.READY) || line.startsWith(GuestCommand.ERROR)) {
                    greeting.complete(line); // the first counts
                } // else it is not for us, and must not wait for a reader
            }
            greeting.complete("");
        } catch (IOException e) {
            greeting.complete("");
        }
    }

    /// Waits until the disks of a guest that we have started are exported.
    ///
    /// @throws CommandException with the guest's own reason when it gives up
    void awaitReady(long seconds, Path runDir) throws CommandException, InterruptedException {
        if (child == null) {
            return;
        }
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
        child.waitFor();
        throw new CommandException(
                "guest "
                        + domain.name()
                        + " "
                        + ending()
                        + " before it was ready; see "
                        + RunDirectory.guestLog(runDir, domain.name()));
    }

    LabDomain domain() {
        return domain;
    }

    boolean isAdopted() {
        return child == null;
    }

    boolean isAlive() {
        return identity.isAlive();
    }

    long pid() {
        return identity.pid();
    }

    /// Runs `listener` when the process has ended.
    void onExit(Runnable listener) {
        Process ours = child;
        if (ours != null) {
            var ignored = ours.onExit().thenRun(listener);
            return;
        }
        Thread.ofVirtual()
                .name("end of " + domain.name())
                .start(
                        () -> {
                            while (identity.isAlive()) {
                                LockSupport.parkNanos(ADOPTED_LOOK_NANOS);
                            }
                            listener.run();
                        });
    }

    /// How it ended, for people. Of a process that is not our child nobody tells us.
    String ending() {
        if (child == null) {
            return "has ended";
        }
        int code = child.exitValue();
        return code > 128 ? "was killed by signal " + (code - 128) : "ended with status " + code;
    }

    /// Waits for its end; kills it when the time is over, or at once when there is none.
    void awaitEnd(long seconds) {
        if (!isGoneWithin(TimeUnit.SECONDS.toNanos(seconds))) {
            identity.kill();
            isGoneWithin(KILL_NANOS);
        }
    }

    /// The kernel tells only parents of an end: for others one looks.
    private boolean isGoneWithin(long nanos) {
        long start = System.nanoTime();
        while (identity.isAlive()) {
            if (System.nanoTime() - start >= nanos) {
                return false;
            }
            LockSupport.parkNanos(LOOK_NANOS);
        }
        return true;
    }
}
