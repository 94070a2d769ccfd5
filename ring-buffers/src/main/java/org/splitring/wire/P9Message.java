package org.splitring.wire;

/// A message of 9P2000.L, as the rings of 9pfs carry it: a request (T) on `out`, its reply (R) on
/// `in`. Numbers are little-endian and packed; a string is a u16 length and that many bytes.
///
///     byte  0          4         5         7
///           +----------+---------+---------+----------------
///           | size u32 | type u8 | tag u16 | body
///           +----------+---------+---------+----------------
///
/// `size` counts the whole message, itself included. A reply has its request's type plus one and
/// its tag; what failed is answered with [#RLERROR] and a number of Linux.
///
/// Source: Xen `public/io/9pfs.h`, `struct xen_9pfs_header`; Linux `include/net/9p/9p.h`.
public final class P9Message {
    public static final int SIZE = 0;
    public static final int TYPE = 4;
    public static final int TAG = 5;

    /// Bytes before the body.
    public static final int HEADER_BYTES = 7;

    public static final int RLERROR = 7;
    public static final int TSTATFS = 8;
    public static final int TLOPEN = 12;
    public static final int TLCREATE = 14;
    public static final int TSYMLINK = 16;
    public static final int TMKNOD = 18;
    public static final int TRENAME = 20;
    public static final int TREADLINK = 22;
    public static final int TGETATTR = 24;
    public static final int TSETATTR = 26;
    public static final int TXATTRWALK = 30;
    public static final int TXATTRCREATE = 32;
    public static final int TREADDIR = 40;
    public static final int TFSYNC = 50;
    public static final int TLOCK = 52;
    public static final int TGETLOCK = 54;
    public static final int TLINK = 70;
    public static final int TMKDIR = 72;
    public static final int TRENAMEAT = 74;
    public static final int TUNLINKAT = 76;
    public static final int TVERSION = 100;
    public static final int TAUTH = 102;
    public static final int TATTACH = 104;
    public static final int TFLUSH = 108;
    public static final int TWALK = 110;
    public static final int TREAD = 116;
    public static final int TWRITE = 118;
    public static final int TCLUNK = 120;
    public static final int TREMOVE = 122;

    private P9Message() {}
}
