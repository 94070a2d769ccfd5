package org.splitring.benchmarks;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentLinkedDeque;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/// `stress paper`: programs that people run, natively and through guests, as in the figure of
/// relative performance of "Xen and the Art of Virtualization".
@Command(
        name = "paper",
        mixinStandardHelpOptions = true,
        description = {
            "Runs programs that people use, natively and through guests, one after the other in every"
                    + " round, checks what they answer, and gives the one by the other.",
            "",
            "Sides: splitring is two guests at a switch, whose TAPs the programs use, and the disk of"
                    + " one of them; native is two namespaces at the kernel's bridge, and an image"
                    + " behind nbdkit. On both, nbdfuse and a loop device are between the ext4 file"
                    + " system and the export. bare is that file system straight on an image."
        },
        footer = {
            "",
            "Needs root: namespaces, loop devices, mounts. A workload whose program is missing is"
                    + " named as not run.",
            "Exit status: 0 done, 1 a program failed or its answer was wrong, 2 wrong usage.",
            "",
            "For example: ./splitring stress paper --rounds 3 --html paper.html"
        })
public final class StressPaperCommand implements Callable<Integer> {
    private static final List<String> SIDES = List.of("splitring", "native", "bare");

    /// Seconds of a workload for each of `--seconds`, which are those of a small test.
    private static final int SCALE = 8;

    @Spec private @Nullable CommandSpec spec;

    @Mixin private final BenchOptions options = new BenchOptions();

    @Option(
            names = "--workloads",
            split = ",",
            paramLabel = "NAME",
            description =
                    "Only these of iperf3, nginx-wrk, fio, dbench, pgbench, pgbench-read, compile.")
    private @Nullable List<String> wanted;

    @Option(
            names = "--dir",
            paramLabel = "DIR",
            description = "Where the images are (default: the temporary folder).")
    private Path dir = Path.of(System.getProperty("java.io.tmpdir"));

    /// What is taken away at the end, however that comes; the last that was made first.
    private final Deque<Bed> open = new ConcurrentLinkedDeque<>();

    private record Contest(PaperWorkload workload, PaperSide side) implements Contender {
        Figure run(int seconds) throws IOException, InterruptedException {
            try {
                return workload.run(side, seconds);
            } catch (IOException e) {
                throw new IOException(side.subject() + ": " + e.getMessage(), e);
            }
        }

        @Override
        public String subject() {
            return side.subject();
        }

        @Override
        public String variant(String test) {
            return test;
        }

        @Override
        public String toString() {
            return side.subject() + ", " + workload.description();
        }
    }

    /// For picocli.
    public StressPaperCommand() {}

    @Override
    public Integer call() throws IOException, InterruptedException {
        CommandSpec command = Objects.requireNonNull(spec);
        options.check(command);
        List<String> subjects = options.subjects(SIDES, command);
        Map<String, String> notRun = new LinkedHashMap<>();
        List<PaperWorkload> workloads = runnable(chosen(command), notRun);
        PrintWriter err = command.commandLine().getErr();
        Machine machine = Machine.now();
        options.out(command).println(machine);
        Thread hook = new Thread(this::closeAll, "stress paper cleans up");
        Runtime.getRuntime().addShutdownHook(hook);
        List<BenchRow> rows;
        try {
            rows = workloads.isEmpty() ? List.of() : measure(workloads, subjects, command, err);
        } catch (IOException e) {
            err.println("splitring: " + e.getMessage());
            return ExitCode.SOFTWARE;
        } finally {
            closeAll();
            Bed.forget(hook);
        }
        PaperFigure figure = new PaperFigure(machine, rows, notRun);
        BenchReport report =
                new BenchReport("Programs, natively and through guests", machine, rows);
        options.write(
                report.table() + figure.text(), figure.json(), report.html(figure.html()), command);
        return 0;
    }

    private List<PaperWorkload> chosen(CommandSpec command) {
        List<PaperWorkload> all =
                List.of(
                        new PaperNetWorkloads.Iperf(),
                        new PaperNetWorkloads.Web(),
                        new PaperDiskWorkloads.RandomBlocks(),
                        new PaperDiskWorkloads.Dbench(),
                        new PaperDatabase(false),
                        new PaperDatabase(true),
                        new PaperCompile());
        List<String> names = all.stream().map(PaperWorkload::name).toList();
        List<String> these = Objects.requireNonNullElse(wanted, names);
        for (String name : these) {
            if (!names.contains(name)) {
                throw new ParameterException(
                        command.commandLine(),
                        "--workloads: no such workload: " + name + " (there are " + names + ")");
            }
        }
        return all.stream().filter(each -> these.contains(each.name())).toList();
    }

    /// Those whose programs are here.
    private static List<PaperWorkload> runnable(
            List<PaperWorkload> chosen, Map<String, String> notRun) {
        List<PaperWorkload> all = new ArrayList<>();
        for (PaperWorkload workload : chosen) {
            Optional<String> missing = missing(workload);
            if (missing.isPresent()) {
                notRun.put(workload.name(), missing.get());
            } else {
                all.add(workload);
            }
        }
        return all;
    }

    private static Optional<String> missing(PaperWorkload workload) {
        if (!System.getProperty("user.name").equals("root")) {
            return Optional.of("namespaces, loop devices and mounts need root");
        }
        List<Needed> needs = new ArrayList<>(workload.needs());
        needs.add(new Needed("ip", "iproute2"));
        needs.addAll(PaperDisk.NEEDS);
        return needs.stream()
                .filter(each -> !each.isInstalled())
                .map(Needed::isMissing)
                .findFirst();
    }

    private List<BenchRow> measure(
            List<PaperWorkload> workloads,
            List<String> subjects,
            CommandSpec command,
            PrintWriter err)
            throws IOException, InterruptedException {
        List<PaperSide> sides = sides(subjects, command);
        List<Contest> contests = new ArrayList<>();
        for (PaperWorkload workload : workloads) {
            for (PaperSide side : sides) {
                if (workload.usesDisk() || !side.subject().equals("bare")) {
                    contests.add(new Contest(workload, side));
                }
            }
        }
        int seconds =
                options.quick() ? 1 : (int) Math.max(1, Math.round(SCALE * options.seconds()));
        if (!options.quick()) { // a JVM compiles what runs often
            for (Contest contest : contests) {
                if (contest.subject().equals("splitring")) {
                    err.println("warming up: " + contest);
                    err.flush();
                    var ignored = contest.run(seconds);
                }
            }
        }
        return options.measure("paper", contests, it -> List.of(it.run(seconds)), err);
    }

    private List<PaperSide> sides(List<String> subjects, CommandSpec command)
            throws IOException, InterruptedException {
        ImageFolder images = new ImageFolder(dir, open);
        TapBed bridge = TapBed.bridge(true, open);
        List<PaperSide> sides = new ArrayList<>();
        for (String subject : subjects) {
            Path image = images.image(subject + ".img");
            sides.add(
                    switch (subject) {
                        case "splitring" -> {
                            String program = command.root().userObject().getClass().getName();
                            TapBed guests = TapBed.splitring(program, image.toString(), open);
                            Path export = guests.export(PaperSide.SERVER);
                            yield new PaperSide(subject, guests, PaperDisk.export(export, open));
                        }
                        case "native" ->
                                new PaperSide(subject, bridge, PaperDisk.nbdkit(image, open));
                        default -> new PaperSide(subject, bridge, PaperDisk.bare(image, open));
                    });
        }
        return sides;
    }

    /// Images go when nobody has them open any more.
    private static final class ImageFolder extends Bed {
        private final Path images;

        ImageFolder(Path where, Deque<Bed> open) throws IOException {
            images = Files.createTempDirectory(where, "splitring-paper");
            later(() -> delete(images));
            open.push(this);
        }

        Path image(String name) throws IOException {
            return PaperDisk.image(images.resolve(name));
        }
    }

    private void closeAll() {
        for (Bed bed = open.peek(); bed != null; bed = open.peek()) {
            bed.close(); // and who meets another at that waits for it
            open.remove(bed);
        }
    }
}
