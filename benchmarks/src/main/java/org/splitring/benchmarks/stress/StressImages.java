package org.splitring.benchmarks.stress;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.DiskAccess;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.DiskImage;
import org.splitring.blkback.DiskMode;

/// The images that a run uses: those it finds, which stay, and those it makes, which go with it.
final class StressImages implements AutoCloseable {
    /// Files in memory (tmpfs).
    static final String MEMORY = "memory";

    /// Takes everything and keeps nothing.
    static final String NULL = "null";

    /// How an image is had.
    ///
    /// @param where [#MEMORY], [#NULL] or the path of a file
    /// @param sizeBytes of each; `null` when it was not said
    /// @param overwrite whether what is in a file that exists may be lost
    /// @param readOnly whether nothing is written
    record Settings(
            String where,
            @Nullable Long sizeBytes,
            boolean overwrite,
            DiskMode mode,
            boolean readOnly) {}

    private static final Path SHARED_MEMORY = Path.of("/dev/shm");
    private static final long DEFAULT_BYTES = 16 << 20;

    private final Settings settings;
    private final int count;
    private final List<DiskImage> images = new ArrayList<>();
    private final List<Path> made = new ArrayList<>(); // also the folder, after what is in it
    private @Nullable Path folder;
    private boolean fresh = true;

    /// @param count how many there will be: one has the name that was given, several `NAME.1` on
    StressImages(Settings settings, int count) {
        this.settings = settings;
        this.count = count;
    }

    /// Whether all images that were opened so far are known to be zeros.
    boolean areFresh() {
        return fresh;
    }

    /// Makes or finds the next image, and opens it.
    ///
    /// @param end is told when its storage fails
    DiskImage open(RunEnd end) throws StressException {
        DiskImage image;
        try {
            image =
                    switch (settings.where()) {
                        case NULL ->
                                DiskImage.of(
                                        new NullStore(sizeBytes()), settings.mode(), Runnable::run);
                        case MEMORY -> create(inMemory());
                        default -> file(name());
                    };
        } catch (DiskException e) {
            throw new StressException(String.valueOf(e.getMessage()), e);
        }
        images.add(image);
        image.onFailure(failure -> end.fail(failure.toString()));
        return image;
    }

    private long sizeBytes() {
        return Objects.requireNonNullElse(settings.sizeBytes(), DEFAULT_BYTES);
    }

    private Path name() {
        return Path.of(count == 1 ? settings.where() : settings.where() + "." + number());
    }

    private int number() {
        return images.size() + 1;
    }

    private Path inMemory() throws StressException {
        Path in = folder;
        if (in == null) {
            try {
                in = Files.createTempDirectory(SHARED_MEMORY, "splitring-stress");
            } catch (IOException e) {
                throw new StressException(
                        "no images in memory: " + SHARED_MEMORY + ": " + e.getMessage(), e);
            }
            folder = in;
            made.add(in);
        }
        return in.resolve("image." + number());
    }

    private DiskImage file(Path path) throws DiskException, StressException {
        if (!Files.exists(path)) {
            if (settings.sizeBytes() == null) {
                throw new StressException(
                        "image "
                                + path
                                + " does not exist: add --image-size to have it made, and removed at"
                                + " the end");
            }
            return create(path);
        }
        fresh = false;
        if (settings.sizeBytes() != null) {
            throw new StressException(
                    "image " + path + " exists: leave out --image-size to use it as it is");
        }
        if (settings.readOnly()) {
            return DiskImage.open(path, DiskAccess.READ_ONLY, settings.mode());
        }
        if (!settings.overwrite()) {
            throw new StressException(
                    "image "
                            + path
                            + " exists, and what is in it would be lost: add --overwrite if it may"
                            + " be, or only read (--mix read=1)");
        }
        return DiskImage.open(path, DiskAccess.READ_WRITE, settings.mode());
    }

    private DiskImage create(Path path) throws StressException, DiskException {
        try {
            long needed = sizeBytes() * (count - images.size());
            long free =
                    Files.getFileStore(Objects.requireNonNull(path.toAbsolutePath().getParent()))
                            .getUsableSpace();
            if (free < needed) {
                throw new StressException(
                        "image %s: %s are needed there, and %s are free: fewer disks, or a smaller --image-size"
                                .formatted(
                                        path,
                                        Amounts.size(needed),
                                        Amounts.size(free >> 20 << 20)));
            }
            Files.createFile(path);
            made.add(path);
            try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
                file.setLength(sizeBytes());
            }
        } catch (NoSuchFileException e) {
            throw new StressException("image " + path + ": no such folder", e);
        } catch (StressException e) {
            throw e;
        } catch (IOException e) {
            throw new StressException("image " + path + ": cannot be made: " + e.getMessage(), e);
        }
        return DiskImage.open(path, DiskAccess.READ_WRITE, settings.mode());
    }

    /// Closes all images, and removes those that were made.
    ///
    /// @throws StressException when an image fails only now; other failures have been told
    @Override
    public void close() throws IOException {
        DiskException late = null;
        for (DiskImage image : images) {
            boolean told = image.failure().isPresent();
            try {
                image.close();
            } catch (DiskException e) {
                late = told ? late : e;
            }
        }
        for (Path path : made.reversed()) {
            Files.deleteIfExists(path);
        }
        if (late != null) {
            throw new StressException(String.valueOf(late.getMessage()), late);
        }
    }
}
