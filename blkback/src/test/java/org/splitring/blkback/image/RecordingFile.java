package org.splitring.blkback.image;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.splitring.hypervisor.linux.IoVector;

/// A file in memory that knows what is stable, and what a loss of power may leave of the rest: of
/// every sector any version that it has had since the last synchronisation, and any of the lengths
/// that the file has had since.
final class RecordingFile implements ImageFile {
    static final int SECTOR = 512;

    /// Looks at the file at moments when much is not stable: before a synchronisation, and after
    /// some of the changes.
    interface Witness {
        void look(RecordingFile file) throws IOException;
    }

    private static final class Change {
        final long offset;
        final byte[] bytes;
        final long sizeAfter;

        Change(long offset, byte[] bytes, long sizeAfter) {
            this.offset = offset;
            this.bytes = bytes;
            this.sizeAfter = sizeAfter;
        }
    }

    private final boolean readOnly;
    private byte[] now;
    private int size;
    private byte[] stable;
    private final List<Change> changes = new ArrayList<>();
    private Witness witness = file -> {};
    private int failAt = -1;
    private IOException failure = new IOException("no reason");
    private int calls;
    private int syncs;

    RecordingFile(byte[] contents, boolean readOnly) {
        this.now = contents.clone();
        this.size = contents.length;
        this.stable = contents.clone();
        this.readOnly = readOnly;
    }

    void setWitness(Witness witness) {
        this.witness = witness;
    }

    /// Lets the `call`-th change or synchronisation from now on fail, and all after it succeed.
    void failAt(int call, IOException reason) {
        calls = 0;
        failAt = call;
        failure = reason;
    }

    /// Changes and synchronisations since [#failAt].
    int calls() {
        return calls;
    }

    /// Synchronisations that have succeeded.
    int syncs() {
        return syncs;
    }

    /// What a kill of the process leaves: everything that the kernel has.
    byte[] afterKill() {
        return Arrays.copyOf(now, size);
    }

    /// What a loss of power may leave.
    byte[] afterPowerLoss(Random random) {
        int sizes = random.nextInt(changes.size() + 1);
        long length = sizes == 0 ? stable.length : changes.get(sizes - 1).sizeAfter;
        byte[] left = Arrays.copyOf(stable, (int) length);
        int sectors = (left.length + SECTOR - 1) / SECTOR;
        int[] versions = new int[sectors]; // so many of the changes to this sector are there
        int[] seen = new int[sectors];
        for (Change change : changes) {
            for (int s : sectorsOf(change, sectors)) {
                seen[s]++;
            }
        }
        int mood = random.nextInt(4);
        for (int s = 0; s < sectors; s++) {
            versions[s] =
                    switch (mood) {
                        case 0 -> 0;
                        case 1 -> seen[s];
                        default -> random.nextInt(seen[s] + 1);
                    };
        }
        Arrays.fill(seen, 0);
        for (Change change : changes) {
            for (int s : sectorsOf(change, sectors)) {
                if (seen[s]++ < versions[s]) {
                    int from = (int) Math.max(change.offset, (long) s * SECTOR);
                    int to =
                            (int)
                                    Math.min(
                                            Math.min(
                                                    change.offset + change.bytes.length,
                                                    left.length),
                                            (s + 1L) * SECTOR);
                    System.arraycopy(
                            change.bytes,
                            (int) (from - change.offset),
                            left,
                            from,
                            Math.max(0, to - from));
                }
            }
        }
        return left;
    }

    private static int[] sectorsOf(Change change, int sectors) {
        if (change.bytes.length == 0) {
            return new int[0];
        }
        int first = (int) (change.offset / SECTOR);
        int last = (int) ((change.offset + change.bytes.length - 1) / SECTOR);
        return IntStream.rangeClosed(first, Math.min(last, sectors - 1)).toArray();
    }

    private void call() throws IOException {
        if (++calls == failAt) {
            throw failure;
        }
    }

    private void change(long offset, byte[] bytes, long sizeAfter) throws IOException {
        if (readOnly) {
            throw new IOException("read-only");
        }
        if (now.length < sizeAfter) {
            now = Arrays.copyOf(now, (int) Math.max(sizeAfter, now.length * 2L));
        }
        if (sizeAfter < size) {
            Arrays.fill(now, (int) sizeAfter, size, (byte) 0);
        }
        System.arraycopy(bytes, 0, now, (int) offset, bytes.length);
        size = (int) sizeAfter;
        changes.add(new Change(offset, bytes, sizeAfter));
    }

    @Override
    public String name() {
        return "recording";
    }

    @Override
    public boolean readOnly() {
        return readOnly;
    }

    @Override
    public synchronized long sizeBytes() {
        return size;
    }

    @Override
    public synchronized long read(IoVector into, long offset) {
        long count = Math.max(0, Math.min(into.remainingBytes(), size - offset));
        into.put(MemorySegment.ofArray(now), offset, count);
        return count;
    }

    @Override
    public long readNoWait(IoVector into, long offset) {
        return offset % 3 == 0 ? WOULD_BLOCK : read(into, offset);
    }

    @Override
    public synchronized void write(IoVector from, long offset) throws IOException {
        call();
        byte[] bytes = new byte[(int) from.remainingBytes()];
        from.take(MemorySegment.ofArray(bytes), 0, bytes.length);
        change(offset, bytes, Math.max(size, offset + bytes.length));
        if (changes.size() % 7 == 0) {
            witness.look(this);
        }
    }

    @Override
    public long writeNoWait(IoVector from, long offset) throws IOException {
        if (offset % 3 == 0) {
            return WOULD_BLOCK;
        }
        long count = from.remainingBytes();
        write(from, offset);
        return count;
    }

    @Override
    public synchronized void truncate(long sizeBytes) throws IOException {
        call();
        change(Math.min(size, sizeBytes), new byte[0], sizeBytes);
    }

    @Override
    public synchronized void zero(long offset, long sizeBytes) throws IOException {
        call();
        long end = Math.min(offset + sizeBytes, size);
        if (end > offset) {
            change(offset, new byte[(int) (end - offset)], size);
        }
    }

    @Override
    public int holeBytes() {
        return SECTOR;
    }

    @Override
    public synchronized void sync() throws IOException {
        call();
        witness.look(this);
        changes.clear();
        stable = Arrays.copyOf(now, size);
        syncs++;
    }

    @Override
    public void close() {}
}
