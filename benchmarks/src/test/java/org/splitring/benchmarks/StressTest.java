package org.splitring.benchmarks;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Isolated;
import org.openjdk.jcstress.infra.Status;
import org.openjdk.jcstress.infra.collectors.DiskReadCollector;
import org.openjdk.jcstress.infra.collectors.InProcessCollector;
import org.openjdk.jcstress.infra.collectors.TestResult;

/// Runs the jcstress tests of this package in JVMs of their own and looks at every outcome.
///
/// Short here; `./mvnw -pl benchmarks -am verify -Plong -Dtest=StressTest
/// -Dsurefire.failIfNoSpecifiedTests=false` takes every compiler configuration for minutes.
@Isolated
final class StressTest {
    private static final String NATIVE_ACCESS = "--enable-native-access=ALL-UNNAMED";
    private static final int ATTEMPTS = 10;
    private static final Set<String> TESTS =
            Set.of(
                    "RequestPublishStress",
                    "ResponsePublishStress",
                    "RequestWakeupStress",
                    "ResponseWakeupStress",
                    "GrantRevokeMapStress",
                    "PortCloseSendStress",
                    "WakeupWithoutFenceStress");

    @TempDir Path folder;

    @Test
    void nothingForbiddenHappensInAShortRun() throws Exception {
        // Tiered, as the program runs; under a second for each test.
        check(run(180, ".*", "-jvmArgs", NATIVE_ACCESS, "-sc", "false", "-time", "700"));
    }

    /// Without this, that nothing forbidden was seen would say nothing about the fences.
    @Test
    void withoutItsFenceTheHandshakeShowsTheLostWakeup() throws Exception {
        Map<String, Long> outcomes = Map.of();
        for (int i = 0; i < ATTEMPTS && !outcomes.containsKey("false, false"); i++) {
            // On a busy machine the two actors seldom run at the same time: then once more.
            outcomes =
                    outcomes(
                                    run(
                                            180,
                                            "WakeupWithoutFenceStress",
                                            "-jvmArgs",
                                            NATIVE_ACCESS,
                                            "-sc",
                                            "false",
                                            "-time",
                                            "1500"))
                            .getOrDefault("WakeupWithoutFenceStress", Map.of());
        }
        assertTrue(outcomes.containsKey("false, false"), "no lost wake-up: " + outcomes);
    }

    @Test
    @Tag("long")
    void nothingForbiddenHappensInAnyCompilerConfiguration() throws Exception {
        check(run(3600, ".*", "-jvmArgsPrepend", NATIVE_ACCESS, "-time", "2000"));
    }

    @BeforeEach
    void twoProcessors() {
        assumeTrue(
                Runtime.getRuntime().availableProcessors() >= 2,
                "two processors are needed to see interleavings");
    }

    private static void check(Collection<TestResult> results) {
        Map<String, Map<String, Long>> outcomes = outcomes(results);
        System.out.println("jcstress: " + outcomes);
        assertEquals(TESTS, outcomes.keySet());
        outcomes.forEach(
                (test, counts) -> {
                    long samples = counts.values().stream().mapToLong(Long::longValue).sum();
                    assertTrue(samples > 100, test + " has only " + samples + " samples");
                    counts.keySet().forEach(state -> assertAllowed(test, state));
                });
    }

    /// How often each outcome of each test was seen, over all configurations.
    private static Map<String, Map<String, Long>> outcomes(Collection<TestResult> results) {
        Map<String, Map<String, Long>> outcomes = new TreeMap<>();
        for (TestResult result : results) {
            String test = result.getName().substring(result.getName().lastIndexOf('.') + 1);
            if (result.status() != Status.NORMAL) {
                fail(test + ": " + result.status() + " " + result.getMessages());
            }
            Map<String, Long> counts = outcomes.computeIfAbsent(test, k -> new TreeMap<>());
            result.getStateKeys()
                    .forEach(state -> counts.merge(state, result.getCount(state), Long::sum));
        }
        return outcomes;
    }

    private static void assertAllowed(String test, String state) {
        Set<String> allowed =
                switch (test) {
                    case "RequestPublishStress" -> Set.of("0, 0", "1, 77");
                    case "ResponsePublishStress" -> Set.of("0, 0", "1, 37");
                    case "RequestWakeupStress", "ResponseWakeupStress" ->
                            Set.of("true, false", "false, true", "true, true");
                    case "GrantRevokeMapStress" ->
                            Set.of("1, 0, 0, 0", "1, 1, 5, 5", "0, 1, -1, 5");
                    case "PortCloseSendStress" -> Set.of("0, 0", "1, 0");
                    case "WakeupWithoutFenceStress" ->
                            Set.of("true, false", "false, true", "true, true", "false, false");
                    default -> Set.of();
                };
        assertTrue(allowed.contains(state), test + " had the forbidden outcome: " + state);
    }

    private Collection<TestResult> run(long limitSeconds, String tests, String... options)
            throws Exception {
        Path work = Files.createTempDirectory(folder, "run");
        List<String> command =
                new ArrayList<>(
                        List.of(
                                System.getProperty("java.home") + "/bin/java",
                                "-cp",
                                System.getProperty("java.class.path"),
                                "org.openjdk.jcstress.Main",
                                "-t",
                                tests,
                                "-r",
                                work.resolve("report").toString(),
                                "-f",
                                "1",
                                "-iters",
                                "1",
                                "-strideSize",
                                "64",
                                "-strideCount",
                                "64",
                                "-hs",
                                "256",
                                "-af",
                                "NONE"));
        command.addAll(List.of(options));
        Path log = work.resolve("log");
        Process process =
                new ProcessBuilder(command)
                        .directory(work.toFile())
                        .redirectErrorStream(true)
                        .redirectOutput(log.toFile())
                        .start();
        try {
            if (!process.waitFor(limitSeconds, TimeUnit.SECONDS)) {
                fail("jcstress takes longer than " + limitSeconds + " s: " + tail(log));
            }
        } finally {
            process.descendants().forEach(ProcessHandle::destroyForcibly);
            process.destroyForcibly();
        }
        Path results;
        try (Stream<Path> files = Files.list(work)) {
            results =
                    files.filter(f -> f.getFileName().toString().startsWith("jcstress-results"))
                            .findFirst()
                            .orElseThrow(() -> new AssertionError("no results: " + tail(log)));
        }
        InProcessCollector collector = new InProcessCollector();
        new DiskReadCollector(results.toString(), collector).dump();
        return collector.getTestResults();
    }

    private static String tail(Path log) {
        try {
            String text = Files.readString(log, StandardCharsets.UTF_8);
            return text.substring(Math.max(0, text.length() - 2000));
        } catch (IOException e) {
            return e.toString();
        }
    }
}
