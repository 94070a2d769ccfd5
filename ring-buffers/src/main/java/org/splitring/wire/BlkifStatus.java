package org.splitring.wire;

/// Status of a vbd's response: `BLKIF_RSP_*` of Xen's `public/io/blkif.h`.
public final class BlkifStatus {
    public static final int OKAY = 0;
    public static final int ERROR = -1;

    /// May come back at any time, even for an operation whose feature was announced.
    public static final int EOPNOTSUPP = -2;

    private BlkifStatus() {}
}
