package org.splitring.driverdomain;

import static java.nio.charset.StandardCharsets.US_ASCII;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.hypervisor.linux.VectoredFile;

/// The folder in which a running driver domain keeps its sockets under fixed names.
///
///     DIR/lock              locked while somebody runs here; says which process
///     DIR/lab               path of the lab file, for the next driver domain; then, in lines of
///                           their own, whether we made DIR, and the port of the web page
///     DIR/created           guests that are not the lab file's, and domids, see [LabChanges]
///     DIR/successor         the process that asks the driver domain to hand its guests over
///     DIR/store             dump of the store
///     DIR/log               what a driver domain in the background has to say
///     DIR/xenstored/socket  the store, for xenstore-ls and its like
///     DIR/control           the control API; DIR/token has the words for it over TCP
///     DIR/DOMAIN/attach     attach socket
///     DIR/DOMAIN/VDEV.nbd   NBD server of a disk
///     DIR/DOMAIN/CLASSn.sock    what a device of the guest shows to its users
///     DIR/DOMAIN/guest.pid  the guest process, see [GuestRecord]
///     DIR/DOMAIN/guest.log  what the guest process has to say
///     DIR/DOMAIN/restored   of a guest that was restored, what it was restored from
///
/// A kill -9 leaves the files, but never the lock: the next one to come takes over, with the guests
/// that live on. **The lock is the fence**: it is free only when every thread of its owner has
/// ended, or the owner has given back everything (`docs/notes/replace.md`).
final class RunDirectory implements AutoCloseable {
    /// Longest path of a Unix socket (`sun_path` without the terminating zero).
    static final int MAX_SOCKET_PATH_BYTES = 107;

    private static final String LOCK = "lock";
    private static final String LAB = "lab";
    private static final String LOG = "log";
    private static final String STORE = "store";
    private static final String MADE = "made";
    private static final String HTTP = "http ";
    private static final String SUCCESSOR = "successor";
    private static final String CONTROL = "control";
    private static final String TOKENS = "token";
    private static final String CREATED = "created";
    private static final String RESTORED = "restored";

    /// How long a driver domain may take to hand over before it is killed.
    private static final long HANDOVER_NANOS = TimeUnit.SECONDS.toNanos(1);

    /// How long one that was killed may take to be gone: storage may hold a thread in the kernel.
    private static final long DEATH_NANOS = TimeUnit.SECONDS.toNanos(30);

    private static final long LOOK_NANOS = TimeUnit.MILLISECONDS.toNanos(2);

    private final Path dir;
    private final FileChannel channel;
    private final boolean made;

    private RunDirectory(Path dir, FileChannel channel, boolean made) {
        this.dir = dir;
        this.channel = channel;
        this.made = made;
    }

    /// Takes possession of the folder, which is made when it is missing, and clears away what a
    /// killed process has left. What belongs to guests that live stays.
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
            made |= noted(dir).contains(MADE);
            RunDirectory taken = new RunDirectory(dir, channel, made);
            taken.clear();
            return taken;
        } catch (IOException e) {
            throw new CommandException("run directory " + dir + " cannot be used: " + e, e);
        }
    }

    /// Takes possession as [#take]; from the driver domain that runs there, if there is one. That
    /// one is asked to hand over, and killed when it does not, or cannot because it is stopped.
    /// When this returns it is gone for good, whatever state it was in.
    ///
    /// @param news takes a line for people
    static RunDirectory takeOver(Path given, Consumer<String> news) throws CommandException {
        Path dir = given.toAbsolutePath().normalize();
        try {
            Optional<ProcessIdentity> old = owner(dir);
            if (old.isPresent()) {
                fence(dir, old.get(), news);
            }
        } catch (IOException e) {
            throw new CommandException("run directory " + dir + " cannot be used: " + e, e);
        }
        return take(dir);
    }

    private static void fence(Path dir, ProcessIdentity old, Consumer<String> news)
            throws IOException, CommandException {
        Files.writeString(dir.resolve(SUCCESSOR), ProcessIdentity.ofThisProcess() + "\n");
        if (old.isStopped()) {
            news.accept("killed process " + old.pid() + ", which was stopped");
        } else {
            old.askToEnd();
            if (awaitFree(dir, old, HANDOVER_NANOS)) {
                return;
            }
            news.accept("killed process " + old.pid() + ", which did not hand over in time");
        }
        old.kill();
        if (!awaitFree(dir, old, DEATH_NANOS)) {
            throw new CommandException(
                    "process " + old.pid() + " was killed, but storage does not let go of it yet");
        }
    }

    private static boolean awaitFree(Path dir, ProcessIdentity old, long nanos) throws IOException {
        long start = System.nanoTime();
        while (owner(dir).filter(old::equals).isPresent()) {
            if (System.nanoTime() - start > nanos) {
                return false;
            }
            LockSupport.parkNanos(LOOK_NANOS);
        }
        return true;
    }

    /// Whether a living process has asked this one to hand over to it.
    boolean isSuccessorWaiting() {
        return successor().filter(ProcessIdentity::isAlive).isPresent();
    }

    private Optional<ProcessIdentity> successor() {
        try {
            return written(dir.resolve(SUCCESSOR));
        } catch (IOException e) {
            return Optional.empty();
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
                        "run directory " + dir + " is in use by " + describeOwner(dir, file));
            }
            // The last owner removes the file at the end: one that is gone from the folder is no
            // lock any more, and the next to come would make another. So it must be the same file
            // before it was opened and after it was locked.
            if (before.isPresent() && before.equals(inode(file))) {
                byte[] owner = (ProcessIdentity.ofThisProcess() + "\n").getBytes(US_ASCII);
                channel.truncate(0).write(ByteBuffer.wrap(owner), 0);
                return channel;
            }
            channel.close();
        }
    }

    private static String describeOwner(Path dir, Path file) throws IOException {
        Optional<ProcessIdentity> owner = written(file);
        String who = "process " + owner.map(process -> process.pid() + "").orElse("?");
        return owner.filter(ProcessIdentity::isStopped).isPresent()
                ? who
                        + ", which is stopped (SIGSTOP); replace it with: ./splitring replace"
                        + " --run-dir "
                        + dir
                : who + "; stop it with: ./splitring down --run-dir " + dir;
    }

    private static Optional<Object> inode(Path file) throws IOException {
        try {
            return Optional.ofNullable(
                    Files.readAttributes(file, BasicFileAttributes.class).fileKey());
        } catch (NoSuchFileException e) {
            return Optional.empty();
        }
    }

    private static Optional<ProcessIdentity> written(Path file) throws IOException {
        try {
            return ProcessIdentity.parse(Files.readString(file, US_ASCII).strip());
        } catch (NoSuchFileException e) {
            return Optional.empty();
        }
    }

    /// The process that runs in a folder; nothing when nobody does. Not for the process that has
    /// taken it.
    static Optional<ProcessIdentity> owner(Path given) throws IOException {
        Path file = given.toAbsolutePath().normalize().resolve(LOCK);
        // Looks without locking: whoever wants to start just now must not be kept out.
        try (VectoredFile lock = VectoredFile.open(file)) {
            return lock.lockInTheWay(VectoredFile.RangeLock.WRITE, 0, 0).isPresent()
                    ? written(file)
                    : Optional.empty();
        } catch (LinuxException e) {
            if (e.errno() == Errno.ENOENT) {
                return Optional.empty();
            }
            throw e;
        }
    }

    /// The guest processes that live, by the names of their domains.
    static SortedMap<String, GuestRecord> livingGuests(Path given) throws IOException {
        Path dir = given.toAbsolutePath().normalize();
        SortedMap<String, GuestRecord> found = new TreeMap<>();
        if (Files.isDirectory(dir)) {
            try (Stream<Path> entries = Files.list(dir)) {
                for (Path entry : entries.filter(RunDirectory::isFolder).toList()) {
                    Optional<GuestRecord> guest = GuestRecord.living(entry);
                    guest.ifPresent(it -> found.put(String.valueOf(entry.getFileName()), it));
                }
            }
        }
        return found;
    }

    /// The lab file of what runs in a folder, or has run there and left guests.
    static Optional<Path> lab(Path given) throws IOException {
        return noted(given.toAbsolutePath().normalize()).stream().findFirst().map(Path::of);
    }

    private static List<String> noted(Path dir) throws IOException {
        try {
            return Files.readAllLines(dir.resolve(LAB));
        } catch (NoSuchFileException e) {
            return List.of();
        }
    }

    /// Notes the lab file, for the next driver domain.
    ///
    /// @param httpPort of the web page
    void noteLab(Path labFile, OptionalInt httpPort) throws IOException {
        List<String> lines = new ArrayList<>();
        lines.add(labFile.toAbsolutePath().normalize().toString());
        if (made) {
            lines.add(MADE);
        }
        httpPort.ifPresent(port -> lines.add(HTTP + port));
        Files.write(dir.resolve(LAB), lines);
    }

    /// Where [LabChanges] are noted.
    static Path changes(Path runDir) {
        return domain(runDir, CREATED);
    }

    /// The file that a guest was restored from, as long as it is there.
    static Path restored(Path runDir, String domain) {
        return domain(runDir, domain).resolve(RESTORED);
    }

    /// The port of the web page of what runs in a folder.
    static OptionalInt httpPort(Path given) throws IOException {
        return noted(given.toAbsolutePath().normalize()).stream()
                .skip(1)
                .filter(line -> line.startsWith(HTTP))
                .mapToInt(line -> Integer.parseInt(line.substring(HTTP.length())))
                .findFirst();
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

    /// Where the store is kept for the next driver domain.
    Path storeDump() {
        return dir.resolve(STORE);
    }

    static Path log(Path runDir) {
        return domain(runDir, LOG);
    }

    static Path domain(Path runDir, String name) {
        return runDir.toAbsolutePath().normalize().resolve(name);
    }

    /// Where tools reach the store: the value of their `XENSTORED_PATH`.
    static Path storeSocket(Path runDir) {
        return domain(runDir, "xenstored").resolve("socket");
    }

    /// Where the control API answers.
    static Path controlSocket(Path runDir) {
        return domain(runDir, CONTROL);
    }

    /// What the control API wants to hear over TCP.
    static Path tokens(Path runDir) {
        return domain(runDir, TOKENS);
    }

    static Path attachSocket(Path runDir, String domain) {
        return domain(runDir, domain).resolve("attach");
    }

    static Path nbdSocket(Path runDir, String domain, String vdev) {
        return domain(runDir, domain).resolve(vdev + ".nbd");
    }

    /// Takes away what a guest that was killed has left in place of its disks.
    static void removeNbdSockets(Path runDir, String domain) throws IOException {
        try (DirectoryStream<Path> sockets =
                Files.newDirectoryStream(domain(runDir, domain), "*.nbd")) {
            for (Path socket : sockets) {
                Files.deleteIfExists(socket);
            }
        }
    }

    /// Where viewers of the guest's console connect.
    static Path consoleSocket(Path runDir, String domain) {
        return domain(runDir, domain).resolve("console");
    }

    /// What the guest has printed lately; what came before is in a file with `.1` behind its name.
    static Path consoleLog(Path runDir, String domain) {
        return domain(runDir, domain).resolve("console.log");
    }

    static Path guestLog(Path runDir, String domain) {
        return domain(runDir, domain).resolve("guest.log");
    }

    /// Removes what this program makes in a run directory, and nothing else. What living guests
    /// use stays.
    private void clear() throws IOException {
        Set<String> living = livingGuests(dir).keySet();
        boolean inherited = successor().filter(ProcessIdentity.ofThisProcess()::equals).isPresent();
        Files.deleteIfExists(dir.resolve(SUCCESSOR));
        Files.deleteIfExists(dir.resolve(CONTROL));
        if (living.isEmpty() && !inherited) {
            Files.deleteIfExists(dir.resolve(LOG));
            Files.deleteIfExists(dir.resolve(LAB));
            Files.deleteIfExists(dir.resolve(STORE));
            Files.deleteIfExists(dir.resolve(TOKENS));
            Files.deleteIfExists(dir.resolve(CREATED));
        }
        try (Stream<Path> entries = Files.list(dir)) {
            for (Path entry : entries.filter(RunDirectory::isFolder).toList()) {
                if (!living.contains(String.valueOf(entry.getFileName()))) {
                    clearDomain(entry);
                }
            }
        }
    }

    private void clearDomain(Path folder) throws IOException {
        List<Path> inside;
        try (Stream<Path> files = Files.list(folder)) {
            inside = files.toList();
        }
        for (Path file : inside) {
            String name = String.valueOf(file.getFileName());
            if (name.equals("attach")
                    || name.endsWith(".nbd")
                    || name.endsWith(".sock")
                    || name.endsWith(".9p")
                    || name.equals("console")
                    || name.startsWith("console.log")
                    || file.equals(storeSocket(dir))
                    || name.startsWith(GuestRecord.FILE)
                    || name.equals(RESTORED)
                    || name.equals("guest.log")) {
                Files.deleteIfExists(file);
            }
        }
        deleteIfEmpty(folder);
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

    /// Leaves everything to the next driver domain, which may wait for the lock.
    void handOver() throws IOException {
        channel.close();
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
