package org.splitring.benchmarks;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.splitring.blkback.DiskEngine;
import org.splitring.blkback.DiskMode;

/// Images, and who serves them. Each has an image of its own, all with the same random bytes, which
/// are in the page cache when this is made.
final class BlockBed extends Bed {
    static final long IMAGE_BYTES = 128L << 20;
    private final Path images;

    /// @param where a folder, whose file system is measured too
    BlockBed(Path where) throws IOException {
        images = Files.createTempDirectory(where, "splitring-bench");
        later(() -> Files.deleteIfExists(images));
    }

    Path image(String name) throws IOException {
        Path image = images.resolve(name);
        later(() -> Files.deleteIfExists(image));
        byte[] bytes = new byte[1 << 20];
        new Random(1).nextBytes(bytes);
        try (OutputStream out = Files.newOutputStream(image)) {
            for (long at = 0; at < IMAGE_BYTES; at += bytes.length) {
                out.write(bytes);
            }
        }
        try (InputStream in = Files.newInputStream(image)) {
            var ignored = in.transferTo(OutputStream.nullOutputStream());
        }
        return image;
    }

    /// The ring's two ends in a JVM of their own.
    ///
    /// @param words more of [BlkWorker]
    BlockContender.Runner ring(
            int queues, String image, DiskMode mode, DiskEngine engine, String... words)
            throws IOException {
        List<String> command =
                new ArrayList<>(
                        JavaProgram.command(
                                BlkWorker.class, "-XX:+UseSerialGC", "-Xms32m", "-Xmx512m"));
        command.addAll(List.of(Integer.toString(queues), image, mode.label(), engine.toString()));
        command.addAll(List.of(words));
        Process process =
                new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        later(() -> end(process));
        BufferedReader answers = process.inputReader(StandardCharsets.US_ASCII);
        expect(answers, "ready");
        return (test, seconds) -> {
            var commands = process.outputWriter(StandardCharsets.US_ASCII);
            commands.write(String.format(Locale.ROOT, "%s %.3f%n", test, seconds));
            commands.flush();
            List<Figure> figures = new ArrayList<>();
            for (String line = answers.readLine(); ; line = answers.readLine()) {
                if (line == null) {
                    throw new IOException("the ring's program has ended");
                }
                if (line.equals("done")) {
                    return figures;
                }
                String[] figure = line.split(" ", -1);
                figures.add(new Figure(figure[0], figure[1], Double.parseDouble(figure[2])));
            }
        };
    }

    private static void expect(BufferedReader answers, String wanted) throws IOException {
        String line = answers.readLine();
        if (!wanted.equals(line)) {
            throw new IOException("the ring's program said " + line);
        }
    }

    /// fio on a file.
    BlockContender.Runner raw(String engine, Path image, String... more) {
        List<String> words = new ArrayList<>(List.of(more));
        words.addAll(List.of("--ioengine=" + engine, "--filename=" + image));
        return (test, seconds) -> {
            Fio.Result result = Fio.run(test, IMAGE_BYTES, seconds, words);
            return List.of(
                    new Figure(test.toString(), "ops_per_second", result.operationsPerSecond()),
                    new Figure(test.toString(), "cpu_ns", result.clientCpuNanos()));
        };
    }

    /// A lab with one guest and its disk.
    BlockContender.Runner lab(String program, Path image) throws IOException, InterruptedException {
        String lab =
                """
                [domains.g]
                disk = ["format=raw, vdev=xvda, target=%s"]
                memory = 64
                """
                        .formatted(image);
        List<Long> processes = up(program, lab);
        Path socket = folder().resolve("run/g/xvda.nbd");
        return nbd(processes, "nbd+unix:///?socket=" + socket);
    }

    /// The image itself, without a guest.
    BlockContender.Runner served(String program, Path image)
            throws IOException, InterruptedException {
        List<String> words = command(program, "disk", "serve", "-f", "raw", "IMAGE");
        words.addAll(List.of("--socket", "SOCKET"));
        return server("served", image, words.toArray(String[]::new));
    }

    /// A server of others.
    ///
    /// @param command with `SOCKET` and `IMAGE` where those go
    BlockContender.Runner server(String name, Path image, String... command)
            throws IOException, InterruptedException {
        Path socket = folder().resolve(name + ".sock");
        List<String> words = new ArrayList<>();
        for (String word : command) {
            words.add(word.replace("SOCKET", socket.toString()).replace("IMAGE", image.toString()));
        }
        Process process = start(name, words, Map.of());
        await(() -> Files.exists(socket) || !process.isAlive(), name);
        if (!process.isAlive()) {
            throw new IOException(
                    name + ": " + Files.readString(folder().resolve(name + ".out")).strip());
        }
        return nbd(List.of(process.pid()), "nbd+unix:///?socket=" + socket);
    }

    private static BlockContender.Runner nbd(List<Long> processes, String uri) {
        return (test, seconds) -> {
            double before = cpuNanos(processes);
            Fio.Result result =
                    Fio.run(test, IMAGE_BYTES, seconds, List.of("--ioengine=nbd", "--uri=" + uri));
            double cpu = (cpuNanos(processes) - before) / result.operations();
            return List.of(
                    new Figure(test.toString(), "ops_per_second", result.operationsPerSecond()),
                    new Figure(test.toString(), "cpu_ns", cpu));
        };
    }

    /// With the threads that have ended: some servers have one for each connection.
    private static double cpuNanos(List<Long> processes) {
        return processes.stream()
                .map(ProcessHandle::of)
                .flatMap(Optional::stream)
                .map(process -> process.info().totalCpuDuration())
                .flatMap(Optional::stream)
                .mapToDouble(Duration::toNanos)
                .sum();
    }
}
