package org.splitring.benchmarks;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// PostgreSQL with its files on the file system, and pgbench at the other end of the network.
final class PaperDatabase implements PaperWorkload {
    private static final Path VERSIONS = Path.of("/usr/lib/postgresql");
    private static final Pattern RATE =
            Pattern.compile("tps = ([0-9.]+) \\(without initial connection time\\)");
    private static final Pattern DONE =
            Pattern.compile("number of transactions actually processed: ([0-9]+)");
    private static final Pattern FAILED = Pattern.compile("number of failed transactions: 0 ");
    private static final int CLIENTS = 4;
    private static final int SCALE = 4; // 400,000 accounts, some 60 MB
    private static final long LIMIT_SECONDS = 120;

    private final boolean reads;

    /// @param reads whether transactions only read; else each changes four tables
    PaperDatabase(boolean reads) {
        this.reads = reads;
    }

    @Override
    public String name() {
        return reads ? "pgbench-read" : "pgbench";
    }

    @Override
    public String description() {
        return reads
                ? "PostgreSQL with pgbench: selects, the data in memory"
                : "PostgreSQL with pgbench: transactions like TPC-B, each flushed";
    }

    @Override
    public List<Needed> needs() {
        return List.of(
                new Needed("pgbench", "postgresql-contrib"),
                new Needed("psql", "postgresql-client"),
                new Needed("setpriv", "util-linux"));
    }

    /// Where Debian has the server, the newest.
    private static Path server() throws IOException {
        try (Stream<Path> versions = Files.list(VERSIONS)) {
            Optional<Path> newest =
                    versions.filter(each -> Files.isExecutable(each.resolve("bin/postgres")))
                            .max((a, b) -> Integer.compare(number(a), number(b)));
            return newest.orElseThrow(
                            () -> new IOException("there is no server (package postgresql)"))
                    .resolve("bin");
        }
    }

    private static int number(Path version) {
        String name = String.valueOf(version.getFileName());
        return name.matches("[0-9]{1,3}") ? Integer.parseInt(name) : 0;
    }

    @Override
    public boolean usesDisk() {
        return true;
    }

    /// PostgreSQL does not run as root.
    private static List<String> asDatabase(Path program, String... words) {
        List<String> command =
                new ArrayList<>(
                        List.of(
                                "setpriv",
                                "--reuid=postgres",
                                "--regid=postgres",
                                "--clear-groups",
                                program.toString()));
        command.addAll(List.of(words));
        return command;
    }

    @Override
    public Figure run(PaperSide side, int seconds) throws IOException, InterruptedException {
        Path bin = server();
        Path data = side.disk().files().resolve("database");
        boolean made = Files.notExists(data);
        if (made) {
            make(bin, data);
        }
        String[] start =
                asDatabase(
                                bin.resolve("postgres"),
                                "-D",
                                data.toString(),
                                "-c",
                                "listen_addresses=" + TapBed.address(PaperSide.SERVER),
                                "-c",
                                "unix_socket_directories=",
                                "-c",
                                "max_wal_size=128MB")
                        .toArray(String[]::new);
        Process server =
                side.net().start("postgres", side.net().inside(PaperSide.SERVER, start), Map.of());
        try {
            Path said = side.net().folder().resolve("postgres.out");
            Bed.await(() -> isReady(said) || !server.isAlive(), "PostgreSQL's readiness");
            if (!server.isAlive()) {
                throw new IOException("postgres: " + Files.readString(said).strip());
            }
            if (made) {
                var ignored = bench(side, "-i", "-q", "-s", "" + SCALE);
            }
            return measure(side, seconds);
        } finally {
            Bed.end(server);
        }
    }

    private static boolean isReady(Path said) {
        try {
            return Files.readString(said).contains("ready to accept connections");
        } catch (IOException e) {
            return false; // it has just begun
        }
    }

    private static void make(Path bin, Path data) throws IOException, InterruptedException {
        Files.createDirectory(data);
        ToolProgram.run(List.of("chown", "postgres:postgres", data.toString()));
        ToolProgram.run(
                asDatabase(
                        bin.resolve("initdb"),
                        "-D",
                        data.toString(),
                        "-A",
                        "trust",
                        "-U",
                        "postgres"),
                Map.of(),
                LIMIT_SECONDS);
        Files.writeString(
                data.resolve("pg_hba.conf"),
                "host all all " + TapBed.address(PaperSide.CLIENT) + "/32 trust\n",
                StandardOpenOption.APPEND);
    }

    private static String bench(PaperSide side, String... words)
            throws IOException, InterruptedException {
        return atServer(side, "pgbench", words);
    }

    private static String atServer(PaperSide side, String program, String... words)
            throws IOException, InterruptedException {
        List<String> command =
                side.net()
                        .inside(
                                PaperSide.CLIENT,
                                program,
                                "-h",
                                TapBed.address(PaperSide.SERVER),
                                "-U",
                                "postgres");
        command.addAll(List.of(words));
        command.add("postgres");
        return ToolProgram.run(command, Map.of(), LIMIT_SECONDS);
    }

    private Figure measure(PaperSide side, int seconds) throws IOException, InterruptedException {
        List<String> words = new ArrayList<>(List.of("-c", "" + CLIENTS, "-T", "" + seconds));
        if (reads) {
            words.add("-S");
        }
        String said = bench(side, words.toArray(String[]::new));
        Matcher rate = RATE.matcher(said);
        Matcher done = DONE.matcher(said);
        if (!rate.find()
                || !done.find()
                || Long.parseLong(done.group(1)) == 0
                || !FAILED.matcher(said).find()) {
            throw new IOException("pgbench: not all transactions were done: " + said.strip());
        }
        checkSums(side);
        return new Figure(name(), "transactions_per_second", Double.parseDouble(rate.group(1)));
    }

    /// Every transaction adds the same to one account, one teller and one branch: a sum that
    /// differs is a transaction that was done in part.
    private static void checkSums(PaperSide side) throws IOException, InterruptedException {
        String sums =
                atServer(
                                side,
                                "psql",
                                "-A",
                                "-t",
                                "-c",
                                "select (select sum(abalance) from pgbench_accounts),"
                                        + " (select sum(tbalance) from pgbench_tellers),"
                                        + " (select sum(bbalance) from pgbench_branches)")
                        .strip();
        if (!sums.matches("(-?[0-9]+)\\|\\1\\|\\1")) {
            throw new IOException("pgbench: the balances of accounts, tellers, branches: " + sums);
        }
    }
}
