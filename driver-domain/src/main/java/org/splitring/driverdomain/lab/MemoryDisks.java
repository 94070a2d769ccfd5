package org.splitring.driverdomain.lab;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;
import java.util.UUID;
import org.splitring.blkback.image.DiskSource;
import org.splitring.blkback.image.FileSource;
import org.splitring.blkback.image.ImageFormat;

/// Disks in memory, whose target is `memory:SIZE`. Each is a raw image on the file system that
/// Linux has for shared memory, named after lab file, domain and disk. So it outlives a driver
/// domain that is replaced or killed, while its guest goes on; and it is gone when the lab is
/// stopped.
public final class MemoryDisks {
    private static final String PREFIX = "memory:";
    private static final String NAME = "splitring-memory-";
    private static final Path FOLDER = Path.of("/dev/shm");

    private MemoryDisks() {}

    static boolean isOne(String target) {
        return target.startsWith(PREFIX);
    }

    /// How a lab file names a disk in memory of so many bytes.
    public static String target(long sizeBytes) {
        return PREFIX + sizeBytes;
    }

    /// @throws LabException with a message that says what is wrong, without the place
    static long sizeBytes(String target) throws LabException {
        String text = target.substring(PREFIX.length());
        OptionalLong size = Size.parse(text);
        if (size.isEmpty()) {
            throw new LabException(
                    "target \""
                            + LabFile.printable(target)
                            + "\": not of the form memory:SIZE, such as memory:64MiB");
        }
        if (size.getAsLong() <= 0 || size.getAsLong() % 512 != 0) {
            throw new LabException(
                    "target \""
                            + LabFile.printable(target)
                            + "\" is not a whole number of sectors of 512 bytes");
        }
        return size.getAsLong();
    }

    static FileSource image(Path labFile, String domain, VirtualDevice device) {
        return new FileSource(
                ImageFormat.RAW, FOLDER.resolve(lab(labFile) + domain + "-" + device.name()));
    }

    private static String lab(Path labFile) {
        byte[] path =
                labFile.toAbsolutePath().normalize().toString().getBytes(StandardCharsets.UTF_8);
        return NAME + UUID.nameUUIDFromBytes(path) + "-";
    }

    /// Whether an image is a disk in memory.
    public static boolean isOne(DiskSource image) {
        return image instanceof FileSource file
                && FOLDER.equals(file.path().getParent())
                && file.path().getFileName().toString().startsWith(NAME);
    }

    /// Where the image of a disk waits while another one of the same name may take its place. It
    /// goes with the lab, too.
    public static Path aside(DiskSource image) {
        Path path = Path.of(image.name());
        return path.resolveSibling(path.getFileName() + ".aside");
    }

    /// How much memory there is for more, in bytes.
    public static long roomBytes() throws IOException {
        return Files.getFileStore(FOLDER).getUsableSpace();
    }

    /// Gives the memory of all disks of a lab back.
    public static void deleteAll(Path labFile) throws IOException {
        try (DirectoryStream<Path> images = Files.newDirectoryStream(FOLDER, lab(labFile) + "*")) {
            for (Path image : images) {
                Files.deleteIfExists(image);
            }
        }
    }
}
