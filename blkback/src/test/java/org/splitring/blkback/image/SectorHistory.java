package org.splitring.blkback.image;

import static org.junit.jupiter.api.Assertions.fail;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.splitring.blkback.BlockStore;
import org.splitring.hypervisor.linux.IoVector;

/// What each sector of a disk may hold after a loss of power: what it held at the last flush, or
/// anything written since. A sector is filled with one number, never with zeros. The disk has the
/// size that it had at the last flush, or any that it was given since.
final class SectorHistory {
    private static final int SECTOR = RecordingFile.SECTOR;

    private long[] flushed;
    private final List<List<Long>> since = new ArrayList<>();
    private final List<Integer> sizes = new ArrayList<>(); // in sectors; the first is flushed
    private final IoVector vector = new IoVector(1);
    private final Random random;
    private long lastNumber = 1;
    private boolean writing;
    private boolean resizing;

    /// @param begin reads what the sectors hold now, each filled with one number
    SectorHistory(BlockStore begin, Random random) throws IOException {
        int sectors = (int) (begin.sizeBytes() / SECTOR);
        this.random = random;
        this.sizes.add(sectors);
        this.flushed = numbers(begin);
        for (int i = 0; i < sectors; i++) {
            since.add(new ArrayList<>());
        }
    }

    private long[] numbers(BlockStore store) throws IOException {
        long[] numbers = new long[(int) (store.sizeBytes() / SECTOR)];
        MemorySegment memory = Arena.ofAuto().allocate(store.sizeBytes(), 4096);
        vector.clear();
        vector.add(memory, 0, store.sizeBytes());
        store.read(vector, 0);
        if (vector.remainingBytes() > 0) {
            fail(vector.remainingBytes() + " bytes of " + store.sizeBytes() + " cannot be read");
        }
        for (int i = 0; i < numbers.length; i++) {
            long first = memory.get(ValueLayout.JAVA_LONG, (long) i * SECTOR);
            for (int at = 8; at < SECTOR; at += 8) {
                if (memory.get(ValueLayout.JAVA_LONG, (long) i * SECTOR + at) != first) {
                    fail("sector " + i + " is torn");
                }
            }
            numbers[i] = first;
        }
        return numbers;
    }

    void write(BlockStore store) throws IOException {
        int count = 1 + random.nextInt(random.nextInt(3) == 0 ? 40 : 6);
        int first = random.nextInt(sizes.getLast() - count);
        MemorySegment data = Arena.ofAuto().allocate((long) count * SECTOR, 4096);
        long number = ++lastNumber;
        for (long at = 0; at < data.byteSize(); at += 8) {
            data.set(ValueLayout.JAVA_LONG, at, number);
        }
        writing = true;
        for (int i = first; i < first + count; i++) {
            since.get(i).add(number);
        }
        IoVector from = new IoVector(1);
        from.add(data, 0, data.byteSize());
        store.write(from, (long) first * SECTOR);
        writing = false;
    }

    void discard(BlockStore store) throws IOException {
        int count = 1 + random.nextInt(60);
        int first = random.nextInt(sizes.getLast() - count);
        writing = true;
        for (int i = first; i < first + count; i++) {
            since.get(i).add(0L);
        }
        store.discard((long) first * SECTOR, (long) count * SECTOR);
        writing = false;
    }

    /// Changes the size of the disk. What is cut off may be gone at once, and is when it is
    /// flushed; what is new holds zeros.
    void resize(BlockStore store, int sectors) throws IOException {
        int before = sizes.getLast();
        for (int i = sectors; i < before; i++) {
            since.get(i).add(0L);
        }
        for (int i = since.size(); i < sectors; i++) {
            since.add(new ArrayList<>());
        }
        flushed = Arrays.copyOf(flushed, since.size());
        sizes.add(sectors);
        resizing = true;
        store.resize((long) sectors * SECTOR);
        resizing = false;
    }

    void flush(BlockStore store) throws IOException {
        store.sync();
        sizes.subList(0, sizes.size() - 1).clear();
        for (int i = 0; i < flushed.length; i++) {
            List<Long> versions = since.get(i);
            if (!versions.isEmpty()) {
                flushed[i] = versions.getLast();
                versions.clear();
            }
        }
    }

    /// Compares a disk with what it may hold.
    ///
    /// @param all whether everything that was answered must be there, not only what was flushed
    void check(BlockStore store, boolean all, String what) throws IOException {
        long[] found = numbers(store);
        int now = sizes.size() - 1;
        List<Integer> possible =
                all ? sizes.subList(resizing ? now - 1 : now, now + 1) : List.copyOf(sizes);
        if (!possible.contains(found.length)) {
            fail("%s: a disk of %d sectors, and not %s".formatted(what, found.length, possible));
        }
        for (int i = 0; i < found.length; i++) {
            List<Long> versions = since.get(i);
            boolean newest =
                    versions.isEmpty() ? found[i] == flushed[i] : found[i] == versions.getLast();
            boolean before =
                    versions.size() == 1
                            ? found[i] == flushed[i]
                            : versions.size() > 1 && found[i] == versions.get(versions.size() - 2);
            boolean fits =
                    all
                            ? newest || ((writing || resizing) && before)
                            : found[i] == flushed[i] || versions.contains(found[i]);
            if (!fits) {
                fail(
                        "%s: sector %d holds %d; flushed was %d, written since %s"
                                .formatted(what, i, found[i], flushed[i], versions));
            }
        }
    }
}
