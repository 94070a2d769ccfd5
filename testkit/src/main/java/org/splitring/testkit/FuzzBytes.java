package org.splitring.testkit;

import java.util.Arrays;

/// Bytes of a fuzzer, taken from the front as numbers. Behind their end everything is zero, so any
/// input makes a whole scenario, and changing a byte of it changes only what was made of that byte.
/// Numbers are little-endian.
public final class FuzzBytes {
    private final byte[] bytes;
    private int at;

    public FuzzBytes(byte[] bytes) {
        this.bytes = bytes;
    }

    /// Whether there are bytes left.
    public boolean hasMore() {
        return at < bytes.length;
    }

    /// The next byte, 0 to 255.
    public int u8() {
        return at < bytes.length ? Byte.toUnsignedInt(bytes[at++]) : 0;
    }

    public int u16() {
        return u8() | u8() << 8;
    }

    public int s32() {
        return u16() | u16() << 16;
    }

    public long s64() {
        return Integer.toUnsignedLong(s32()) | (long) s32() << 32;
    }

    /// The next byte, as one of `count` choices.
    public int choice(int count) {
        return u8() % count;
    }

    /// The next two bytes, as one of `count` choices.
    public int wideChoice(int count) {
        return u16() % count;
    }

    /// The next bytes, at most `count`: fewer when the input ends.
    public byte[] take(int count) {
        int end = Math.min(bytes.length, at + count);
        byte[] taken = Arrays.copyOfRange(bytes, at, end);
        at = end;
        return taken;
    }
}
