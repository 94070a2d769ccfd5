package org.splitring.blkback.image;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.splitring.blkback.DiskAccess;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.FileStore;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.Fd;
import org.splitring.hypervisor.linux.FileCalls;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.linux.LinuxException;

/// A real file between whose image and the kernel calls fail, are short, or would have to wait, as
/// a test says; and which knows what of it is stable. What a loss of power may leave is of every
/// sector any version that it has had since it was stable, and any of the lengths.
///
/// A write is stable when it returns if the file is open with `O_DSYNC`: the descriptor is asked.
public final class FaultyFile implements FileCalls {
    private static final int SECTOR = 512;
    private static final int RWF_NOWAIT = 8;
    private static final int O_DSYNC = 0x1000;

    /// What is done to a file.
    public enum Kind {
        READ,
        WRITE,
        SYNC,
        HOLE,
        TRUNCATE
    }

    /// How calls end that do not want to wait.
    public enum NoWait {
        /// With what was asked for.
        TAKES,
        /// `EAGAIN`.
        NEVER,
        /// `EOPNOTSUPP`, as ext4 says of writes.
        UNKNOWN,
        /// Any of these, or with a part.
        ANY
    }

    private final Path path;
    private final Map<Kind, Integer> calls = new EnumMap<>(Kind.class);
    private byte[] now;
    private byte[] stable;
    private final List<Integer> sizes = new ArrayList<>(); // since it was stable
    private final List<List<byte[]>> since = new ArrayList<>(); // of each sector, versions
    private Kind faultKind = Kind.READ;
    private int faultAt; // 0 for none
    private int errno; // 0: as many bytes as `most`
    private long most;
    private boolean everyOne;
    private boolean shortBefore; // the call before the one that fails is short
    private NoWait noWait = NoWait.TAKES;
    private Random random = new Random(1);
    private Runnable witness = () -> {};
    private Runnable beforeWrite = () -> {};
    private boolean syncFailed;
    private boolean syncedAfterFailure;

    /// @param path of a file, whose contents count as stable
    public FaultyFile(Path path) throws IOException {
        this.path = path;
        this.now = Files.readAllBytes(path);
        this.stable = now.clone();
        for (int i = 0; i < now.length / SECTOR; i++) {
            since.add(new ArrayList<>());
        }
    }

    public FileStore open(boolean syncEachWrite) throws DiskException {
        return FileStore.of(HostFile.openRaw(this, path, DiskAccess.READ_WRITE, syncEachWrite));
    }

    public void noWait(NoWait how, Random by) {
        noWait = how;
        random = by;
    }

    /// Looks before and after each synchronisation, and after each change.
    public void setWitness(Runnable looks) {
        witness = looks;
    }

    /// Does something between the moment at which a write is begun and its bytes, as another thread
    /// would.
    public void setBeforeWrite(Runnable task) {
        beforeWrite = task;
    }

    /// Counts from now on, and lets the `call`-th call of a kind fail.
    public void failAt(Kind kind, int call, int withErrno) {
        calls.clear();
        faultKind = kind;
        faultAt = call;
        errno = withErrno;
        everyOne = false;
        shortBefore = false;
    }

    /// Counts from now on, and lets the `call`-th call of a kind move at most so many bytes.
    public void shortAt(Kind kind, int call, long mostBytes) {
        failAt(kind, call, 0);
        most = mostBytes;
    }

    /// As [#shortAt], and the call after it fails.
    public void shortThenFailAt(Kind kind, int call, long mostBytes, int withErrno) {
        failAt(kind, call, withErrno);
        most = mostBytes;
        faultAt = call + 1;
        shortBefore = true;
    }

    /// Lets every call of a kind move at most so many bytes.
    public void alwaysShort(Kind kind, long mostBytes) {
        shortAt(kind, 1, mostBytes);
        everyOne = true;
    }

    public void noFaults() {
        failAt(Kind.READ, 0, 0);
    }

    /// Calls that reached the kernel, or would have, since they were counted.
    public int calls(Kind kind) {
        return calls.getOrDefault(kind, 0);
    }

    /// Whether the call that was to fail has come.
    public boolean hit() {
        return faultAt > 0 && calls(faultKind) >= faultAt;
    }

    /// Whether somebody tried a synchronisation again after one had failed.
    public boolean syncedAfterFailure() {
        return syncedAfterFailure;
    }

    /// What a kill of the process leaves.
    public byte[] afterKill() {
        return now.clone();
    }

    /// What a loss of power may leave.
    public byte[] afterPowerLoss(Random by) {
        int lengths = by.nextInt(sizes.size() + 1);
        byte[] left = Arrays.copyOf(stable, lengths == 0 ? stable.length : sizes.get(lengths - 1));
        int mood = by.nextInt(4);
        for (int s = 0; s < left.length / SECTOR; s++) {
            List<byte[]> versions = since.get(s);
            int chosen =
                    switch (mood) {
                        case 0 -> 0;
                        case 1 -> versions.size();
                        default -> by.nextInt(versions.size() + 1);
                    };
            if (chosen > 0) {
                System.arraycopy(versions.get(chosen - 1), 0, left, s * SECTOR, SECTOR);
            }
        }
        return left;
    }

    private int count(Kind kind) {
        return calls.merge(kind, 1, Integer::sum);
    }

    /// The error of this call, or 0.
    private int fault(Kind kind) {
        int call = count(kind);
        return kind == faultKind && call == faultAt ? errno : 0;
    }

    /// How many bytes this call may move.
    private long most(Kind kind, long asked) {
        int call = calls(kind);
        boolean isShort =
                kind == faultKind
                        && (shortBefore
                                ? call == faultAt - 1
                                : errno == 0 && (everyOne ? faultAt > 0 : call == faultAt));
        return isShort ? Math.min(most, asked) : asked;
    }

    /// A negative answer, 0 for "goes on", or so many bytes at most.
    private long noWaitAnswer(int flags, long asked) {
        if ((flags & RWF_NOWAIT) == 0) {
            return 0;
        }
        return switch (noWait) {
            case TAKES -> 0;
            case NEVER -> -Errno.EAGAIN;
            case UNKNOWN -> -Errno.EOPNOTSUPP;
            case ANY ->
                    switch (random.nextInt(3)) {
                        case 0 -> -Errno.EAGAIN;
                        case 1 -> SECTOR * (1 + random.nextLong(asked / SECTOR));
                        default -> 0;
                    };
        };
    }

    @Override
    public long preadv2(int fd, IoVector into, long fileOffset, int flags) {
        long asked = into.remainingBytes();
        long answer = noWaitAnswer(flags, asked);
        if (answer < 0) {
            return answer;
        }
        int failed = fault(Kind.READ);
        if (failed != 0) {
            return -failed;
        }
        long size = most(Kind.READ, answer > 0 ? answer : asked);
        if (size == 0) {
            return 0;
        }
        return KERNEL.preadv2(fd, first(into, size), fileOffset, 0);
    }

    @Override
    public long pwritev2(int fd, IoVector from, long fileOffset, int flags) {
        long asked = from.remainingBytes();
        long answer = noWaitAnswer(flags, asked);
        if (answer < 0) {
            return answer;
        }
        int failed = fault(Kind.WRITE);
        if (failed != 0) {
            return -failed;
        }
        long size = most(Kind.WRITE, answer > 0 ? answer : asked);
        if (size == 0) {
            return 0;
        }
        beforeWrite.run();
        long written = KERNEL.pwritev2(fd, first(from, size), fileOffset, 0);
        if (written > 0) {
            byte[] bytes = new byte[(int) written];
            first(from, written).take(MemorySegment.ofArray(bytes), 0, written);
            changed((int) fileOffset, bytes, syncsEachWrite(fd));
        }
        return written;
    }

    private static IoVector first(IoVector all, long sizeBytes) {
        IoVector part = new IoVector(Math.max(1, all.size()));
        part.addFrom(all, sizeBytes);
        return part;
    }

    private static boolean syncsEachWrite(int fd) {
        try {
            return (Fd.flags(fd) & O_DSYNC) != 0;
        } catch (LinuxException e) {
            throw new IllegalStateException(e);
        }
    }

    private void setLength(int sizeBytes) {
        if (sizeBytes < now.length) {
            changed(sizeBytes, new byte[now.length - sizeBytes], false);
        }
        now = Arrays.copyOf(now, sizeBytes);
        while (since.size() * SECTOR < now.length) {
            since.add(new ArrayList<>());
        }
        sizes.add(sizeBytes);
        witness.run();
    }

    /// A synchronous write that one of the possible lengths would cut off makes the length stable
    /// that the file has.
    private void stabilise(int end) {
        if (stable.length < end || sizes.stream().anyMatch(size -> size < end)) {
            stable = Arrays.copyOf(stable, now.length);
            sizes.clear();
        }
    }

    private void changed(int offset, byte[] bytes, boolean isStable) {
        int end = offset + bytes.length;
        if (end > now.length) {
            setLength(end);
        }
        if (isStable) {
            stabilise(end);
        }
        System.arraycopy(bytes, 0, now, offset, end - offset);
        for (int s = offset / SECTOR; s <= (end - 1) / SECTOR; s++) {
            since.get(s).add(Arrays.copyOfRange(now, s * SECTOR, (s + 1) * SECTOR));
            if (isStable) {
                int length = Math.min(SECTOR, stable.length - s * SECTOR); // a short write ends it
                System.arraycopy(now, s * SECTOR, stable, s * SECTOR, length);
                since.get(s).clear();
            }
        }
        witness.run();
    }

    @Override
    public int fdatasync(int fd) {
        return sync();
    }

    @Override
    public int fsync(int fd) {
        return sync();
    }

    private int sync() {
        syncedAfterFailure |= syncFailed;
        int failed = fault(Kind.SYNC);
        witness.run();
        if (failed != 0) {
            // The kernel counts the pages as clean, and they are lost.
            since.forEach(List::clear);
            syncFailed = true;
            return -failed;
        }
        // The kernel is not asked: nobody pulls the plug here, and it would take its time.
        stable = now.clone();
        sizes.clear();
        since.forEach(List::clear);
        witness.run();
        return 0;
    }

    @Override
    public int ftruncate(int fd, long sizeBytes) {
        int failed = fault(Kind.TRUNCATE);
        if (failed != 0) {
            return -failed;
        }
        int result = KERNEL.ftruncate(fd, sizeBytes);
        if (result == 0) {
            setLength((int) sizeBytes);
        }
        return result;
    }

    @Override
    public int fallocate(int fd, int mode, long offset, long sizeBytes) {
        int failed = fault(Kind.HOLE);
        if (failed != 0) {
            return -failed;
        }
        int result = KERNEL.fallocate(fd, mode, offset, sizeBytes);
        if (result == 0 && offset < now.length) {
            long end = Math.min(offset + sizeBytes, now.length);
            changed((int) offset, new byte[(int) (end - offset)], false);
        }
        return result;
    }
}
