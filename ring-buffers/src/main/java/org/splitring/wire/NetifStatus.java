package org.splitring.wire;

/// Status of a vif's response: `NETIF_RSP_*` of Xen's `public/io/netif.h`.
public final class NetifStatus {
    public static final int DROPPED = -2;
    public static final int ERROR = -1;
    public static final int OKAY = 0;

    /// Answers a slot that carried an extra instead of data.
    public static final int NULL = 1;

    private NetifStatus() {}
}
