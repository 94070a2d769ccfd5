package org.splitring.xenbus.device;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DomId;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;

/// Notes of devices as files in a folder, one for each device: `vbd-5-51712`. On tmpfs they cost
/// memory only, and end with the host, as the rings do that they are about.
///
///     byte  0        8         12     16       32        40       64
///           +--------+---------+------+--------+---------+--------+---------------
///           | magic  | version | zero | id     | size    | zero   | of the device ..
///           +--------+---------+------+--------+---------+--------+---------------
///
/// Numbers are of the machine's byte order. `id` is 16 random bytes, `size` what the device has.
///
/// The folder is its owner's alone, and so is every file; one that is not, or whose header is not
/// exactly what it should be, is refused. One process has the folder at a time.
public final class NoteFolder implements DeviceNotes, AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(NoteFolder.class);

    private static final long MAGIC = 0x45544F4E_474E5253L; // "SRNGNOTE" where bytes go that way
    private static final int VERSION = 1;
    private static final int MAGIC_AT = 0;
    private static final int VERSION_AT = 8;
    private static final int ID_AT = 16;
    private static final int ID_BYTES = 16;
    private static final int SIZE_AT = 32;
    private static final int HEADER_BYTES = 64;

    private static final String LOCK = "lock";
    private static final long LOCK_LOOKS = 100;
    private static final long LOOK_MILLIS = 100;

    private static final Set<PosixFilePermission> FOLDER_RIGHTS =
            PosixFilePermissions.fromString("rwx------");
    private static final Set<PosixFilePermission> FILE_RIGHTS =
            PosixFilePermissions.fromString("rw-------");
    private static final Set<OpenOption> EXISTING =
            Set.of(StandardOpenOption.READ, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS);
    private static final Set<OpenOption> NEW =
            Set.of(
                    StandardOpenOption.READ,
                    StandardOpenOption.WRITE,
                    StandardOpenOption.CREATE_NEW,
                    LinkOption.NOFOLLOW_LINKS);
    private static final Set<OpenOption> MAYBE_NEW =
            Set.of(StandardOpenOption.WRITE, StandardOpenOption.CREATE, LinkOption.NOFOLLOW_LINKS);
    private static final Pattern NAME = Pattern.compile("([A-Za-z0-9_-]+)-([0-9]+)-([0-9]+)");

    private final Path folder;
    private final FileChannel lock;
    private final SecureRandom random = new SecureRandom();

    private NoteFolder(Path folder, FileChannel lock) {
        this.folder = folder;
        this.lock = lock;
    }

    /// Opens the folder, which is made where it is not there yet. A process that has it is given
    /// ten seconds to end: one that was killed may have something to finish in the kernel.
    ///
    /// @throws IOException when it cannot be used; one line that says why
    public static NoteFolder open(Path folder) throws IOException {
        return open(folder, LOCK_LOOKS);
    }

    static NoteFolder open(Path folder, long looks) throws IOException {
        try {
            Files.createDirectory(folder, PosixFilePermissions.asFileAttribute(FOLDER_RIGHTS));
        } catch (FileAlreadyExistsException e) {
            LOG.debug("{} is there", folder);
        } catch (NoSuchFileException e) {
            throw new IOException(folder + ": there is no " + folder.getParent(), e);
        }
        PosixFileAttributes found = attributes(folder);
        if (!found.isDirectory()) {
            throw new IOException(folder + " is not a folder");
        }
        checkOwner(folder);
        if (!found.permissions().equals(FOLDER_RIGHTS)) {
            throw new IOException(
                    folder + " is open to others, or closed to its owner: chmod 700 " + folder);
        }
        FileChannel lock =
                FileChannel.open(
                        folder.resolve(LOCK),
                        MAYBE_NEW,
                        PosixFilePermissions.asFileAttribute(FILE_RIGHTS));
        for (long look = 1; !isLocked(lock); look++) {
            if (look >= looks) {
                lock.close();
                throw new IOException(folder + " is in use by another process");
            }
            try {
                Thread.sleep(LOOK_MILLIS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                lock.close();
                throw new IOException(folder + ": interrupted while it was waited for", e);
            }
        }
        return new NoteFolder(folder, lock);
    }

    private static boolean isLocked(FileChannel channel) throws IOException {
        try {
            return channel.tryLock() != null;
        } catch (OverlappingFileLockException e) {
            return false; // somebody in this very process has it
        }
    }

    private static PosixFileAttributes attributes(Path path) throws IOException {
        return Files.readAttributes(path, PosixFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
    }

    private static void checkOwner(Path path) throws IOException {
        Object owner = Files.getAttribute(path, "unix:uid", LinkOption.NOFOLLOW_LINKS);
        if (!owner.equals(Files.getAttribute(Path.of("/proc/self"), "unix:uid"))) {
            throw new IOException(path + " belongs to another user");
        }
    }

    /// Removes the notes of devices that are gone.
    ///
    /// @param self the domain whose backends these are
    public void sweep(Store store, DomId self) throws IOException, StoreException {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(folder)) {
            for (Path file : files) {
                Matcher name = NAME.matcher(String.valueOf(file.getFileName()));
                if (name.matches()
                        && store.read(
                                        DevicePaths.domain(self)
                                                + "/backend/"
                                                + name.group(1)
                                                + "/"
                                                + name.group(2)
                                                + "/"
                                                + name.group(3)
                                                + "/state")
                                .isEmpty()) {
                    Files.deleteIfExists(file);
                }
            }
        }
    }

    private Path file(DevicePaths paths) {
        return folder.resolve(
                paths.backendType() + "-" + paths.frontendDomain() + "-" + paths.device());
    }

    @Override
    public DeviceNote make(DevicePaths paths, long sizeBytes) throws DeviceException {
        Path file = file(paths);
        byte[] id = new byte[ID_BYTES];
        random.nextBytes(id);
        try {
            Files.deleteIfExists(file);
            try (FileChannel channel =
                    FileChannel.open(
                            file, NEW, PosixFilePermissions.asFileAttribute(FILE_RIGHTS))) {
                // Written, so that there is room for all of it: a hole that cannot be filled later
                // would end the process.
                ByteBuffer zeros = ByteBuffer.allocate((int) (HEADER_BYTES + sizeBytes));
                while (zeros.hasRemaining()) {
                    int ignored = channel.write(zeros);
                }
                Arena arena = Arena.ofShared();
                MemorySegment all = channel.map(MapMode.READ_WRITE, 0, zeros.capacity(), arena);
                all.set(ValueLayout.JAVA_LONG, MAGIC_AT, MAGIC);
                all.set(ValueLayout.JAVA_INT, VERSION_AT, VERSION);
                MemorySegment.copy(id, 0, all, ValueLayout.JAVA_BYTE, ID_AT, ID_BYTES);
                all.set(ValueLayout.JAVA_LONG, SIZE_AT, sizeBytes);
                return note(file, id, all, arena);
            }
        } catch (IOException e) {
            throw new DeviceException("note " + file + ": " + e.getMessage(), e);
        }
    }

    @Override
    public DeviceNote find(DevicePaths paths, String id, long sizeBytes) throws DeviceException {
        Path file = file(paths);
        try {
            PosixFileAttributes found = attributes(file);
            if (!found.isRegularFile()) {
                throw new DeviceException("note " + file + " is not a file");
            }
            checkOwner(file);
            if (!found.permissions().equals(FILE_RIGHTS)) {
                throw new DeviceException("note " + file + " is open to others");
            }
            long wholeBytes = HEADER_BYTES + sizeBytes;
            try (FileChannel channel = FileChannel.open(file, EXISTING)) {
                if (channel.size() != wholeBytes) {
                    throw new DeviceException(
                            "note "
                                    + file
                                    + " has "
                                    + channel.size()
                                    + " bytes, not "
                                    + wholeBytes);
                }
                Arena arena = Arena.ofShared();
                MemorySegment all = channel.map(MapMode.READ_WRITE, 0, wholeBytes, arena);
                String problem = problem(all, id, sizeBytes);
                if (!problem.isEmpty()) {
                    arena.close();
                    throw new DeviceException("note " + file + " is of " + problem);
                }
                return note(file, HexFormat.of().parseHex(id), all, arena);
            }
        } catch (NoSuchFileException e) {
            throw new DeviceException("note " + file + " is not there", e);
        } catch (IOException e) {
            throw new DeviceException("note " + file + ": " + e.getMessage(), e);
        }
    }

    private static String problem(MemorySegment all, String id, long sizeBytes) {
        byte[] found = new byte[ID_BYTES];
        MemorySegment.copy(all, ValueLayout.JAVA_BYTE, ID_AT, found, 0, ID_BYTES);
        if (all.get(ValueLayout.JAVA_LONG, MAGIC_AT) != MAGIC) {
            return "another program";
        }
        if (all.get(ValueLayout.JAVA_INT, VERSION_AT) != VERSION) {
            return "version " + all.get(ValueLayout.JAVA_INT, VERSION_AT) + ", not " + VERSION;
        }
        if (all.get(ValueLayout.JAVA_LONG, SIZE_AT) != sizeBytes) {
            return "a device of another size";
        }
        return HexFormat.of().formatHex(found).equals(id) ? "" : "another connection";
    }

    private static DeviceNote note(Path file, byte[] id, MemorySegment all, Arena arena) {
        return new DeviceNote(
                HexFormat.of().formatHex(id),
                all.asSlice(HEADER_BYTES),
                () -> {
                    arena.close();
                    try {
                        Files.deleteIfExists(file);
                    } catch (IOException e) {
                        LOG.warn("note {}: {}", file, e.getMessage());
                    }
                });
    }

    /// Lets another process have the folder. The notes stay.
    @Override
    public void close() {
        try {
            lock.close();
        } catch (IOException e) {
            LOG.warn("{}: {}", folder, e.getMessage());
        }
    }
}
