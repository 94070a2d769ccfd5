package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// What a process holds, as the kernel counts it.
///
/// @param descriptors open file descriptors
/// @param guestMappings mappings of guests' memory
/// @param threads that the program started: the JVM's own and pools that grow by themselves are
///     left out
record ChildResources(int descriptors, int guestMappings, int threads) {
    /// Threads of the JVM itself, carriers of virtual threads, and workers that end when idle.
    private static final Pattern NOT_COUNTED =
            Pattern.compile(
                    "java|main|C[12] Comp.*|G1 .*|GC .*|VM .*|Reference.*|Finalizer|Signal.*|Service.*"
                            + "|Monitor.*|Notific.*|Common-.*|Attach.*|ForkJoinPool.*|Virtual.*"
                            + "|disk-.*|sync .*|process reaper|Cleaner.*|Sweeper.*|Concurrent.*");

    static ChildResources of(long pid) throws IOException {
        Path proc = Path.of("/proc", Long.toString(pid));
        int mappings = 0;
        for (String line : Files.readAllLines(proc.resolve("maps"))) {
            if (line.contains("/memfd:guest")) {
                mappings++;
            }
        }
        return new ChildResources(
                names(proc.resolve("fd")).size(), mappings, countedThreads(proc.resolve("task")));
    }

    /// Whether nothing of this is more than in `baseline`.
    boolean within(ChildResources baseline) {
        return descriptors <= baseline.descriptors
                && guestMappings <= baseline.guestMappings
                && threads <= baseline.threads;
    }

    private static int countedThreads(Path tasks) throws IOException {
        int counted = 0;
        for (String thread : names(tasks)) {
            if (!NOT_COUNTED.matcher(nameOf(tasks.resolve(thread))).matches()) {
                counted++;
            }
        }
        return counted;
    }

    /// Name of a thread; that of the JVM's own for one that ended just now.
    private static String nameOf(Path task) throws IOException {
        try {
            return Files.readString(task.resolve("comm")).trim();
        } catch (NoSuchFileException e) {
            return "java";
        }
    }

    private static List<String> names(Path folder) throws IOException {
        try (Stream<Path> entries = Files.list(folder)) {
            return new ArrayList<>(entries.map(p -> p.getFileName().toString()).toList());
        }
    }
}
