package org.splitring.benchmarks;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Workloads on a file system.
final class PaperDiskWorkloads {
    private PaperDiskWorkloads() {}

    /// Blocks written in a random order, then read and checked.
    static final class RandomBlocks implements PaperWorkload {
        private static final long BYTES_PER_SECOND = 4 << 20;

        @Override
        public String name() {
            return "fio";
        }

        @Override
        public String description() {
            return "fio: 4 KiB written at random past the page cache, 16 at a time, then each read"
                    + " and its CRC checked";
        }

        @Override
        public List<Needed> needs() {
            return List.of(new Needed("fio", "fio"));
        }

        @Override
        public boolean usesDisk() {
            return true;
        }

        @Override
        public Figure run(PaperSide side, int seconds) throws IOException, InterruptedException {
            long size = Math.min(PaperDisk.IMAGE_BYTES / 8, seconds * BYTES_PER_SECOND);
            return new Figure(
                    name(), "ops_per_second", Fio.verifiedPerSecond(side.disk().files(), size));
        }
    }

    /// What a file server does for some clients.
    static final class Dbench implements PaperWorkload {
        private static final int CLIENTS = 4;
        private static final int LEAST_SECONDS = 4; // it counts after some that it sets aside
        private static final Pattern RATE = Pattern.compile("Throughput ([0-9.]+) MB/sec");

        @Override
        public String name() {
            return "dbench";
        }

        @Override
        public String description() {
            return "dbench: files of " + CLIENTS + " clients";
        }

        @Override
        public List<Needed> needs() {
            return List.of(new Needed("dbench", "dbench"));
        }

        @Override
        public boolean usesDisk() {
            return true;
        }

        @Override
        public Figure run(PaperSide side, int seconds) throws IOException, InterruptedException {
            Path folder = Files.createDirectories(side.disk().files().resolve("dbench"));
            String said =
                    ToolProgram.run(
                            List.of(
                                    "dbench",
                                    "-D",
                                    folder.toString(),
                                    "-t",
                                    "" + Math.max(LEAST_SECONDS, seconds),
                                    "" + CLIENTS),
                            Map.of(),
                            60 + 3L * seconds);
            Matcher rate = RATE.matcher(said);
            if (!rate.find() || Double.parseDouble(rate.group(1)) == 0) {
                throw new IOException("dbench: nothing was done: " + said.strip());
            }
            return new Figure(name(), "bytes_per_second", Double.parseDouble(rate.group(1)) * 1e6);
        }
    }
}
