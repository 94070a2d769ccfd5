package org.splitring.driverdomain;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.splitring.driverdomain.lab.LabDisk;
import org.splitring.driverdomain.lab.LabDomain;
import org.splitring.driverdomain.lab.MemoryDisks;
import org.splitring.driverdomain.lab.SavedDomain;

/// What is on the disks in memory of a guest that is saved: a file for each beside that of the
/// guest, named after both. It is as large as the disk, and zeros take no room in it.
final class SavedMemory {
    private static final int CHUNK_BYTES = 1 << 20;
    private static final int GRAIN_BYTES = 64 << 10;

    private final Path saved;

    /// @param saved file of the guest
    SavedMemory(Path saved) {
        this.saved = saved;
    }

    private Path file(String disk) {
        return saved.resolveSibling(saved.getFileName() + "." + disk);
    }

    /// @throws CommandException when a file is in the way
    void checkFree(List<HeldDisks.Disk> disks) throws CommandException {
        for (HeldDisks.Disk disk : disks) {
            if (MemoryDisks.isOne(disk.image()) && Files.exists(file(disk.name()))) {
                throw new CommandException(
                        file(disk.name())
                                + ", which is for disk "
                                + disk.name()
                                + " in memory, is there already, and is not overwritten; give"
                                + " another file");
            }
        }
    }

    /// Writes what is on those disks that are in memory. Nothing may change them meanwhile.
    ///
    /// @return the SHA-256 of each, by its name
    /// @throws IOException when one cannot be written; then there are none
    Map<String, String> write(List<HeldDisks.Disk> disks) throws IOException {
        Map<String, String> digests = new TreeMap<>();
        boolean complete = false;
        try {
            for (HeldDisks.Disk disk : disks) {
                if (MemoryDisks.isOne(disk.image())) {
                    digests.put(
                            disk.name(), write(Path.of(disk.image().name()), file(disk.name())));
                }
            }
            complete = true;
            return digests;
        } finally {
            if (!complete) {
                delete(digests);
            }
        }
    }

    private static String write(Path image, Path file) throws IOException {
        boolean complete = false;
        try (FileChannel from = FileChannel.open(image);
                FileChannel to =
                        FileChannel.open(
                                file, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW)) {
            try {
                String digest = copy(from, to, from.size());
                to.force(true);
                complete = true;
                return digest;
            } finally {
                if (!complete) {
                    Files.delete(file);
                }
            }
        }
    }

    /// Takes the files away again.
    void delete(Map<String, String> digests) throws IOException {
        for (String disk : digests.keySet()) {
            Files.deleteIfExists(file(disk));
        }
    }

    /// Fills the disks in memory of a guest that is made again; they are there, with zeros.
    ///
    /// @throws CommandException when the files are not those that were saved
    void read(SavedDomain domain, LabDomain made) throws CommandException {
        for (LabDisk disk : made.disks()) {
            String digest = domain.memoryDisks().get(disk.device().name());
            if (digest != null && MemoryDisks.isOne(disk.source())) {
                read(disk, digest);
            }
        }
    }

    private void read(LabDisk disk, String digest) throws CommandException {
        Path file = file(disk.device().name());
        String what = file + ", which has disk " + disk.device().name() + " in memory, ";
        try (FileChannel from = FileChannel.open(file);
                FileChannel to =
                        FileChannel.open(Path.of(disk.source().name()), StandardOpenOption.WRITE)) {
            long size = disk.createBytes().orElseThrow();
            if (from.size() != size) {
                throw new CommandException(
                        what + "has " + from.size() + " bytes, and the disk had " + size);
            }
            if (!copy(from, to, size).equals(digest)) {
                throw new CommandException(
                        what + "is damaged, or was changed: its sha256 is another");
            }
        } catch (NoSuchFileException e) {
            throw new CommandException(what + "is not there", e);
        } catch (IOException e) {
            throw new CommandException(what + "cannot be read: " + e, e);
        }
    }

    /// @param to reads as zeros everywhere; has the same size after it
    /// @return the SHA-256 of all
    private static String copy(FileChannel from, FileChannel to, long size) throws IOException {
        MessageDigest sha;
        try {
            sha = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e); // every Java has it
        }
        ByteBuffer chunk = ByteBuffer.allocateDirect(CHUNK_BYTES);
        ByteBuffer zeros = ByteBuffer.allocateDirect(GRAIN_BYTES);
        for (long at = 0; at < size; at += chunk.limit()) {
            chunk.clear().limit((int) Math.min(CHUNK_BYTES, size - at));
            while (chunk.hasRemaining()) {
                if (from.read(chunk, at + chunk.position()) < 0) {
                    throw new EOFException("it has become shorter");
                }
            }
            sha.update(chunk.flip().duplicate());
            for (int grain = 0; grain < chunk.limit(); grain += GRAIN_BYTES) {
                int length = Math.min(GRAIN_BYTES, chunk.limit() - grain);
                ByteBuffer part = chunk.slice(grain, length);
                boolean last = at + grain + length == size; // gives the file its size
                if (last || !part.equals(zeros.slice(0, length))) {
                    while (part.hasRemaining()) {
                        to.write(part, at + grain + part.position());
                    }
                }
            }
        }
        return HexFormat.of().formatHex(sha.digest());
    }
}
