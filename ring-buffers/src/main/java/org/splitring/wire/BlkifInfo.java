package org.splitring.wire;

/// Bits of a vbd's `info` node: `VDISK_*` of Xen's `public/io/blkif.h`.
public final class BlkifInfo {
    public static final int CDROM = 0x1;
    public static final int REMOVABLE = 0x2;
    public static final int READONLY = 0x4;

    private BlkifInfo() {}
}
