package org.splitring.benchmarks.stress;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.zip.CRC32C;
import org.splitring.netfront.ReceivedFrame;

/// A frame that says what it is, as it is written and as it is looked at. Used by one thread.
///
///     byte 0     6     12     14      18       22       30         38     46      50         size
///          +-----+-----+------+-------+--------+--------+----------+------+-------+-----------+
///          | dst | src | type | epoch | stream | number | intended | sent | crc32c| words that|
///          |     |     |      |       |        |        |          |      |       | follow    |
///          +-----+-----+------+-------+--------+--------+----------+------+-------+-----------+
///
/// The type is that of experiments on one network (IEEE 802, 0x88B5); what follows it is
/// little-endian. `epoch` is another one in each run, 0 for a frame that only shows its source;
/// `intended` and `sent` are times by `System.nanoTime`. The checksum is of everything but its
/// own four bytes.
final class StressFrame {
    static final int LEAST_BYTES = 60;
    static final int ETHERNET = 14;
    private static final int TYPE = 12;
    private static final int EPOCH = 14;
    private static final int STREAM = 18;
    private static final int NUMBER = 22;
    private static final int INTENDED = 30;
    private static final int SENT = 38;
    private static final int CHECKSUM = 46;
    private static final int HEADER = 50;
    private static final byte EXPERIMENT = (byte) 0x88;
    private static final byte ONE = (byte) 0xB5;

    private final MemorySegment bytes;
    private final ByteBuffer view;
    private final CRC32C crc = new CRC32C();
    private int sizeBytes;

    /// @param mostBytes that a frame has here
    StressFrame(int mostBytes) {
        bytes = Arena.ofAuto().allocate(mostBytes, Long.BYTES);
        view = bytes.asByteBuffer();
    }

    MemorySegment bytes() {
        return bytes;
    }

    int sizeBytes() {
        return sizeBytes;
    }

    /// Writes what is the same in all frames of a stream.
    ///
    /// @param from number of the guest that sends
    /// @param to number of the guest that it is for
    void address(int from, int to, int size) {
        sizeBytes = size;
        bytes.fill((byte) 0);
        mac(0, to);
        mac(6, from);
        bytes.set(ValueLayout.JAVA_BYTE, TYPE, EXPERIMENT);
        bytes.set(ValueLayout.JAVA_BYTE, TYPE + 1, ONE);
    }

    /// Of Xen's range.
    private void mac(long at, int guest) {
        bytes.set(ValueLayout.JAVA_BYTE, at + 1, (byte) 0x16);
        bytes.set(ValueLayout.JAVA_BYTE, at + 2, (byte) 0x3E);
        bytes.set(ValueLayout.JAVA_BYTE, at + 4, (byte) (guest >>> 8));
        bytes.set(ValueLayout.JAVA_BYTE, at + 5, (byte) guest);
    }

    /// Writes the rest.
    ///
    /// @param full whether payload and checksum are wanted
    void number(int epoch, int stream, long number, long intended, long sent, boolean full) {
        Filling.INT.set(bytes, (long) EPOCH, epoch);
        Filling.INT.set(bytes, (long) STREAM, stream);
        Filling.LONG.set(bytes, (long) NUMBER, number);
        Filling.LONG.set(bytes, (long) INTENDED, intended);
        Filling.LONG.set(bytes, (long) SENT, sent);
        if (full) {
            Filling.fill(bytes, HEADER, sizeBytes, Filling.mix(stream, number));
            Filling.INT.set(bytes, (long) CHECKSUM, checksum());
        }
    }

    private int checksum() {
        crc.reset();
        view.limit(CHECKSUM).position(0);
        crc.update(view);
        view.limit(sizeBytes).position(CHECKSUM + Integer.BYTES);
        crc.update(view);
        return (int) crc.getValue();
    }

    /// Takes a copy of a frame that has come.
    ///
    /// @return `false` when it is none of ours
    boolean read(ReceivedFrame frame) {
        sizeBytes = frame.sizeBytes();
        if (sizeBytes < LEAST_BYTES || sizeBytes > bytes.byteSize()) {
            return false;
        }
        frame.copyTo(bytes, 0, 0, sizeBytes);
        return bytes.get(ValueLayout.JAVA_BYTE, TYPE) == EXPERIMENT
                && bytes.get(ValueLayout.JAVA_BYTE, TYPE + 1) == ONE;
    }

    int epoch() {
        return (int) Filling.INT.get(bytes, (long) EPOCH);
    }

    int stream() {
        return (int) Filling.INT.get(bytes, (long) STREAM);
    }

    long number() {
        return (long) Filling.LONG.get(bytes, (long) NUMBER);
    }

    long intended() {
        return (long) Filling.LONG.get(bytes, (long) INTENDED);
    }

    long sent() {
        return (long) Filling.LONG.get(bytes, (long) SENT);
    }

    boolean isIntact() {
        return (int) Filling.INT.get(bytes, (long) CHECKSUM) == checksum();
    }

    /// What is wrong with a frame that is not intact.
    String describe() {
        return "says checksum 0x%08x, and its %d bytes have 0x%08x"
                .formatted((int) Filling.INT.get(bytes, (long) CHECKSUM), sizeBytes, checksum());
    }
}
