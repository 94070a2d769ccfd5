package org.splitring.blkback.nbd;

/// Numbers of the NBD protocol, of servers and clients. All integers on the wire are big-endian.
///
///     request   u32 magic | u16 flags | u16 type | u64 cookie | u64 offset | u32 length | payload
///     byte      0           4           6          8            16           24           28
///
///     reply     u32 magic | u32 error | u64 cookie | data of a READ
///     byte      0           4           8            16
///
///     chunk     u32 magic | u16 flags | u16 type | u64 cookie | u32 length | payload
///     byte      0           4           6          8            16           20
///
///     option    u64 IHAVEOPT | u32 option | u32 length | data
///     byte      0              8            12           16
///
///     its reply u64 magic | u32 option | u32 type | u32 length | data
///     byte      0           8            12         16           20
///
/// Source: `doc/proto.md` of the Network Block Device project.
public final class NbdProtocol {
    public static final long NBDMAGIC = 0x4e42444d41474943L;
    /// In the place of IHAVEOPT where a server is of the old style.
    public static final long OLDSTYLE_MAGIC = 0x00420281861253L;

    public static final long IHAVEOPT = 0x49484156454f5054L;
    public static final long OPTION_REPLY_MAGIC = 0x0003e889045565a9L;
    public static final int REQUEST_MAGIC = 0x25609513;
    public static final int REPLY_MAGIC = 0x67446698;
    public static final int CHUNK_MAGIC = 0x668e33ef;

    public static final int REQUEST_BYTES = 28;
    public static final int REPLY_BYTES = 16;
    public static final int CHUNK_BYTES = 20;
    public static final int OPTION_BYTES = 16;

    /// Handshake flags, the server's and the client's.
    public static final int FLAG_FIXED_NEWSTYLE = 1;

    public static final int FLAG_NO_ZEROES = 2;

    public static final int OPT_EXPORT_NAME = 1;
    public static final int OPT_ABORT = 2;
    public static final int OPT_LIST = 3;
    public static final int OPT_STARTTLS = 5;
    public static final int OPT_INFO = 6;
    public static final int OPT_GO = 7;
    public static final int OPT_STRUCTURED_REPLY = 8;

    public static final int OPT_LIST_META_CONTEXT = 9;
    public static final int OPT_SET_META_CONTEXT = 10;

    public static final int REP_ACK = 1;
    public static final int REP_SERVER = 2;
    public static final int REP_INFO = 3;
    public static final int REP_META_CONTEXT = 4;
    /// This bit makes a reply an error.
    public static final int REP_ERR = 1 << 31;

    public static final int REP_ERR_UNSUP = 0x8000_0001;
    public static final int REP_ERR_POLICY = 0x8000_0002;
    public static final int REP_ERR_INVALID = 0x8000_0003;
    public static final int REP_ERR_TLS_REQD = 0x8000_0005;
    public static final int REP_ERR_UNKNOWN = 0x8000_0006;
    public static final int REP_ERR_TOO_BIG = 0x8000_0009;

    public static final int INFO_EXPORT = 0;
    public static final int INFO_NAME = 1;
    public static final int INFO_DESCRIPTION = 2;
    public static final int INFO_BLOCK_SIZE = 3;

    /// Transmission flags of an export.
    public static final int HAS_FLAGS = 1;

    public static final int READ_ONLY = 1 << 1;
    public static final int SEND_FLUSH = 1 << 2;
    public static final int SEND_FUA = 1 << 3;
    public static final int SEND_TRIM = 1 << 5;
    public static final int SEND_WRITE_ZEROES = 1 << 6;
    /// The flag DF of READ, which structured replies bring along.
    public static final int SEND_DF = 1 << 7;

    public static final int CAN_MULTI_CONN = 1 << 8;
    public static final int SEND_CACHE = 1 << 10;
    public static final int SEND_FAST_ZERO = 1 << 11;

    public static final int CMD_READ = 0;
    public static final int CMD_WRITE = 1;
    public static final int CMD_DISC = 2;
    public static final int CMD_FLUSH = 3;
    public static final int CMD_TRIM = 4;
    public static final int CMD_CACHE = 5;
    public static final int CMD_WRITE_ZEROES = 6;
    public static final int CMD_BLOCK_STATUS = 7;

    public static final int CMD_FLAG_FUA = 1;

    /// Of WRITE_ZEROES: keep the storage.
    public static final int CMD_FLAG_NO_HOLE = 1 << 1;

    /// Of READ: one fragment or an error.
    public static final int CMD_FLAG_DF = 1 << 2;

    /// Of BLOCK_STATUS: one extent, no longer than what was asked for.
    public static final int CMD_FLAG_REQ_ONE = 1 << 3;

    /// Of WRITE_ZEROES: ENOTSUP at once rather than zeros written one by one.
    public static final int CMD_FLAG_FAST_ZERO = 1 << 4;

    /// Flag of the last chunk of a structured reply; and types of chunks.
    public static final int CHUNK_DONE = 1;

    public static final int CHUNK_NONE = 0;
    public static final int CHUNK_OFFSET_DATA = 1;
    public static final int CHUNK_BLOCK_STATUS = 5;
    public static final int CHUNK_ERROR = 0x8001;
    public static final int CHUNK_ERROR_OFFSET = 0x8002;

    /// Status of an extent: allocated, or nobody knows; not zeros, or nobody knows.
    public static final int STATE_DATA = 0;

    /// Bits of the status of an extent: takes no storage; reads as zeros.
    public static final int STATE_HOLE = 1;

    public static final int STATE_ZERO = 1 << 1;

    /// Longest name, description or message that the protocol allows.
    public static final int MAX_STRING_BYTES = 4096;

    /// Largest READ, WRITE or CACHE, announced to clients; the size that every client may count on.
    public static final int MAX_PAYLOAD_BYTES = 32 << 20;

    public static final int EPERM = 1;
    public static final int EIO = 5;
    public static final int EINVAL = 22;
    public static final int ENOSPC = 28;
    public static final int EOVERFLOW = 75;
    public static final int ENOTSUP = 95;

    private NbdProtocol() {}
}
