package org.splitring.driverdomain;

import java.io.PrintWriter;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.image.BackingFolders;
import org.splitring.blkback.image.CheckReport;
import org.splitring.blkback.image.DiskSource;
import org.splitring.blkback.image.FileSource;
import org.splitring.blkback.image.ImageFiles;
import org.splitring.blkback.image.ImageFormat;
import org.splitring.blkback.image.ImageInfo;
import org.splitring.blkback.image.NbdSource;
import org.splitring.driverdomain.lab.Size;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `splitring disk`: images that no guest uses.
@Command(
        name = "disk",
        description = {
            "Make images, look at them, check, convert, and resize them, and base one on another.",
            "The format is what -f says, and never what the file looks like."
        },
        mixinStandardHelpOptions = true,
        synopsisSubcommandLabel = "COMMAND",
        subcommands = {
            DiskCommand.Create.class,
            DiskCommand.Info.class,
            DiskCommand.Check.class,
            DiskCommand.Convert.class,
            DiskCommand.Snapshot.class,
            DiskCommand.Resize.class,
            DiskServeCommand.class
        })
final class DiskCommand implements Callable<Integer> {
    @Spec
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private CommandSpec spec;

    @Override
    public Integer call() {
        throw new CommandLine.ParameterException(
                spec.commandLine(), "a command of disk is missing");
    }

    /// What all of them have.
    abstract static class OnImages implements Callable<Integer> {
        @Spec
        @SuppressWarnings("NullAway.Init") // picocli sets it
        CommandSpec spec;

        PrintWriter out() {
            return spec.commandLine().getOut();
        }

        /// An image, or the export of a server, which is raw.
        static DiskSource source(String name, String format)
                throws CommandException, DiskException {
            if (NbdSource.isOne(name)) {
                NbdSource export = NbdSource.parse(name, Path.of(""));
                if (!format.equals(ImageFormat.RAW.label())) {
                    throw new CommandException(
                            "format \"" + format + "\": the export of an NBD server is raw");
                }
                return export;
            }
            try {
                return source(Path.of(name), format);
            } catch (InvalidPathException e) {
                throw new CommandException(
                        "\"" + DiskException.printable(name) + "\" is not a path", e);
            }
        }

        static FileSource source(Path path, String format) throws CommandException {
            ImageFormat known =
                    ImageFormat.of(format)
                            .orElseThrow(
                                    () ->
                                            new CommandException(
                                                    "format \""
                                                            + format
                                                            + "\" is none of "
                                                            + ImageFormat.labels()));
            return new FileSource(known, path.toAbsolutePath().normalize());
        }

        static long size(String text) throws CommandException {
            OptionalLong bytes = Size.parse(text);
            if (bytes.isEmpty()) {
                throw new CommandException("\"" + text + "\" is not a size such as 64MiB");
            }
            return bytes.getAsLong();
        }

        static int clusterBytes(@Nullable String text) throws CommandException {
            if (text == null) {
                return ImageFiles.defaultClusterBytes();
            }
            return (int) Math.min(Integer.MAX_VALUE, size(text));
        }

        @Override
        public final Integer call() throws CommandException {
            try {
                return run();
            } catch (DiskException e) {
                throw new CommandException(String.valueOf(e.getMessage()), e);
            }
        }

        abstract int run() throws DiskException, CommandException;
    }

    /// Where backing files may be.
    static final class Folders {
        @Option(
                names = "--backing-folder",
                paramLabel = "DIR",
                description = {
                    "Folder where an image's backing files may be, besides its own; may be",
                    "given several times."
                })
        private List<Path> folders = List.of();

        BackingFolders folders() {
            return new BackingFolders(folders.stream().map(Path::toAbsolutePath).toList());
        }
    }

    /// `splitring disk create`.
    @Command(
            name = "create",
            description =
                    "Make an image of zeros; it takes hardly any room until it is written to.",
            mixinStandardHelpOptions = true,
            footer = {"", "For example: ./splitring disk create -f qcow2 web.qcow2 20GiB"})
    static final class Create extends OnImages {
        @Option(
                names = {"-f", "--format"},
                required = true,
                description = "Format of the image: raw, qcow2, vhd.")
        private String format = "";

        @Option(
                names = "--cluster",
                paramLabel = "SIZE",
                description = "Clusters of qcow2 (64KiB).")
        private @Nullable String cluster;

        @Parameters(index = "0", paramLabel = "IMAGE")
        @SuppressWarnings("NullAway.Init") // picocli sets it
        private Path image;

        @Parameters(index = "1", paramLabel = "SIZE", description = "Such as 64MiB or 20GiB.")
        private String size = "";

        @Override
        int run() throws DiskException, CommandException {
            FileSource source = source(image, format);
            long bytes = size(size);
            ImageFiles.create(source, bytes, clusterBytes(cluster));
            out().println("made " + image + ": " + format + ", a disk of " + Sizes.text(bytes));
            return 0;
        }
    }

    /// `splitring disk info`.
    @Command(
            name = "info",
            description = {
                "Say what an image says about itself, or a server about its export. It may be in",
                "use; nothing that it names is opened."
            },
            mixinStandardHelpOptions = true)
    static final class Info extends OnImages {
        @Option(
                names = {"-f", "--format"},
                required = true,
                description = "Format of the image: raw, qcow2, vhd.")
        private String format = "";

        @Parameters(
                index = "0",
                paramLabel = "IMAGE",
                description = "A file, or a server's export: nbd://HOST/NAME.")
        private String image = "";

        @Override
        int run() throws DiskException, CommandException {
            ImageInfo info = ImageFiles.info(source(image, format));
            out().println("image:    " + image);
            out().println(
                            "format:   "
                                    + format
                                    + (info.details().isEmpty() ? "" : ", " + info.details()));
            out().println(
                            "disk:     "
                                    + Sizes.text(info.sizeBytes())
                                    + " ("
                                    + info.sizeBytes()
                                    + " bytes)");
            if (info.fileBytes() >= 0) {
                out().println("takes:    " + Sizes.text(info.fileBytes()));
            }
            if (!info.backingFile().isEmpty()) {
                String of = info.backingFormat().isEmpty() ? "no format" : info.backingFormat();
                out().println("based on: " + info.backingFile() + " (" + of + ")");
            }
            return 0;
        }
    }

    /// `splitring disk check`.
    @Command(
            name = "check",
            description = {
                "Compare an image's tables with each other. Room that is leaked, as after a loss of",
                "power, costs nothing but room."
            },
            mixinStandardHelpOptions = true,
            exitCodeListHeading = "%nExit status:%n",
            exitCodeList = {
                "0:clean, or leaks that were given back",
                "1:damaged, or not an image",
                "3:leaks"
            })
    static final class Check extends OnImages {
        private static final int LEAKS = 3; // as qemu-img has it

        @Option(
                names = {"-f", "--format"},
                required = true,
                description = "Format of the image: qcow2, vhd.")
        private String format = "";

        @Option(
                names = "--repair-leaks",
                description = "Give leaked room back, unless something is damaged.")
        private boolean repair;

        @Parameters(index = "0", paramLabel = "IMAGE")
        @SuppressWarnings("NullAway.Init") // picocli sets it
        private Path image;

        @Override
        int run() throws DiskException, CommandException {
            ProgressLine progress = new ProgressLine("checked");
            CheckReport report = ImageFiles.check(source(image, format), repair, progress);
            progress.end();
            report.damages().forEach(line -> out().println("damage: " + line));
            if (report.damageCount() > report.damages().size()) {
                out().println("and more: " + report.damageCount() + " damages in all");
            }
            if (report.leakedClusters() > 0) {
                out().println(
                                report.leakedClusters()
                                        + " clusters leaked ("
                                        + Sizes.text(
                                                report.leakedClusters() * report.clusterBytes())
                                        + (repair && report.damageCount() == 0
                                                ? "), given back"
                                                : ")"));
            }
            if (report.isClean()) {
                out().println(
                                "clean: "
                                        + report.usedClusters()
                                        + " clusters, "
                                        + Sizes.text(
                                                report.usedClusters() * report.clusterBytes()));
            }
            if (report.damageCount() > 0) {
                throw new CommandException("image " + image + " is damaged");
            }
            return report.leakedClusters() > 0 && !repair ? LEAKS : 0;
        }
    }

    /// `splitring disk convert`.
    @Command(
            name = "convert",
            description = {
                "Copy a disk, with all that it is based on, into a new image that is based on",
                "nothing, or into the export of an NBD server (nbd://HOST/NAME). Zeros take no",
                "room in it."
            },
            mixinStandardHelpOptions = true,
            footer = {
                "",
                "For example: ./splitring disk convert -f raw -O qcow2 web.img web.qcow2"
            })
    static final class Convert extends OnImages {
        @Option(
                names = {"-f", "--format"},
                required = true,
                description = "Format of FROM: raw, qcow2, vhd, extents.")
        private String format = "";

        @Option(
                names = {"-O", "--output-format"},
                required = true,
                description = "Format of TO.")
        private String outputFormat = "";

        @Option(
                names = "--cluster",
                paramLabel = "SIZE",
                description = "Clusters of qcow2 (64KiB).")
        private @Nullable String cluster;

        @Mixin private Folders folders = new Folders();

        @Parameters(index = "0", paramLabel = "FROM", description = "A file or an export.")
        private String from = "";

        @Parameters(
                index = "1",
                paramLabel = "TO",
                description = "A file, which is made, or an export that is there.")
        private String to = "";

        @Override
        int run() throws DiskException, CommandException {
            DiskSource target = source(to, outputFormat);
            ProgressLine progress = new ProgressLine("copied");
            ImageFiles.convert(
                    source(from, format),
                    target,
                    clusterBytes(cluster),
                    folders.folders(),
                    progress);
            progress.end();
            ImageInfo info = ImageFiles.info(target);
            if (target instanceof NbdSource) {
                out().println("filled " + to + ", a disk of " + Sizes.text(info.sizeBytes()));
                return 0;
            }
            out().println(
                            "made %s: %s, a disk of %s that takes %s"
                                    .formatted(
                                            to,
                                            outputFormat,
                                            Sizes.text(info.sizeBytes()),
                                            Sizes.text(info.fileBytes())));
            return 0;
        }
    }

    /// `splitring disk snapshot`.
    @Command(
            name = "snapshot",
            description = {
                "Keep an image as it is now: make a qcow2 image that is based on it, and takes what is",
                "written from now on. Give the new one to the guest; the old one must not be written",
                "to any more. Snapshots inside of a qcow2 image are not made."
            },
            mixinStandardHelpOptions = true)
    static final class Snapshot extends OnImages {
        @Option(
                names = {"-f", "--format"},
                required = true,
                description = "Format of IMAGE: raw, qcow2, vhd.")
        private String format = "";

        @Option(names = "--cluster", paramLabel = "SIZE", description = "Clusters of NEW (64KiB).")
        private @Nullable String cluster;

        @Parameters(index = "0", paramLabel = "IMAGE", description = "Stays as it is.")
        @SuppressWarnings("NullAway.Init") // picocli sets it
        private Path image;

        @Parameters(index = "1", paramLabel = "NEW", description = "Is made, beside IMAGE.")
        @SuppressWarnings("NullAway.Init") // picocli sets it
        private Path overlay;

        @Override
        int run() throws DiskException, CommandException {
            ImageFiles.overlay(
                    source(image, format),
                    overlay.toAbsolutePath(),
                    clusterBytes(cluster),
                    BackingFolders.ownOnly());
            out().println("made " + overlay + ", based on " + image);
            return 0;
        }
    }

    /// `splitring disk resize`.
    @Command(
            name = "resize",
            description = "Make a disk larger or smaller; what comes new reads as zeros.",
            mixinStandardHelpOptions = true)
    static final class Resize extends OnImages {
        @Option(
                names = {"-f", "--format"},
                required = true,
                description = "Format of the image: raw, qcow2, vhd.")
        private String format = "";

        @Option(names = "--shrink", description = "Yes, smaller: lose what is behind the new end.")
        private boolean shrink;

        @Mixin private Folders folders = new Folders();

        @Parameters(index = "0", paramLabel = "IMAGE")
        @SuppressWarnings("NullAway.Init") // picocli sets it
        private Path image;

        @Parameters(index = "1", paramLabel = "SIZE", description = "Such as 64MiB or 20GiB.")
        private String size = "";

        @Override
        int run() throws DiskException, CommandException {
            long bytes = size(size);
            ImageFiles.resize(source(image, format), bytes, shrink, folders.folders());
            out().println(image + " is a disk of " + Sizes.text(bytes) + " now");
            return 0;
        }
    }
}
