package org.splitring.testkit.contract;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;

/// What this process holds: open descriptors by what they are, platform threads, mappings of
/// guests' memory.
record ContractResources(
        Map<String, Integer> descriptors, Map<String, Integer> threads, int guestMappings) {
    /// Threads of the JVM and of pools that grow and shrink by themselves.
    private static final Pattern NOT_COUNTED =
            Pattern.compile(
                    "ForkJoinPool.*|VirtualThread.*|xenbus-timers|process reaper.*|Common-Cleaner"
                            + "|Cleaner.*|surefire.*|junit.*|main|globalEventExecutor.*"
                            + "|Finalizer|Reference.*|Signal.*|Notification.*|flipper|Attach.*"
                            + "|Read-Poller|Write-Poller|.*-unblocker.*");

    static ContractResources now() {
        Map<String, Integer> threads = new TreeMap<>();
        for (Thread thread : Thread.getAllStackTraces().keySet()) {
            if (thread.isAlive() && !NOT_COUNTED.matcher(thread.getName()).matches()) {
                threads.merge(thread.getName().replaceAll("[0-9]+", "N"), 1, Integer::sum);
            }
        }
        return new ContractResources(descriptorsNow(), threads, mappingsNow());
    }

    private static Map<String, Integer> descriptorsNow() {
        Map<String, Integer> kinds = new TreeMap<>();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(Path.of("/proc/self/fd"))) {
            for (Path entry : entries) {
                String kind = kind(entry);
                if (!kind.isEmpty()) {
                    kinds.merge(kind, 1, Integer::sum);
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (DirectoryIteratorException e) {
            throw new UncheckedIOException(e.getCause());
        }
        return kinds;
    }

    /// What is behind a descriptor; nothing for the JVM's own files and for this look itself.
    private static String kind(Path entry) throws IOException {
        String target;
        try {
            target = Files.readSymbolicLink(entry).toString();
        } catch (NoSuchFileException e) {
            return "";
        }
        boolean ofTheJvm =
                target.endsWith(".jar")
                        || target.endsWith("/modules")
                        || target.startsWith("/proc/")
                        || target.startsWith("/dev/");
        return ofTheJvm ? "" : target.replaceAll("\\[[0-9]+]", "");
    }

    private static int mappingsNow() {
        try {
            int mappings = 0;
            for (String line : Files.readAllLines(Path.of("/proc/self/maps"))) {
                if (line.contains("/memfd:")) {
                    mappings++;
                }
            }
            return mappings;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /// What is held now beyond `before`; empty when nothing is.
    static String leakedSince(ContractResources before) {
        ContractResources now = now();
        StringBuilder leaked = new StringBuilder();
        more("descriptors", before.descriptors, now.descriptors, leaked);
        more("threads", before.threads, now.threads, leaked);
        if (now.guestMappings > before.guestMappings) {
            leaked.append("mappings of guest memory: ")
                    .append(now.guestMappings - before.guestMappings)
                    .append("; ");
        }
        return leaked.toString();
    }

    private static void more(
            String what,
            Map<String, Integer> before,
            Map<String, Integer> now,
            StringBuilder leaked) {
        now.forEach(
                (name, count) -> {
                    int more = count - before.getOrDefault(name, 0);
                    if (more > 0) {
                        leaked.append(what).append(": ").append(more).append(' ').append(name);
                        leaked.append("; ");
                    }
                });
    }
}
