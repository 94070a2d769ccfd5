package org.splitring.benchmarks.stress;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.DiskMode;
import org.splitring.blkfront.VbdFrontendOptions;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/// What is asked of disks.
final class BlockOptions {
    /// Where requests go.
    enum Pattern {
        RANDOM,
        SEQUENTIAL
    }

    private static final int PAGE = 4096;
    private static final int MOST_SIZE = 1 << 20;
    private static final long MOST_UNDER_WAY = 48L << 20; // of 16,384 pages that may be mapped
    private static final int PAGES_FOR_THE_REST = 512; // grant table, requests in pages

    @Option(
            names = "--size",
            paramLabel = "SIZE",
            defaultValue = "4k",
            converter = Amounts.Size.class,
            description =
                    "Bytes of a request: 512 to 1M, whole sectors (default: ${DEFAULT-VALUE}).")
    private long size;

    @Option(
            names = "--depth",
            paramLabel = "N",
            defaultValue = "32",
            description = "Requests under way at each disk, at most (default: ${DEFAULT-VALUE}).")
    private int depth;

    @Option(
            names = "--queues",
            paramLabel = "N",
            defaultValue = "1",
            description = "Rings of each disk, 1 to 16 (default: ${DEFAULT-VALUE}).")
    private int queues;

    @Option(
            names = "--ring-pages",
            paramLabel = "N",
            defaultValue = "4",
            description = "Pages of a ring: 1, 2, 4, 8 or 16 (default: ${DEFAULT-VALUE}).")
    private int ringPages;

    @Option(
            names = "--disks",
            paramLabel = "N",
            defaultValue = "1",
            description = "Disks of each guest, 1 to 16 (default: ${DEFAULT-VALUE}).")
    private int disks;

    @Option(
            names = "--mix",
            paramLabel = "KIND=SHARE,...",
            defaultValue = "read=70,write=30",
            converter = Mix.Converter.class,
            description =
                    "Shares of read, write, flush and discard, such as read=70,write=25,flush=5"
                            + " (default: ${DEFAULT-VALUE}).")
    private Mix mix = Mix.parse("read=70,write=30");

    @Option(
            names = "--pattern",
            paramLabel = "HOW",
            defaultValue = "random",
            converter = Choices.PatternName.class,
            description = "Places of requests: random or sequential (default: ${DEFAULT-VALUE}).")
    private Pattern pattern = Pattern.RANDOM;

    @Option(
            names = "--verify",
            negatable = true,
            defaultValue = "true",
            fallbackValue = "true",
            description =
                    "Writes blocks that say what they are, and checks what is read (default; off"
                            + " with --no-verify).")
    private boolean verify;

    @Option(
            names = "--fill",
            negatable = true,
            defaultValue = "true",
            fallbackValue = "true",
            description =
                    "Writes every block once before the first run, so that reads find something"
                            + " (default; off with --no-fill).")
    private boolean fill;

    @Option(
            names = "--image",
            paramLabel = "IMAGE",
            defaultValue = StressImages.MEMORY,
            description = {
                "memory (default): files on tmpfs; null: takes everything and keeps nothing; or a"
                        + " FILE, FILE.1, FILE.2... with several disks.",
                "A file that is made here is removed at the end."
            })
    private String image = StressImages.MEMORY;

    @Option(
            names = "--image-size",
            paramLabel = "SIZE",
            converter = Amounts.Size.class,
            description = "Size of each image that is made (default: 16M).")
    private @Nullable Long imageSize;

    @Option(names = "--overwrite", description = "What is in an image that exists may be lost.")
    private boolean overwrite;

    @Option(
            names = "--cache",
            paramLabel = "MODE",
            defaultValue = "writeback",
            converter = Choices.CacheName.class,
            description =
                    "When a write is safe: writeback, writethrough, direct (past the page cache) or"
                            + " unsafe (default: ${DEFAULT-VALUE}).")
    private DiskMode cache = DiskMode.WRITEBACK;

    void check(CommandSpec command) {
        if (size < BlockPattern.LEAST_BYTES || size > MOST_SIZE || size % 512 != 0) {
            throw wrong(command, "--size must be 512 to 1M in whole sectors of 512, not " + size);
        }
        StressOptions.range(command, "--depth", depth, 1, 1024);
        StressOptions.range(command, "--queues", queues, 1, 16);
        StressOptions.range(command, "--disks", disks, 1, 16);
        if (Integer.bitCount(ringPages) != 1 || ringPages > 16) {
            throw wrong(command, "--ring-pages must be 1, 2, 4, 8 or 16, not " + ringPages);
        }
        if (bufferBytes() * disks > MOST_UNDER_WAY) {
            throw wrong(
                    command,
                    "--depth "
                            + depth
                            + " of --size "
                            + Amounts.size(size)
                            + " at "
                            + disks
                            + " disks are more than the 48 MiB that a guest may have under way: less"
                            + " depth, or smaller requests");
        }
        boolean isNull = image.equals(StressImages.NULL);
        if (isNull && verify) {
            throw wrong(
                    command, "--image null keeps nothing that could be checked: add --no-verify");
        }
        if (imageSize != null && (imageSize % 512 != 0 || imageSize / size < 2L * depth)) {
            throw wrong(
                    command,
                    "--image-size must be whole sectors and have room for twice --depth requests of"
                            + " --size, so at least "
                            + 2L * depth * size
                            + ", not "
                            + imageSize);
        }
        if (!image.equals(StressImages.MEMORY) && !isNull && Files.isDirectory(Path.of(image))) {
            throw wrong(command, "--image " + image + " is a folder: name a file in it");
        }
    }

    private static ParameterException wrong(CommandSpec command, String message) {
        return new ParameterException(command.commandLine(), message);
    }

    int disks() {
        return disks;
    }

    DiskLoad.Settings load() {
        return new DiskLoad.Settings((int) size, depth, mix, pattern == Pattern.SEQUENTIAL, verify);
    }

    StressImages.Settings images() {
        return new StressImages.Settings(image, imageSize, overwrite, cache, mix.isReadOnly());
    }

    /// Whether images are to be written all over before the first run.
    boolean fills() {
        boolean kept = !image.equals(StressImages.NULL);
        return fill && kept && (overwrite || !mix.isReadOnly() || !Files.exists(Path.of(image)));
    }

    VbdFrontendOptions frontend() {
        return VbdFrontendOptions.DEFAULT
                .withQueues(queues)
                .withRingPageOrder(Integer.numberOfTrailingZeros(ringPages))
                .withBufferBytes((int) bufferBytes());
    }

    /// What a guest needs.
    long memoryBytes() {
        long rings = (long) queues * (ringPages + 64L) * PAGE; // and their indirect requests
        return disks * (bufferBytes() + rings) + (long) PAGES_FOR_THE_REST * PAGE;
    }

    private long bufferBytes() {
        return (size + PAGE - 1) / PAGE * PAGE * depth;
    }

    void describe(Map<String, String> settings) {
        settings.put("size", Amounts.size(size));
        settings.put("depth", Integer.toString(depth));
        settings.put("queues", Integer.toString(queues));
        settings.put("ring pages", Integer.toString(ringPages));
        settings.put("disks", Integer.toString(disks));
        settings.put("mix", mix.toString());
        settings.put("pattern", pattern.name().toLowerCase(Locale.ROOT));
        settings.put("verify", verify ? "yes" : "no");
        settings.put("image", image);
        if (imageSize != null) {
            settings.put("image size", Amounts.size(imageSize));
        }
        settings.put("cache", cache.label());
    }
}
