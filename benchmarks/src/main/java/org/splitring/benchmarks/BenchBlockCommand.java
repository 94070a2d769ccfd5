package org.splitring.benchmarks;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.DiskEngine;
import org.splitring.blkback.DiskMode;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/// `bench block`: disks over the ring and over NBD, beside the same file without anything between
/// and beside other servers. How to read it: `docs/bench-block.md`.
@Command(
        name = "block",
        description = {
            "Measures disks over the ring beside fio on the same file, and over NBD beside other"
                    + " servers.",
            "Each way runs each test once in each round, one after the other. Needs two free"
                    + " processors to mean anything."
        },
        mixinStandardHelpOptions = true)
public final class BenchBlockCommand implements Callable<Integer> {
    private static final List<String> PARTS = List.of("ring", "nbd", "null", "direct");
    private static final List<String> SUBJECTS =
            List.of(
                    "splitring",
                    "splitring-persistent",
                    "splitring-noted",
                    "splitring-threads",
                    BenchReport.SERVED,
                    "psync",
                    "io_uring",
                    "qemu-nbd",
                    "qsd",
                    "nbdkit");
    private static final Path TMPFS = Path.of("/dev/shm");

    @Mixin private BenchOptions options = new BenchOptions();

    @Option(
            names = "--parts",
            paramLabel = "NAME",
            split = ",",
            description =
                    "Only these: ring (beside raw fio), nbd (beside other servers), null (an image"
                            + " that takes everything), direct (the ring and fio past the page"
                            + " cache, both engines).")
    private List<String> parts = PARTS;

    @Option(
            names = "--dir",
            paramLabel = "DIR",
            description =
                    "Where the images are that are not on tmpfs (default: the temporary folder).")
    private Path dir = Path.of(System.getProperty("java.io.tmpdir"));

    @Spec private @Nullable CommandSpec spec;

    private final List<Bed> open = new ArrayList<>(); // guarded by itself

    /// For picocli.
    public BenchBlockCommand() {}

    @Override
    public Integer call() throws IOException, InterruptedException {
        CommandSpec command = Objects.requireNonNull(spec);
        options.check(command);
        for (String part : parts) {
            if (!PARTS.contains(part)) {
                throw new ParameterException(
                        command.commandLine(),
                        "--parts: no such part: " + part + " (there are " + PARTS + ")");
            }
        }
        List<String> subjects = options.subjects(SUBJECTS, command);
        PrintWriter err = command.commandLine().getErr();
        Machine machine = Machine.now();
        options.out(command).println(machine);
        String program = command.root().userObject().getClass().getName();
        Thread hook = new Thread(this::closeAll, "bench block cleans up");
        Runtime.getRuntime().addShutdownHook(hook);
        List<BenchRow> rows;
        try {
            List<BlockContender> contenders = new ArrayList<>();
            if (parts.contains("null")) {
                nothing(subjects, contenders);
            }
            for (boolean memory : List.of(true, false)) {
                String place = memory ? "tmpfs" : "disk";
                Path where = memory ? TMPFS : dir;
                List<Way> ways = new ArrayList<>();
                if (parts.contains("ring")) {
                    ring(subjects, where, place, ways, err);
                }
                if (parts.contains("nbd")) {
                    nbd(subjects, where, place, program, ways, err);
                }
                if (parts.contains("direct") && !memory) { // tmpfs is the page cache
                    direct(subjects, where, ways, err);
                }
                for (BlockTest test : tests(memory)) {
                    for (Way way : ways) {
                        contenders.add(
                                new BlockContender(way.name(), way.subject(), test, way.runner()));
                    }
                }
            }
            warmUp(contenders, err);
            rows = options.measure("block", contenders, it -> it.run(options.seconds()), err);
        } finally {
            closeAll();
            Bed.forget(hook);
        }
        options.report("Disks", machine, rows, command);
        return 0;
    }

    /// An image that takes everything, and four rings.
    private void nothing(List<String> subjects, List<BlockContender> contenders)
            throws IOException {
        Map<String, String[]> words =
                Map.of(
                        "splitring",
                        new String[0],
                        "splitring-noted",
                        new String[] {BlkWorker.NOTED});
        for (String subject : subjects) {
            String[] more = words.get(subject);
            if (more != null) {
                BlockContender.Runner ring =
                        bed(TMPFS)
                                .ring(
                                        4,
                                        BlkWorker.NULL,
                                        DiskMode.WRITEBACK,
                                        DiskEngine.IO_URING,
                                        more);
                contenders.add(
                        new BlockContender("null", subject, new BlockTest(false, 4096, 128), ring));
            }
        }
    }

    private record Way(String name, String subject, BlockContender.Runner runner) {}

    private BlockBed bed(Path where) throws IOException {
        BlockBed bed = new BlockBed(where);
        synchronized (open) {
            open.add(bed);
        }
        return bed;
    }

    /// Reads are of the page cache wherever the file is, so they are measured in one place.
    private List<BlockTest> tests(boolean memory) {
        if (options.quick()) {
            return memory ? List.of(new BlockTest(true, 4 << 10, 32)) : List.of();
        }
        return BlockTest.ALL.stream().filter(test -> test.write() || !memory).toList();
    }

    private void ring(
            List<String> subjects, Path where, String place, List<Way> ways, PrintWriter err)
            throws IOException {
        BlockBed bed = bed(where);
        String name = "ring/" + place;
        if (subjects.contains("splitring")) {
            String image = bed.image("splitring").toString();
            ways.add(
                    new Way(
                            name,
                            "splitring",
                            bed.ring(1, image, DiskMode.WRITEBACK, DiskEngine.IO_URING)));
        }
        if (subjects.contains("splitring-persistent")) {
            String image = bed.image("persistent").toString();
            ways.add(
                    new Way(
                            name,
                            "splitring-persistent",
                            bed.ring(
                                    1,
                                    image,
                                    DiskMode.WRITEBACK,
                                    DiskEngine.IO_URING,
                                    BlkWorker.PERSISTENT)));
        }
        for (String engine : List.of("psync", "io_uring")) {
            if (subjects.contains(engine) && isThere("fio", "fio", engine, err)) {
                ways.add(new Way(name, engine, bed.raw(engine, bed.image(engine))));
            }
        }
    }

    private void direct(List<String> subjects, Path where, List<Way> ways, PrintWriter err)
            throws IOException {
        BlockBed bed = bed(where);
        String name = "direct/disk";
        if (subjects.contains("splitring")) {
            ways.add(
                    new Way(
                            name,
                            "splitring",
                            bed.ring(
                                    1,
                                    bed.image("splitring").toString(),
                                    DiskMode.DIRECT,
                                    DiskEngine.IO_URING)));
        }
        if (subjects.contains("splitring-threads")) {
            ways.add(
                    new Way(
                            name,
                            "splitring-threads",
                            bed.ring(
                                    1,
                                    bed.image("threads").toString(),
                                    DiskMode.DIRECT,
                                    DiskEngine.THREADS)));
        }
        for (String engine : List.of("psync", "io_uring")) {
            if (subjects.contains(engine) && isThere("fio", "fio", engine, err)) {
                ways.add(new Way(name, engine, bed.raw(engine, bed.image(engine), "--direct=1")));
            }
        }
    }

    private void nbd(
            List<String> subjects,
            Path where,
            String place,
            String program,
            List<Way> ways,
            PrintWriter err)
            throws IOException, InterruptedException {
        if (!isThere("fio", "fio", "NBD", err)) {
            return;
        }
        BlockBed bed = bed(where);
        String name = "nbd/" + place;
        if (subjects.contains("splitring")) {
            ways.add(new Way(name, "splitring", bed.lab(program, bed.image("splitring"))));
        }
        if (subjects.contains(BenchReport.SERVED)) {
            ways.add(new Way(name, BenchReport.SERVED, bed.served(program, bed.image("served"))));
        }
        if (subjects.contains("qemu-nbd") && isThere("qemu-nbd", "qemu-utils", "qemu-nbd", err)) {
            ways.add(
                    new Way(
                            name,
                            "qemu-nbd",
                            bed.server(
                                    "qemu-nbd",
                                    bed.image("qemu-nbd"),
                                    "qemu-nbd",
                                    "--persistent",
                                    "--cache=writeback",
                                    "--aio=io_uring",
                                    "--format=raw",
                                    "--socket=SOCKET",
                                    "IMAGE")));
        }
        if (subjects.contains("qsd")
                && isThere("qemu-storage-daemon", "qemu-system-common", "qsd", err)) {
            ways.add(
                    new Way(
                            name,
                            "qsd",
                            bed.server(
                                    "qsd",
                                    bed.image("qsd"),
                                    "qemu-storage-daemon",
                                    "--blockdev",
                                    "driver=file,node-name=disk,filename=IMAGE,aio=io_uring",
                                    "--nbd-server",
                                    "addr.type=unix,addr.path=SOCKET",
                                    "--export",
                                    "type=nbd,id=e,node-name=disk,name=,writable=on")));
        }
        if (subjects.contains("nbdkit") && isThere("nbdkit", "nbdkit", "nbdkit", err)) {
            ways.add(
                    new Way(
                            name,
                            "nbdkit",
                            bed.server(
                                    "nbdkit",
                                    bed.image("nbdkit"),
                                    "nbdkit",
                                    "--foreground",
                                    "--unix=SOCKET",
                                    "file",
                                    "IMAGE")));
        }
    }

    private static boolean isThere(
            String program, String debianPackage, String subject, PrintWriter err) {
        Needed needed = new Needed(program, debianPackage);
        if (!needed.isInstalled()) {
            err.println("note: " + subject + " is left out: " + needed.isMissing());
        }
        return needed.isInstalled();
    }

    /// A JVM compiles what runs often.
    private void warmUp(List<BlockContender> contenders, PrintWriter err)
            throws IOException, InterruptedException {
        if (options.quick()) {
            return;
        }
        for (BlockContender contender : contenders) {
            if (contender.subject().startsWith("splitring")) {
                err.println("warming up: " + contender);
                err.flush();
                var ignored = contender.run(2);
            }
        }
    }

    private void closeAll() {
        List<Bed> all;
        synchronized (open) {
            all = List.copyOf(open);
        }
        all.forEach(Bed::close); // and who meets another at that waits for it
    }
}
