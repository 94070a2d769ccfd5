package org.splitring.blkback.image;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.splitring.hypervisor.linux.IoVector;

/// A file in memory that takes room only where there are bytes, so that an image may claim to be
/// of any length. It insists on positions and sizes that a kernel would take.
final class SparseFile implements ImageFile {
    private static final int CHUNK = 4096;

    /// As ext4 and tmpfs have it, about.
    private static final long MAX_BYTES = 1L << 44;

    private final Map<Long, byte[]> chunks = new HashMap<>();
    private final byte[] scratch = new byte[CHUNK];
    private final int mostChunks;
    private long sizeBytes;
    private boolean written;

    /// @param mostBytes room that it may take; more is a failure of the test
    SparseFile(byte[] contents, long sizeBytes, int mostBytes) {
        mostChunks = mostBytes / CHUNK;
        this.sizeBytes = Math.max(sizeBytes, contents.length);
        for (int at = 0; at < contents.length; at += CHUNK) {
            byte[] chunk = Arrays.copyOf(Arrays.copyOfRange(contents, at, at + CHUNK), CHUNK);
            Arrays.fill(chunk, Math.min(CHUNK, contents.length - at), CHUNK, (byte) 0);
            chunks.put((long) at, chunk);
        }
    }

    /// The first bytes of it.
    byte[] contents() {
        byte[] all = new byte[Math.toIntExact(sizeBytes)];
        chunks.forEach(
                (at, chunk) ->
                        System.arraycopy(
                                chunk,
                                0,
                                all,
                                at.intValue(),
                                Math.min(CHUNK, all.length - at.intValue())));
        return all;
    }

    /// Whether anything but reading was done to it.
    boolean written() {
        return written;
    }

    private static void check(long offset, long size) {
        assertTrue(
                offset >= 0 && size >= 0 && offset <= Long.MAX_VALUE - size,
                () -> "a kernel takes no " + size + " bytes at " + offset);
    }

    @Override
    public String name() {
        return "fuzzed.img";
    }

    @Override
    public boolean readOnly() {
        return false;
    }

    @Override
    public long sizeBytes() {
        return sizeBytes;
    }

    @Override
    public long read(IoVector into, long offset) {
        check(offset, into.remainingBytes());
        long count = Math.max(0, Math.min(into.remainingBytes(), sizeBytes - offset));
        for (long done = 0; done < count; ) {
            long at = offset + done;
            long length = Math.min(CHUNK - at % CHUNK, count - done);
            byte[] chunk = chunks.get(at - at % CHUNK);
            if (chunk == null) {
                into.putZeros(length);
            } else {
                into.put(MemorySegment.ofArray(chunk), at % CHUNK, length);
            }
            done += length;
        }
        return count;
    }

    @Override
    public long readNoWait(IoVector into, long offset) {
        return offset % 1024 == 0 ? WOULD_BLOCK : read(into, offset);
    }

    @Override
    public void write(IoVector from, long offset) throws IOException {
        check(offset, from.remainingBytes());
        if (from.remainingBytes() > MAX_BYTES - offset) {
            throw new IOException("File too large");
        }
        written = true;
        for (long at = offset; from.remainingBytes() > 0; ) {
            long length = Math.min(CHUNK - at % CHUNK, from.remainingBytes());
            from.take(MemorySegment.ofArray(scratch), 0, length);
            chunk(at - at % CHUNK, (int) (at % CHUNK), (int) length);
            at += length;
            sizeBytes = Math.max(sizeBytes, at);
        }
    }

    private void chunk(long place, int at, int length) {
        byte[] chunk = chunks.computeIfAbsent(place, key -> new byte[CHUNK]);
        System.arraycopy(scratch, 0, chunk, at, length);
        assertTrue(chunks.size() <= mostChunks, "the file takes more room than it may");
    }

    @Override
    public long writeNoWait(IoVector from, long offset) throws IOException {
        if (offset % 1024 == 0) {
            return WOULD_BLOCK;
        }
        long count = from.remainingBytes();
        write(from, offset);
        return count;
    }

    @Override
    public void truncate(long newSizeBytes) throws IOException {
        check(newSizeBytes, 0);
        if (newSizeBytes > MAX_BYTES) {
            throw new IOException("File too large");
        }
        written = true;
        if (newSizeBytes < sizeBytes) {
            zero(newSizeBytes, sizeBytes - newSizeBytes);
        }
        sizeBytes = newSizeBytes;
    }

    @Override
    public void zero(long offset, long size) {
        check(offset, size);
        written = true;
        long end = Math.min(offset + size, sizeBytes);
        chunks.entrySet()
                .removeIf(entry -> entry.getKey() >= offset && entry.getKey() + CHUNK <= end);
        for (long place : new long[] {offset - offset % CHUNK, end - end % CHUNK}) {
            byte[] chunk = chunks.get(place);
            if (chunk != null && end > offset) {
                Arrays.fill(
                        chunk,
                        (int) Math.max(0, offset - place),
                        (int) Math.max(0, Math.min(CHUNK, end - place)),
                        (byte) 0);
            }
        }
    }

    @Override
    public int holeBytes() {
        return CHUNK;
    }

    @Override
    public void sync() {
        written = true;
    }

    @Override
    public void close() {}
}
