package org.splitring.benchmarks;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Deque;
import java.util.List;
import java.util.Map;

/// An ext4 file system on a disk, mounted. Not every kernel has an NBD client, so `nbdfuse`
/// shows an export as a file, and a loop device makes a disk of that; the side it is compared with
/// has the same two before it.
final class PaperDisk extends Bed {
    /// Sparse.
    static final long IMAGE_BYTES = 1L << 30;

    static final List<Needed> NEEDS =
            List.of(
                    new Needed("nbdfuse", "libnbd-bin"),
                    new Needed("nbdkit", "nbdkit"),
                    new Needed("losetup", "mount"),
                    new Needed("mkfs.ext4", "e2fsprogs"));

    private final Path mountPoint;

    private PaperDisk(Deque<Bed> open) throws IOException {
        mountPoint = Files.createDirectory(folder().resolve("files"));
        // A database runs as a user of its own.
        Files.setPosixFilePermissions(folder(), PosixFilePermissions.fromString("rwx--x--x"));
        open.push(this);
    }

    /// An image, sparse, in a folder.
    static Path image(Path image) throws IOException {
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            file.setLength(IMAGE_BYTES);
        }
        return image;
    }

    /// A file system straight on an image.
    static PaperDisk bare(Path image, Deque<Bed> open) throws IOException, InterruptedException {
        return new PaperDisk(open).built(disk -> disk.mount(image));
    }

    /// A file system on an image behind `nbdkit`.
    static PaperDisk nbdkit(Path image, Deque<Bed> open) throws IOException, InterruptedException {
        return new PaperDisk(open)
                .built(
                        disk -> {
                            Path socket = disk.folder().resolve("nbdkit.sock");
                            Process server =
                                    disk.start(
                                            "nbdkit",
                                            List.of(
                                                    "nbdkit",
                                                    "--foreground",
                                                    "--unix=" + socket,
                                                    "file",
                                                    image.toString()),
                                            Map.of());
                            await(
                                    () -> Files.exists(socket) || !server.isAlive(),
                                    "the socket of nbdkit");
                            disk.mountExport(socket);
                        });
    }

    /// A file system on the export at a socket.
    static PaperDisk export(Path socket, Deque<Bed> open) throws IOException, InterruptedException {
        return new PaperDisk(open).built(disk -> disk.mountExport(socket));
    }

    private interface Step {
        void build(PaperDisk disk) throws IOException, InterruptedException;
    }

    private PaperDisk built(Step step) throws IOException, InterruptedException {
        boolean built = false;
        try {
            step.build(this);
            built = true;
            return this;
        } finally {
            if (!built) {
                close();
            }
        }
    }

    private void mountExport(Path socket) throws IOException, InterruptedException {
        Path file = Files.createFile(folder().resolve("disk.raw"));
        Process fuse =
                start(
                        "nbdfuse",
                        List.of("nbdfuse", file.toString(), "--unix", socket.toString()),
                        Map.of());
        later(() -> ToolProgram.run(List.of("umount", file.toString())));
        await(() -> Files.size(file) == IMAGE_BYTES || !fuse.isAlive(), "the file of nbdfuse");
        if (!fuse.isAlive()) {
            throw new IOException(
                    "nbdfuse: " + Files.readString(folder().resolve("nbdfuse.out")).strip());
        }
        mount(file);
    }

    private void mount(Path file) throws IOException, InterruptedException {
        String device =
                ToolProgram.run(List.of("losetup", "-f", "--show", file.toString())).strip();
        later(() -> ToolProgram.run(List.of("losetup", "-d", device)));
        ToolProgram.run(List.of("mkfs.ext4", "-q", "-E", "nodiscard", device));
        ToolProgram.run(List.of("mount", device, mountPoint.toString()));
        later(() -> ToolProgram.run(List.of("umount", mountPoint.toString())));
    }

    /// Where the file system is.
    Path files() {
        return mountPoint;
    }
}
