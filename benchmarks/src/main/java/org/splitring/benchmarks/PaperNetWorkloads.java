package org.splitring.benchmarks;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Workloads between two ends of a network.
final class PaperNetWorkloads {
    private static final long LIMIT_SECONDS = 60;

    private PaperNetWorkloads() {}

    /// One TCP connection that sends as much as it can.
    static final class Iperf implements PaperWorkload {
        @Override
        public String name() {
            return "iperf3";
        }

        @Override
        public String description() {
            return "iperf3: one TCP connection";
        }

        @Override
        public List<Needed> needs() {
            return List.of(new Needed("iperf3", "iperf3"));
        }

        @Override
        public boolean usesDisk() {
            return false;
        }

        @Override
        public Figure run(PaperSide side, int seconds) throws IOException, InterruptedException {
            return new Figure(
                    name(), "bits_per_second", TapContender.tcpBitsPerSecond(side.net(), seconds));
        }
    }

    /// Many connections that ask for one small page again and again.
    static final class Web implements PaperWorkload {
        private static final int PAGE_BYTES = 4096;
        private static final Pattern RATE = Pattern.compile("Requests/sec: +([0-9.]+)");
        private static final Pattern SUM =
                Pattern.compile("([0-9]+) requests in [^,]+, ([0-9.]+)([KMGT]?)B read");
        private static final String UNITS = "KMGT";

        @Override
        public String name() {
            return "nginx-wrk";
        }

        @Override
        public String description() {
            return "nginx with wrk: a page of 4 KiB over 16 connections";
        }

        @Override
        public List<Needed> needs() {
            return List.of(new Needed("nginx", "nginx-light"), new Needed("wrk", "wrk"));
        }

        @Override
        public boolean usesDisk() {
            return false; // the page stays in the page cache
        }

        @Override
        public Figure run(PaperSide side, int seconds) throws IOException, InterruptedException {
            Path folder = Files.createTempDirectory(side.net().folder(), "nginx");
            Path root = Files.createDirectory(folder.resolve("root"));
            Files.writeString(root.resolve("page"), "x".repeat(PAGE_BYTES));
            Path ready = folder.resolve("pid");
            Path configuration =
                    Files.writeString(
                            folder.resolve("nginx.conf"),
                            """
                            daemon off; user root; worker_processes 1; pid %s; error_log stderr;
                            events { worker_connections 256; }
                            http { access_log off; keepalive_requests 1000000000;
                                   server { listen %s:80; root %s; } }
                            """
                                    .formatted(ready, TapBed.address(PaperSide.SERVER), root));
            Process server =
                    side.net()
                            .start(
                                    "nginx",
                                    side.net()
                                            .inside(
                                                    PaperSide.SERVER,
                                                    "nginx",
                                                    "-e",
                                                    "stderr",
                                                    "-c",
                                                    configuration.toString()),
                                    Map.of());
            try {
                Bed.await(() -> Files.exists(ready) || !server.isAlive(), "nginx");
                String url = "http://" + TapBed.address(PaperSide.SERVER) + "/page";
                String said =
                        ToolProgram.run(
                                side.net()
                                        .inside(
                                                PaperSide.CLIENT,
                                                "wrk",
                                                "-t1",
                                                "-c16",
                                                "-d" + seconds + "s",
                                                url),
                                Map.of(),
                                LIMIT_SECONDS + seconds);
                return new Figure(name(), "requests_per_second", checked(said));
            } finally {
                Bed.end(server);
            }
        }

        /// Every answer was the page: none with another status, and as many bytes as that takes.
        static double checked(String said) throws IOException {
            Matcher rate = RATE.matcher(said);
            Matcher sum = SUM.matcher(said);
            if (!rate.find()
                    || !sum.find()
                    || said.contains("Non-2xx")
                    || said.contains("Socket errors")) {
                throw new IOException("wrk: not every answer was right: " + said.strip());
            }
            double requests = Double.parseDouble(sum.group(1));
            int thousands = sum.group(3).isEmpty() ? 0 : 1 + UNITS.indexOf(sum.group(3));
            double read = Double.parseDouble(sum.group(2)) * Math.pow(1024, thousands);
            if (requests == 0 || read < 0.99 * requests * PAGE_BYTES) {
                throw new IOException("wrk: fewer bytes than pages: " + said.strip());
            }
            return Double.parseDouble(rate.group(1));
        }
    }
}
