package org.splitring.blkback.image;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.splitring.hypervisor.linux.IoVector;

/// Metadata of an image: numbers of 64 bits, the most significant byte first, and plain bytes.
///
/// One thread at a time; the owner sees to that.
final class BigEndianFile {
    private static final ValueLayout.OfLong LONG =
            ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);
    private static final int BUFFER_BYTES = 65536;

    private final ImageFile file;
    private final MemorySegment buffer = Arena.ofAuto().allocate(BUFFER_BYTES, 4096);
    private final IoVector vector = new IoVector(1);

    BigEndianFile(ImageFile file) {
        this.file = file;
    }

    /// Reads `count` numbers into `into`, from its index `from` on.
    void readLongs(long offset, long[] into, int from, int count) throws IOException {
        for (int done = 0; done < count; ) {
            int now = Math.min(count - done, BUFFER_BYTES / Long.BYTES);
            fill(offset + (long) done * Long.BYTES, (long) now * Long.BYTES);
            MemorySegment.copy(buffer, LONG, 0, into, from + done, now);
            done += now;
        }
    }

    long[] readLongs(long offset, int count) throws IOException {
        long[] values = new long[count];
        readLongs(offset, values, 0, count);
        return values;
    }

    void writeLongs(long offset, long[] values, int from, int count) throws IOException {
        for (int done = 0; done < count; ) {
            int now = Math.min(count - done, BUFFER_BYTES / Long.BYTES);
            MemorySegment.copy(values, from + done, buffer, LONG, 0, now);
            drain(offset + (long) done * Long.BYTES, (long) now * Long.BYTES);
            done += now;
        }
    }

    /// Writes one number; a sector has all of it or nothing.
    void writeLong(long offset, long value) throws IOException {
        buffer.set(LONG, 0, value);
        drain(offset, Long.BYTES);
    }

    byte[] readBytes(long offset, int count) throws IOException {
        byte[] bytes = new byte[count];
        for (int done = 0; done < count; ) {
            int now = Math.min(count - done, BUFFER_BYTES);
            fill(offset + done, now);
            MemorySegment.copy(buffer, ValueLayout.JAVA_BYTE, 0, bytes, done, now);
            done += now;
        }
        return bytes;
    }

    void writeBytes(long offset, byte[] bytes) throws IOException {
        for (int done = 0; done < bytes.length; ) {
            int now = Math.min(bytes.length - done, BUFFER_BYTES);
            MemorySegment.copy(bytes, done, buffer, ValueLayout.JAVA_BYTE, 0, now);
            drain(offset + done, now);
            done += now;
        }
    }

    private void fill(long offset, long sizeBytes) throws IOException {
        vector.clear();
        vector.add(buffer, 0, sizeBytes);
        if (file.read(vector, offset) < sizeBytes) {
            throw new IOException(
                    file.name() + " ends before " + (offset + sizeBytes) + ", where it has to go");
        }
    }

    private void drain(long offset, long sizeBytes) throws IOException {
        vector.clear();
        vector.add(buffer, 0, sizeBytes);
        file.write(vector, offset);
    }
}
