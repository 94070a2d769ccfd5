package org.splitring.benchmarks.stress;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.RandomAccessFile;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.benchmarks.StressCommand;
import picocli.CommandLine;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// That every load runs, checks, and writes what it promises. Says nothing about speed.
final class StressCommandTest {
    private static final List<String> SHORT = List.of("--warm-up", "0.1", "--runs", "2");
    private static final List<String> ONCE = List.of("--warm-up", "0", "--runs", "1");
    private static final String SECONDS = "--seconds=0.2";

    @TempDir private Path folder;

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private int run(String... arguments) {
        return new CommandLine(new StressCommand())
                .setOut(new PrintWriter(out))
                .setErr(new PrintWriter(err))
                .execute(arguments);
    }

    private int run(List<String> more, String... arguments) {
        List<String> all = new ArrayList<>(List.of(arguments));
        all.addAll(more);
        return run(all.toArray(String[]::new));
    }

    private JsonNode json(Path file) throws Exception {
        return JsonMapper.shared().readTree(Files.readString(file));
    }

    private Path report(String... arguments) {
        Path file = folder.resolve("report" + folder.toFile().list().length + ".json");
        List<String> more = new ArrayList<>(SHORT);
        more.addAll(List.of("--json", file.toString()));
        if (!List.of(arguments).contains("--seconds=1")) {
            more.add(SECONDS);
        }
        assertEquals(0, run(more, arguments), err::toString);
        return file;
    }

    @Test
    void blockReportsKindsIntervalsCoresAndSpread() throws Exception {
        Path page = folder.resolve("block.html");
        Path file =
                report(
                        "block",
                        "--guests=2",
                        "--disks=2",
                        "--queues=2",
                        "--depth=4",
                        "--image-size=1M",
                        "--mix=read=70,write=20,flush=5,discard=5",
                        "--html=" + page);
        JsonNode json = json(file);
        assertEquals(StressResult.FORMAT, json.get("format").asString());
        assertEquals("complete", json.get("outcome").asString());
        assertEquals("2", json.get("settings").get("guests").asString());
        assertTrue(json.get("machine").get("processors").asInt() > 0);
        assertEquals("block", json.get("command").get(0).asString());
        JsonNode point = json.get("points").get(0);
        assertEquals(2, point.get("runs").size());
        JsonNode run = point.get("runs").get(0);
        List<String> kinds = new ArrayList<>();
        for (JsonNode kind : run.get("kinds")) {
            kinds.add(kind.get("kind").asString());
            assertTrue(kind.get("answered").asLong() > 0, kind::toString);
            JsonNode latency = kind.get("latency");
            long p50 = latency.get("p50Nanos").asLong();
            assertTrue(p50 > 0 && p50 <= latency.get("p999Nanos").asLong(), latency::toString);
            assertTrue(latency.get("hdr").asString().startsWith("HISTFAAA"));
            assertTrue(kind.get("service").isNull(), "a closed loop has no intended start");
        }
        assertEquals(List.of("read", "write", "flush", "discard"), kinds);
        assertTrue(run.get("intervals").size() >= 2, run::toString);
        assertEquals(json.get("machine").get("processors").asInt(), run.get("corePercent").size());
        assertTrue(run.get("counts").get("checked").asLong() > 0);
        JsonNode metric = point.get("metrics").get(0);
        assertEquals("read rate", metric.get("name").asString());
        assertEquals(2, metric.get("values").size());
        assertTrue(metric.get("min").asDouble() <= metric.get("median").asDouble());
        assertTrue(out.toString().contains("2 guests, 2 runs: "), out::toString);
        assertTrue(err.toString().contains("run 1 of 2"), err::toString);
        String html = Files.readString(page);
        assertTrue(html.contains("<svg") && html.contains("prefers-color-scheme:dark"));
        assertFalse(html.contains("<script"), "the page runs nothing");
        assertFalse(html.contains("src=") || html.contains("href="), "the page loads nothing");
        try (Stream<Path> left = Files.list(Path.of("/dev/shm"))) {
            assertTrue(
                    left.noneMatch(p -> p.getFileName().toString().contains("splitring-stress")));
        }
    }

    @Test
    void aRateIsKeptAndBothLatenciesAreThere() throws Exception {
        JsonNode json = json(report("block", "--rate=500", "--arrivals=poisson", "--seconds=1"));
        JsonNode kind = json.get("points").get(0).get("runs").get(0).get("kinds").get(0);
        assertFalse(kind.get("service").isNull());
        assertEquals("open", json.get("settings").get("loop").asString());
        double rate = 0;
        for (JsonNode each : json.get("points").get(0).get("runs").get(0).get("kinds")) {
            rate += each.get("perSecond").asDouble();
        }
        assertEquals(500, rate, 200);
        assertTrue(out.toString().contains("read service"), out::toString);
    }

    @Test
    void netDeliversEveryFrameInOrder() throws Exception {
        JsonNode json =
                json(report("net", "--pairs=2", "--bidirectional", "--streams=2", "--window=32"));
        JsonNode run = json.get("points").get(0).get("runs").get(1);
        assertTrue(run.get("counts").get("checked").asLong() > 100, run::toString);
        assertEquals(0, run.get("counts").get("reordered").asLong());
        assertEquals(0, run.get("counts").get("duplicated").asLong());
        assertEquals(0, run.get("counts").get("lost").asLong());
    }

    @ParameterizedTest
    @ValueSource(strings = {"--placement=threads", "--placement=processes"})
    void ringAnswersEveryRequest(String placement) throws Exception {
        JsonNode json = json(report("ring", placement, "--rate=1k"));
        assertTrue(
                json.get("points").get(0).get("runs").get(0).get("counts").get("checked").asLong()
                        > 50,
                json::toString);
    }

    @Test
    void scaleHasAPointForEachNumberOfGuests() throws Exception {
        Path page = folder.resolve("scale.html");
        JsonNode json =
                json(
                        report(
                                "scale",
                                "--guests=1,2,4",
                                "--image-size=512k",
                                "--depth=4",
                                "--html=" + page));
        List<String> names = new ArrayList<>();
        json.get("points").forEach(point -> names.add(point.get("name").asString()));
        assertEquals(List.of("1 guest", "2 guests", "4 guests"), names);
        assertTrue(Files.readString(page).contains("By the number of guests"));
        JsonNode net = json(report("scale", "net", "--guests=2,4"));
        assertEquals(2, net.get("points").size());
    }

    @Test
    void idleGuestsAreAllThereAfterwards() throws Exception {
        JsonNode point = json(report("idle", "--guests=4")).get("points").get(0);
        JsonNode run = point.get("runs").get(0);
        assertEquals(4, run.get("kinds").get(0).get("answered").asInt());
        assertEquals("frame", run.get("kinds").get(1).get("kind").asString());
        assertEquals(4, run.get("kinds").get(1).get("answered").asInt());
        assertTrue(out.toString().contains("idle, % of a core"), out::toString);
    }

    @Test
    void compareNamesOtherSettingsAndJudges() throws Exception {
        Path a = report("ring", "--depth=4");
        Path b = report("ring", "--depth=8");
        assertEquals(0, run("compare", a.toString(), a.toString()), err::toString);
        assertFalse(out.toString().contains("not the same"), out::toString);
        assertEquals(0, run("compare", a.toString(), b.toString()), err::toString);
        assertTrue(out.toString().contains("  depth: 4 in A, 8 in B"), out::toString);

        // A B whose p99 is ten times that of A, in every run.
        StressResult good = StressResult.read(a);
        StressPoint point = good.points().getFirst();
        List<StressMetric> worse =
                point.metrics().stream()
                        .map(
                                m ->
                                        m.name().equals("request p99")
                                                ? StressMetric.of(
                                                        m.name(),
                                                        m.unit(),
                                                        m.better(),
                                                        m.values().stream()
                                                                .map(v -> 1e9 + v / 1000)
                                                                .toList())
                                                : m)
                        .toList();
        StressResult bad =
                new StressResult(
                        good.format(),
                        good.test(),
                        good.settings(),
                        good.machine(),
                        good.command(),
                        good.began(),
                        good.outcome(),
                        good.failure(),
                        List.of(
                                new StressPoint(
                                        point.name(), point.guests(), point.runs(), worse)));
        Path written = Files.writeString(folder.resolve("bad.json"), bad.toJson());
        assertEquals(0, run("compare", a.toString(), written.toString()));
        assertEquals(3, run("compare", "--fail-on-worse", a.toString(), written.toString()));
        assertEquals(0, run("compare", "--fail-on-worse", written.toString(), a.toString()));
        assertTrue(out.toString().matches("(?s).*request p99 .*WORSE\n.*"), out::toString);

        assertEquals(1, run("compare", a.toString(), folder.resolve("none.json").toString()));
        assertTrue(err.toString().contains("none.json: no such file"), err::toString);
        Path other = Files.writeString(folder.resolve("other.json"), "[1, 2]");
        assertEquals(1, run("compare", a.toString(), other.toString()));
        assertTrue(err.toString().contains("other.json: not a report of stress"), err::toString);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "block --size 1000|--size must be 512 to 1M in whole sectors of 512, not 1000",
                "block --size huge|'huge' is no size, such as 4k or 64M",
                "block --mix read=a|'read=a' is not KIND=SHARE",
                "block --pattern zigzag|'zigzag' is none of random, sequential",
                "block --depth 0|--depth must be 1 to 1024, not 0",
                "block --image null|add --no-verify",
                "block --depth 1024 --size 1M|more than the 48 MiB that a guest may have under way",
                "block --image-size 64k|at least 262144, not 65536",
                "block --arrivals poisson|add --rate",
                "block --rate fast|'fast' is no rate, such as 500 or 10k",
                "block --seconds 0|--seconds must be 0.1 to 604800, not 0",
                "block --json /nowhere/a.json|--json: cannot write a file there: /nowhere/a.json",
                "block --cache never|none of writeback, writethrough, unsafe, direct",
                "net --frame-size 10|--frame-size must be 60 to 65535, not 10",
                "net --pairs 501|--pairs must be 1 to 500, not 501",
                "ring --entry 113|--entry must be 112 or 12, not 113",
                "ring --placement moon|'moon' is none of threads, processes",
                "scale --guests 4,2|--guests must be ascending numbers up to 1000",
                "scale net --guests 1|--guests must be ascending numbers of pairs",
                "idle --rate 5|--rate: idle guests have none; leave it out"
            })
    void wrongUsageIsNamed(String arguments, String message) {
        assertEquals(2, run(arguments.split(" ", -1)));
        assertTrue(err.toString().contains(message), err::toString);
    }

    @Test
    void imagesThatCannotBeUsedAreOneLine() throws Exception {
        Path image = folder.resolve("disk.img");
        assertEquals(1, run("block", "--image=" + image));
        assertTrue(err.toString().contains(image + " does not exist: add --image-size"));
        assertEquals(1, run("block", "--image=/nowhere/disk.img", "--image-size=1M"));
        assertTrue(err.toString().contains("/nowhere/disk.img: no such folder"), err::toString);
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            file.setLength(1 << 20);
        }
        assertEquals(1, run("block", "--image=" + image));
        assertTrue(err.toString().contains("would be lost: add --overwrite"), err::toString);
        assertEquals(
                0, run(ONCE, "block", SECONDS, "--image=" + image, "--mix=read=1"), err::toString);
        assertEquals(1 << 20, Files.mismatch(image, zeros()) < 0 ? 1 << 20 : 0, "left as it was");
        assertEquals(
                0, run(ONCE, "block", SECONDS, "--image=" + image, "--overwrite"), err::toString);
        assertTrue(Files.mismatch(image, zeros()) >= 0, "written");
        assertTrue(Files.exists(image), "what was there stays");
        Path own = folder.resolve("own.img");
        assertEquals(
                0, run(ONCE, "block", SECONDS, "--image=" + own, "--image-size=1M"), err::toString);
        assertFalse(Files.exists(own), "what was made goes");
    }

    private Path zeros() throws Exception {
        return Files.write(folder.resolve("zeros"), new byte[1 << 20]);
    }

    @Test
    void anInterruptedRunReportsWhatItHasAndLeavesNothing() throws Exception {
        Path file = folder.resolve("early.json");
        Path image = folder.resolve("early.img");
        Process process =
                new ProcessBuilder(
                                System.getProperty("java.home") + "/bin/java",
                                "--enable-native-access=ALL-UNNAMED",
                                "-XX:+UseSerialGC",
                                "-cp",
                                System.getProperty("java.class.path"),
                                StressProgram.class.getName(),
                                "block",
                                "--seconds=100",
                                "--warm-up=0",
                                "--image=" + image,
                                "--image-size=1M",
                                "--json=" + file)
                        .redirectErrorStream(true)
                        .redirectOutput(folder.resolve("early.out").toFile())
                        .start();
        try {
            long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
            while (!Files.readString(folder.resolve("early.out")).contains("run 1 of 3")) {
                assertTrue(process.isAlive() && System.nanoTime() < until);
                TimeUnit.MILLISECONDS.sleep(20);
            }
            process.destroy(); // SIGTERM, which the JVM takes as it takes Ctrl-C
            assertTrue(process.waitFor(60, TimeUnit.SECONDS));
            String said = Files.readString(folder.resolve("early.out"));
            assertEquals(143, process.exitValue(), said);
            assertTrue(said.contains("interrupted, so this is what was measured until then"), said);
            assertEquals("interrupted", json(file).get("outcome").asString());
            assertEquals(1, json(file).get("points").get(0).get("runs").size());
            assertFalse(Files.exists(image), "what was made goes");
        } finally {
            process.destroyForcibly();
        }
    }
}
