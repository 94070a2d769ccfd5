package org.splitring.driverdomain;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.splitring.driverdomain.LabUnderTest.PATIENCE;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.OperatingSystemMXBean;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.driverdomain.LabUnderTest.Ended;
import org.splitring.testkit.ExternalTools;

/// The driver domain is replaced while clients of several guests do verified I/O.
/// `-Dsplitring.replacements=1000` makes more of it, and so does `-Plong`.
@Timeout(value = 5, unit = TimeUnit.HOURS)
@Order(2) // long
class ReplaceIT {
    private static final int REPLACEMENTS = Integer.getInteger("splitring.replacements", 20);
    private static final int MANY_REPLACEMENTS = 1000;

    /// How long a guest may take to be connected again, from the moment when the new driver domain
    /// listens. On a machine with more runnable processes than processors each gets its share only,
    /// and the bound grows by as much.
    private static final double RECONNECT_SECONDS = 2;

    private static final int IMAGE_MIB = 4;
    private static final Pattern GOES_ON =
            Pattern.compile("domain \\w+: guest process \\d+ (.*) after (\\d+\\.\\d+) s");

    /// How the old driver domain ends.
    private enum Ending {
        /// It is asked to hand over.
        HAND_OVER,
        /// kill -9, and then a new one.
        KILL,
        /// It is stopped, and the new one has to kill it.
        STOP,
        /// The new one is killed while the guests come to it, and then another.
        KILL_TWICE
    }

    @TempDir Path dir;
    private LabUnderTest program;
    private final List<VerifiedDisk> disks = new ArrayList<>();
    private final List<Path> images = new ArrayList<>();
    private final List<Double> reconnectSeconds = new ArrayList<>();

    @BeforeEach
    void prepare() throws IOException {
        program = new LabUnderTest(dir);
        for (String name : List.of("web.img", "web2.img", "db.img")) {
            images.add(program.image(name, IMAGE_MIB));
        }
        Files.writeString(
                program.lab(),
                """
                [domains.web]
                disk = ["web.img,raw,xvda,rw", "web2.img,raw,xvdb,rw"]
                memory = 32
                [domains.db]
                disk = ["db.img,raw,xvda,rw"]
                memory = 32
                """);
    }

    @AfterEach
    void nothingStaysBehind() throws Exception {
        for (VerifiedDisk disk : disks) {
            disk.close();
        }
        program.cleanUp();
    }

    @Test
    void guestsGoOnWhenTheirDriverDomainIsReplacedUnderLoad() throws Exception {
        replaceUnderLoad(REPLACEMENTS);
    }

    /// As many are killed: one in four hands over, and another has two killed.
    @Test
    @Tag("long")
    void guestsGoOnWhenTheirDriverDomainIsKilledAThousandTimes() throws Exception {
        replaceUnderLoad(MANY_REPLACEMENTS);
    }

    private void replaceUnderLoad(int replacements) throws Exception {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        program.up();
        List<Long> guests = guests();
        connect(seed);
        Map<Ending, List<Long>> silences = new EnumMap<>(Ending.class);
        Map<Long, ChildResources> held = new HashMap<>();
        for (int i = 0; i < replacements; i++) {
            Ending ending = Ending.values()[i % Ending.values().length];
            progress(50);
            LockSupport.parkNanos(random.nextInt(20_000_000));
            disks.forEach(VerifiedDisk::takeLongestSilenceMillis);
            replace(ending, random);
            progress(20);
            for (VerifiedDisk disk : disks) {
                silences.computeIfAbsent(ending, any -> new ArrayList<>())
                        .add(disk.takeLongestSilenceMillis());
            }
            assertEquals(guests, guests(), "a guest process was started anew");
            for (long guest : guests) {
                held.putIfAbsent(guest, ChildResources.of(guest)); // after the first change
            }
        }
        for (long guest : guests) {
            ChildResources first = Objects.requireNonNull(held.get(guest));
            await("what driver domains have left in guest " + guest)
                    .atMost(PATIENCE)
                    .until(() -> ChildResources.of(guest).within(first));
        }
        finish();
        program.down();
        System.out.printf(
                "%d replacements, machine crowded %.1f times: guests connected again %.2f s (median),"
                        + " %.2f s (max) after the new driver domain was there%n",
                replacements,
                crowding(),
                middle(reconnectSeconds),
                Collections.max(reconnectSeconds));
        silences.forEach(
                (ending, millis) ->
                        System.out.printf(
                                "%s: longest time without an answer %d ms (median), %d ms (max),"
                                        + " with the start of a JVM%n",
                                ending, middle(millis), Collections.max(millis)));
    }

    private static double crowding() {
        OperatingSystemMXBean machine = ManagementFactory.getOperatingSystemMXBean();
        return Math.max(1, machine.getSystemLoadAverage() / machine.getAvailableProcessors());
    }

    private List<Long> guests() {
        return List.of(program.guest("web").pid(), program.guest("db").pid());
    }

    private static <T extends Comparable<T>> T middle(List<T> values) {
        List<T> sorted = values.stream().sorted().toList();
        return sorted.get(sorted.size() / 2);
    }

    private void connect(long seed) throws IOException {
        for (String disk : List.of("web/xvda", "web/xvdb", "db/xvda")) {
            Path socket = program.run().resolve(disk + ".nbd");
            disks.add(new VerifiedDisk(disk, socket, IMAGE_MIB, seed + disks.size()));
        }
    }

    private void replace(Ending ending, Random random) throws Exception {
        ProcessHandle old = program.driverDomain();
        switch (ending) {
            case HAND_OVER -> takeOver();
            case KILL -> {
                old.destroyForcibly();
                takeOver();
            }
            case STOP -> {
                signal("STOP", old.pid());
                takeOver();
            }
            case KILL_TWICE -> {
                old.destroyForcibly();
                takeOver();
                ProcessHandle second = program.driverDomain();
                LockSupport.parkNanos(random.nextInt(5_000_000));
                second.destroyForcibly();
                takeOver();
            }
        }
        await().atMost(PATIENCE).until(() -> ProcessIdentity.of(old.pid()).isEmpty());
    }

    /// What `splitring replace` does, without the time that its own JVM takes.
    private void takeOver() throws Exception {
        List<String> said = new ArrayList<>();
        List<String> options = List.of(BackgroundLab.TAKE_OVER);
        List<String> command =
                PackedProgram.driverDomain(
                        BackgroundLab.arguments(program.lab(), program.run(), options));
        int code = BackgroundLab.start(command, said::add);
        assertEquals(0, code, () -> String.join("\n", said));
        int back = 0;
        for (String line : said) {
            Matcher matcher = GOES_ON.matcher(line);
            if (matcher.matches()) {
                assertEquals("goes on", matcher.group(1), () -> String.join("\n", said));
                double seconds = Double.parseDouble(matcher.group(2));
                assertTrue(
                        seconds <= RECONNECT_SECONDS * crowding(),
                        () -> line + ", on a machine crowded " + crowding() + " times");
                reconnectSeconds.add(seconds);
                back++;
            }
        }
        assertEquals(2, back, () -> "both guests are back: " + String.join("\n", said));
    }

    private void signal(String signal, long pid) throws Exception {
        Path kill = ExternalTools.require("kill", "procps");
        Ended ended = program.execute(List.of(kill.toString(), "-" + signal, Long.toString(pid)));
        assertEquals(0, ended.code(), ended.output());
        if (signal.equals("STOP")) {
            await().atMost(PATIENCE).until(() -> ProcessIdentity.of(pid).orElseThrow().isStopped());
        }
    }

    /// Waits until every client has had so many answers more.
    private void progress(int answers) {
        for (VerifiedDisk disk : disks) {
            long before = disk.answers();
            await().atMost(Duration.ofSeconds(40))
                    .pollInterval(Duration.ofMillis(2))
                    .until(() -> disk.answers() >= before + answers || disk.failure() != null);
            assertEquals(null, disk.failure());
        }
    }

    private void finish() throws Exception {
        for (VerifiedDisk disk : disks) {
            disk.finish();
            assertEquals(null, disk.failure());
        }
        for (int i = 0; i < disks.size(); i++) {
            assertEquals(List.of(), disks.get(i).broken(images.get(i)));
        }
    }

    /// SIGSTOP keeps everything that a process has. So nobody else gets in, until it is dead; and
    /// then SIGCONT reaches nobody.
    @Test
    void driverDomainThatWasStoppedNeverWritesBesideItsSuccessor() throws Exception {
        program.up();
        connect(7);
        progress(100);
        ProcessHandle old = program.driverDomain();
        signal("STOP", old.pid());

        Ended again =
                program.splitring(
                        "up", program.lab().toString(), "--run-dir", program.run().toString());
        assertEquals(1, again.code(), again.output());
        assertTrue(
                again.output().contains("in use by process " + old.pid() + ", which is stopped"),
                again.output());
        Ended beside =
                program.splitring(
                        "up", program.lab().toString(), "--run-dir", dir.resolve("b").toString());
        assertEquals(1, beside.code(), beside.output());
        assertTrue(beside.output().contains("is in use by"), beside.output());

        signal("CONT", old.pid());
        progress(20); // it has lost nothing, and nobody has disturbed it
        signal("STOP", old.pid());
        Ended replaced = program.splitring("replace", "--run-dir", program.run().toString());
        assertEquals(0, replaced.code(), replaced.output());
        assertTrue(
                replaced.output().contains("killed process " + old.pid() + ", which was stopped"),
                replaced.output());
        assertTrue(ProcessIdentity.of(old.pid()).isEmpty(), "it is still there");
        program.execute(
                List.of(
                        ExternalTools.require("kill", "procps").toString(),
                        "-CONT",
                        Long.toString(old.pid())));
        progress(100);
        finish();
        program.down();
    }

    @Test
    void upAdoptsTheGuestsOfAKilledDriverDomainAndDownEndsThem() throws Exception {
        program.up();
        connect(8);
        progress(20);
        List<Long> guests = guests();
        assertTrue(program.driverDomain().destroyForcibly());
        Ended up =
                program.splitring(
                        "up",
                        program.lab().toString(),
                        "--run-dir",
                        program.run().toString(),
                        "--detach");
        assertEquals(0, up.code(), up.output());
        assertTrue(
                up.output().contains("guest process " + guests.getFirst() + " goes on"),
                up.output());
        assertEquals(guests, guests());
        progress(20);
        finish();

        assertTrue(program.driverDomain().destroyForcibly());
        await().atMost(PATIENCE).until(() -> RunDirectory.owner(program.run()).isEmpty());
        Ended down = program.splitring("down", "--run-dir", program.run().toString());
        assertEquals(0, down.code(), down.output());
        for (long guest : guests) {
            assertTrue(down.output().contains("killed guest process " + guest), down.output());
            assertTrue(ProcessIdentity.of(guest).isEmpty(), "still there");
        }
        assertFalse(Files.exists(program.run()), "the run directory is still there");
    }

    @Tag("long")
    @Test
    void guestWithoutADriverDomainEndsAfterAMinute() throws Exception {
        program.up();
        assertTrue(program.driverDomain().destroyForcibly());
        await().atMost(Duration.ofSeconds(90)).until(() -> program.processes().isEmpty());
    }
}
