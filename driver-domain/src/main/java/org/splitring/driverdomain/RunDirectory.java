package org.splitring.driverdomain;

import static java.nio.charset.StandardCharsets.US_ASCII;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/// The folder in which a running driver domain keeps its sockets under fixed names.
///
///     DIR/lock              locked while somebody runs here; holds the number of the process
///     DIR/log               what a driver domain in the background has to say
///     DIR/xenstored/socket  the store, for xenstore-ls and its like
///     DIR/DOMAIN/attach     attach socket
///     DIR/DOMAIN/VDEV.nbd   NBD server of a disk
///     DIR/DOMAIN/guest.log  what the guest process has to say
///
/// A kill -9 leaves the files, but never the lock: the next one to come takes over.
final class RunDirectory implements AutoCloseable {
    /// Longest path of a Unix socket (`sun_path` without the terminating zero).
    static final int MAX_SOCKET_PATH_BYTES = 107;

    private static final String LOCK = "lock";
    private static final String LOG = "log";

    private final Path dir;
    private final FileChannel channel;
    private final boolean made;

    private RunDirectory(Path dir, FileChannel channel, boolean made) {
        this.dir = dir;
        this.channel = channel;
        this.made = made;
    }

    /// Takes possession of the folder, which is made when it is missing, and clears away what a
    /// killed process has left.
    ///
    /// @throws CommandException when somebody else runs there, or it cannot be used
    static RunDirectory take(Path given) throws CommandException {
        Path dir = given.toAbsolutePath().normalize();
        boolean made = false;
        try {
            if (Files.exists(dir) && !Files.isDirectory(dir)) {
                throw new CommandException("run directory " + dir + " is a file");
            }
            if (!Files.exists(dir)) {
                Files.createDirectories(
                        dir,
                        PosixFilePermissions.asFileAttribute(
                                PosixFilePermissions.fromString("rwx------")));
                made = true;
            }
            FileChannel channel = lock(dir);
            RunDirectory taken = new RunDirectory(dir, channel, made);
            taken.clear();
            return taken;
        } catch (IOException e) {
            throw new CommandException("run directory " + dir + " cannot be used: " + e, e);
        }
    }

    /// The lock is the process's, and closing **any** channel on the file would end it: after this
    /// the file is not opened again in this process.
    private static FileChannel lock(Path dir) throws IOException, CommandException {
        Path file = dir.resolve(LOCK);
        while (true) {
            Optional<Object> before = inode(file);
            FileChannel channel =
                    FileChannel.open(
                            file,
                            StandardOpenOption.CREATE,
                            StandardOpenOption.READ,
                            StandardOpenOption.WRITE);
            FileLock lock = channel.tryLock();
            if (lock == null) {
                channel.close();
                throw new CommandException(
                        "run directory "
                                + dir
                                + " is in use by process "
                                + pid(file).map(String::valueOf).orElse("?")
                                + "; stop it with: ./splitring down --run-dir "
                                + dir);
            }
            // The last owner removes the file at the end: one that is gone from the folder is no
            // lock any more, and the next to come would make another. So it must be the same file
            // before it was opened and after it was locked.
            if (before.isPresent() && before.equals(inode(file))) {
                byte[] pid = (ProcessHandle.current().pid() + "\n").getBytes(US_ASCII);
                channel.truncate(0).write(ByteBuffer.wrap(pid), 0);
                return channel;
            }
            channel.close();
        }
    }

    private static Optional<Object> inode(Path file) throws IOException {
        try {
            return Optional.ofNullable(
                    Files.readAttributes(file, BasicFileAttributes.class).fileKey());
        } catch (NoSuchFileException e) {
            return Optional.empty();
        }
    }

    private static Optional<Long> pid(Path file) throws IOException {
        try {
            String text = Files.readString(file, US_ASCII).strip();
            return text.matches("\\d{1,10}") ? Optional.of(Long.valueOf(text)) : Optional.empty();
        } catch (NoSuchFileException e) {
            return Optional.empty();
        }
    }

    /// The process that runs in a folder; nothing when nobody does.
    static Optional<ProcessHandle> owner(Path given) throws IOException {
        Path file = given.toAbsolutePath().normalize().resolve(LOCK);
        try (FileChannel channel =
                FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            FileLock free = channel.tryLock();
            if (free != null) {
                free.release();
                return Optional.empty();
            }
        } catch (NoSuchFileException e) {
            return Optional.empty();
        }
        return pid(file).flatMap(ProcessHandle::of);
    }

    /// Checks a path before anything is made.
    static void checkSocketPath(Path socket) throws CommandException {
        int length = socket.toString().getBytes(StandardCharsets.UTF_8).length;
        if (length > MAX_SOCKET_PATH_BYTES) {
            throw new CommandException(
                    "socket path "
                            + socket
                            + " has "
                            + length
                            + " bytes, the limit is "
                            + MAX_SOCKET_PATH_BYTES
                            + ": choose a shorter --run-dir");
        }
    }

    Path path() {
        return dir;
    }

    Path log() {
        return dir.resolve(LOG);
    }

    static Path domain(Path runDir, String name) {
        return runDir.toAbsolutePath().normalize().resolve(name);
    }

    /// Where tools reach the store: the value of their `XENSTORED_PATH`.
    static Path storeSocket(Path runDir) {
        return domain(runDir, "xenstored").resolve("socket");
    }

    static Path attachSocket(Path runDir, String domain) {
        return domain(runDir, domain).resolve("attach");
    }

    static Path nbdSocket(Path runDir, String domain, String vdev) {
        return domain(runDir, domain).resolve(vdev + ".nbd");
    }

    static Path guestLog(Path runDir, String domain) {
        return domain(runDir, domain).resolve("guest.log");
    }

    /// Removes what this program makes in a run directory, and nothing else.
    private void clear() throws IOException {
        Files.deleteIfExists(dir.resolve(LOG));
        try (Stream<Path> entries = Files.list(dir)) {
            for (Path entry : entries.filter(RunDirectory::isFolder).toList()) {
                List<Path> inside;
                try (Stream<Path> files = Files.list(entry)) {
                    inside = files.toList();
                }
                for (Path file : inside) {
                    String name = String.valueOf(file.getFileName());
                    if (name.equals("attach")
                            || name.endsWith(".nbd")
                            || file.equals(storeSocket(dir))
                            || name.equals("guest.log")) {
                        Files.deleteIfExists(file);
                    }
                }
                deleteIfEmpty(entry);
            }
        }
    }

    private static boolean isFolder(Path path) {
        return Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS);
    }

    private static void deleteIfEmpty(Path folder) throws IOException {
        try {
            Files.deleteIfExists(folder);
        } catch (DirectoryNotEmptyException e) {
            // Somebody keeps files of his own there: they stay, and so does the folder.
        }
    }

    /// Removes everything that was made here, the lock last.
    @Override
    public void close() throws IOException {
        try {
            clear();
            Files.deleteIfExists(dir.resolve(LOCK));
            if (made) {
                deleteIfEmpty(dir);
            }
        } finally {
            channel.close();
        }
    }
}
