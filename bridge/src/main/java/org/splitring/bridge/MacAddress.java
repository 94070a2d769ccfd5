package org.splitring.bridge;

import java.util.HexFormat;

/// A MAC address.
///
/// @param value in the low 48 bits
public record MacAddress(long value) {
    static final long GROUP_BIT = 1L << 40;

    private static final HexFormat COLONS = HexFormat.ofDelimiter(":");

    public MacAddress {
        if (value >>> 48 != 0) {
            throw new IllegalArgumentException(
                    "MAC address of more than 48 bits: " + Long.toHexString(value));
        }
    }

    /// Reads six pairs of hexadecimal digits with colons between them, as in xl's `mac=`.
    ///
    /// @throws IllegalArgumentException with the text that is none
    public static MacAddress parse(String text) {
        byte[] bytes;
        try {
            bytes = COLONS.parseHex(text);
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException("'" + text + "' is no MAC address", e);
        }
        if (bytes.length != 6) {
            throw new IllegalArgumentException("'" + text + "' is no MAC address");
        }
        long value = 0;
        for (byte part : bytes) {
            value = value << 8 | Byte.toUnsignedLong(part);
        }
        return new MacAddress(value);
    }

    /// Whether it is the address of a group: multicast or broadcast.
    public boolean isGroup() {
        return (value & GROUP_BIT) != 0;
    }

    @Override
    public String toString() {
        byte[] bytes = new byte[6];
        for (int i = 0; i < 6; i++) {
            bytes[i] = (byte) (value >>> (40 - 8 * i));
        }
        return COLONS.formatHex(bytes);
    }
}
