package org.splitring.testkit.soak;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Millions of numbered requests between two processes over the attached platform: none is lost,
/// doubled or torn, and none waits for ever, however the two are paused. Both pause themselves at
/// random, and the test stops either process for a while with SIGSTOP.
///
/// `-Dsplitring.soak.requests=N` sets how many; with `-Plong` a hundred million are the default.
/// `testkit/README.md` has the command for a billion.
@Timeout(value = 3, unit = TimeUnit.HOURS)
class RequestSoakIT {
    private static final Pattern REPORT =
            Pattern.compile("done requests=(\\d+) kicks=(\\d+) pauses=(\\d+) sleeps=(\\d+).*");

    @TempDir Path folder;

    private final Random random = new Random();

    @Test
    void noRequestIsLostDoubledOrHungWhileBothProcessesPause() throws Exception {
        soak(Long.getLong("splitring.soak.requests", 2_000_000), 1, 30_000);
    }

    /// Without any spinning every batch is a sleep and a wake-up.
    @Test
    void noRequestIsLostWhenEveryWaitIsASleep() throws Exception {
        soak(200_000, 1, 0);
    }

    @Test
    void noRequestIsLostOnARingOfSixteenPages() throws Exception {
        soak(1_000_000, 16, 30_000);
    }

    @Test
    @Tag("long")
    void aHundredMillionRequests() throws Exception {
        soak(Long.getLong("splitring.soak.requests", 100_000_000), 1, 30_000);
    }

    private void soak(long count, int pages, long spinNanos) throws Exception {
        long seed = random.nextLong();
        String first = Integer.toUnsignedString(random.nextBoolean() ? -2 : 0xFFFFFFF0);
        String socket = folder.resolve("attach").toString();
        System.out.printf("soak of %d requests: seed %d, first index %s%n", count, seed, first);
        random.setSeed(seed);
        try (Side back = new Side(SoakBackMain.class, socket, "" + seed, first, "" + spinNanos)) {
            assertEquals("listening", back.line());
            try (Side front =
                    new Side(
                            SoakFrontMain.class,
                            socket,
                            "" + count,
                            "" + seed,
                            "" + pages,
                            first,
                            "" + spinNanos)) {
                String ring = front.line();
                assertTrue(ring.startsWith("ring "), ring);
                back.say(ring);
                assertEquals("bound", back.line());
                front.say("go");
                CompletableFuture<String> end = front.nextLine();
                while (!end.isDone()) {
                    freeze(random.nextBoolean() ? front : back, end);
                }
                Matcher sent = REPORT.matcher(end.get());
                assertTrue(sent.matches(), end.get());
                back.say("report");
                String said = back.line();
                Matcher served = REPORT.matcher(said);
                assertTrue(served.matches(), said);
                System.out.println("front " + end.get());
                System.out.println("back  " + said);
                assertEquals(Long.toString(count), sent.group(1));
                assertEquals(Long.toString(count), served.group(1));
                // Kicked, paused and slept: the event rules were used, not only spinning.
                for (int counter = 2; counter <= 4; counter++) {
                    assertTrue(Long.parseLong(sent.group(counter)) > 0, end.get());
                    assertTrue(Long.parseLong(served.group(counter)) > 0, said);
                }
            }
        }
    }

    /// Lets both run for a while, then stops one of them for a while.
    private void freeze(Side side, CompletableFuture<String> end) throws Exception {
        if (ended(end, 20 + random.nextInt(200))) {
            return;
        }
        side.signal("STOP");
        try {
            ended(end, 1 + random.nextInt(40));
        } finally {
            side.signal("CONT");
        }
    }

    private static boolean ended(CompletableFuture<String> end, int millis)
            throws InterruptedException, ExecutionException {
        try {
            end.get(millis, TimeUnit.MILLISECONDS);
            return true;
        } catch (TimeoutException e) {
            return false;
        }
    }

    /// One of the two processes.
    private static final class Side implements AutoCloseable {
        private final Process process;
        private final BufferedReader said;
        private final Writer orders;

        Side(Class<?> main, String... arguments) throws IOException {
            List<String> command = new ArrayList<>();
            command.add(System.getProperty("java.home") + "/bin/java");
            command.add("--enable-native-access=ALL-UNNAMED");
            command.add("-Xmx64m");
            command.addAll(List.of("-cp", System.getProperty("java.class.path"), main.getName()));
            command.addAll(List.of(arguments));
            process =
                    new ProcessBuilder(command)
                            .redirectError(ProcessBuilder.Redirect.INHERIT)
                            .start();
            said = process.inputReader(StandardCharsets.UTF_8);
            orders = process.outputWriter(StandardCharsets.UTF_8);
        }

        String line() throws Exception {
            return nextLine().get(30, TimeUnit.SECONDS);
        }

        CompletableFuture<String> nextLine() {
            CompletableFuture<String> next = new CompletableFuture<>();
            Thread.ofVirtual()
                    .start(
                            () -> {
                                try {
                                    next.complete(String.valueOf(said.readLine()));
                                } catch (IOException e) {
                                    next.completeExceptionally(e);
                                }
                            });
            return next;
        }

        void say(String order) throws IOException {
            orders.write(order + "\n");
            orders.flush();
        }

        void signal(String name) throws Exception {
            Process kill =
                    new ProcessBuilder("sh", "-c", "kill -" + name + " " + process.pid()).start();
            assertEquals(0, kill.waitFor(), "kill -" + name);
        }

        @Override
        public void close() {
            process.destroyForcibly().onExit().join();
        }
    }
}
