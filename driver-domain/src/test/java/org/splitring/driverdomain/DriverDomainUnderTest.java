package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.awaitility.Awaitility;
import org.splitring.testkit.CPrograms;

/// A driver domain in a process of its own, with one disk for each domain, and the means to start
/// guests in C on it.
final class DriverDomainUnderTest implements AutoCloseable {
    static final int VDEV = 51712;

    private final Path runDir;
    private final ChildProcess process;

    /// @param domains each as `NAME:IMAGE` or `NAME:IMAGE:ro`; domids count from 1
    DriverDomainUnderTest(Path runDir, List<String> domains) throws IOException {
        this.runDir = runDir;
        List<String> arguments = new ArrayList<>(List.of(runDir.toString()));
        arguments.addAll(domains);
        process = ChildProcess.java("driver domain", DriverDomainMain.class, arguments);
        process.awaitLine("ready");
    }

    static Path image(Path folder, String name, long sizeBytes) throws IOException {
        Path image = folder.resolve(name);
        try (java.io.RandomAccessFile file = new java.io.RandomAccessFile(image.toFile(), "rw")) {
            file.setLength(sizeBytes);
        }
        return image;
    }

    Path socket(String domain) {
        return runDir.resolve(domain).resolve("attach");
    }

    ChildProcess frontend(String domain, String... options) throws IOException {
        List<String> command = new ArrayList<>(List.of(CPrograms.frontend().toString()));
        command.addAll(List.of("--socket", socket(domain).toString()));
        command.addAll(List.of(options));
        return ChildProcess.start("guest " + domain, command);
    }

    ChildProcess hostile(String domain, String scenario, int millis, long seed) throws IOException {
        return ChildProcess.start(
                "hostile " + scenario,
                List.of(
                        CPrograms.hostileGuest().toString(),
                        "--socket",
                        socket(domain).toString(),
                        "--vdev",
                        Integer.toString(VDEV),
                        scenario,
                        Integer.toString(millis),
                        Long.toString(seed)));
    }

    ChildResources resources() throws IOException {
        return ChildResources.of(process.pid());
    }

    /// Resources once they have not changed for a while: what an ended guest had is given back. On
    /// a busy machine that says little: so it is told how many guests are mapped then.
    ChildResources settledResources(int guests) throws IOException {
        ChildResources[] last = {resources()};
        int[] same = new int[1];
        Awaitility.await()
                .atMost(Duration.ofSeconds(10))
                .pollInterval(Duration.ofMillis(50))
                .until(
                        () -> {
                            ChildResources now = resources();
                            same[0] = now.equals(last[0]) ? same[0] + 1 : 0;
                            last[0] = now;
                            return same[0] >= 6 && now.guestMappings() == guests;
                        });
        return last[0];
    }

    /// Waits until the process holds no more than `baseline`.
    void awaitBaseline(ChildResources baseline) {
        ChildResources[] last = new ChildResources[1];
        Awaitility.await()
                .atMost(Duration.ofSeconds(10))
                .pollInterval(Duration.ofMillis(10))
                .conditionEvaluationListener(
                        condition -> {
                            if (condition.getRemainingTimeInMS() < 100) {
                                System.out.println("baseline " + baseline + " now " + last[0]);
                            }
                        })
                .until(
                        () -> {
                            assertTrue(process.isAlive(), process::output);
                            last[0] = resources();
                            return last[0].within(baseline);
                        });
    }

    ChildProcess process() {
        return process;
    }

    static void deleteSockets(Path runDir) throws IOException {
        try (var files = Files.walk(runDir)) {
            for (Path file : files.filter(f -> f.endsWith("attach")).toList()) {
                Files.delete(file);
            }
        }
    }

    @Override
    public void close() {
        process.close();
    }
}
