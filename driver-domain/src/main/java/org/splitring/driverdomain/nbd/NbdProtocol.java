package org.splitring.driverdomain.nbd;

import org.splitring.wire.BlkifStatus;

/// Numbers of the NBD protocol. All integers on the wire are big-endian.
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
final class NbdProtocol {
    static final long NBDMAGIC = 0x4e42444d41474943L;
    static final long IHAVEOPT = 0x49484156454f5054L;
    static final long OPTION_REPLY_MAGIC = 0x0003e889045565a9L;
    static final int REQUEST_MAGIC = 0x25609513;
    static final int REPLY_MAGIC = 0x67446698;
    static final int CHUNK_MAGIC = 0x668e33ef;

    static final int REQUEST_BYTES = 28;
    static final int REPLY_BYTES = 16;
    static final int CHUNK_BYTES = 20;
    static final int OPTION_BYTES = 16;

    /// Handshake flags, the server's and the client's.
    static final int FLAG_FIXED_NEWSTYLE = 1;

    static final int FLAG_NO_ZEROES = 2;

    static final int OPT_EXPORT_NAME = 1;
    static final int OPT_ABORT = 2;
    static final int OPT_LIST = 3;
    static final int OPT_STARTTLS = 5;
    static final int OPT_INFO = 6;
    static final int OPT_GO = 7;
    static final int OPT_STRUCTURED_REPLY = 8;

    static final int OPT_LIST_META_CONTEXT = 9;
    static final int OPT_SET_META_CONTEXT = 10;

    static final int REP_ACK = 1;
    static final int REP_SERVER = 2;
    static final int REP_INFO = 3;
    static final int REP_META_CONTEXT = 4;
    static final int REP_ERR_UNSUP = 0x8000_0001;
    static final int REP_ERR_POLICY = 0x8000_0002;
    static final int REP_ERR_INVALID = 0x8000_0003;
    static final int REP_ERR_TLS_REQD = 0x8000_0005;
    static final int REP_ERR_UNKNOWN = 0x8000_0006;
    static final int REP_ERR_TOO_BIG = 0x8000_0009;

    static final int INFO_EXPORT = 0;
    static final int INFO_NAME = 1;
    static final int INFO_DESCRIPTION = 2;
    static final int INFO_BLOCK_SIZE = 3;

    /// Transmission flags of an export.
    static final int HAS_FLAGS = 1;

    static final int READ_ONLY = 1 << 1;
    static final int SEND_FLUSH = 1 << 2;
    static final int SEND_FUA = 1 << 3;
    static final int SEND_TRIM = 1 << 5;
    static final int SEND_WRITE_ZEROES = 1 << 6;
    /// The flag DF of READ, which structured replies bring along.
    static final int SEND_DF = 1 << 7;

    static final int CAN_MULTI_CONN = 1 << 8;
    static final int SEND_CACHE = 1 << 10;
    static final int SEND_FAST_ZERO = 1 << 11;

    static final int CMD_READ = 0;
    static final int CMD_WRITE = 1;
    static final int CMD_DISC = 2;
    static final int CMD_FLUSH = 3;
    static final int CMD_TRIM = 4;
    static final int CMD_CACHE = 5;
    static final int CMD_WRITE_ZEROES = 6;
    static final int CMD_BLOCK_STATUS = 7;

    static final int CMD_FLAG_FUA = 1;

    /// Of WRITE_ZEROES: keep the storage.
    static final int CMD_FLAG_NO_HOLE = 1 << 1;

    /// Of READ: one fragment or an error.
    static final int CMD_FLAG_DF = 1 << 2;

    /// Of BLOCK_STATUS: one extent, no longer than what was asked for.
    static final int CMD_FLAG_REQ_ONE = 1 << 3;

    /// Of WRITE_ZEROES: ENOTSUP at once rather than zeros written one by one.
    static final int CMD_FLAG_FAST_ZERO = 1 << 4;

    /// Flag of the last chunk of a structured reply; and types of chunks.
    static final int CHUNK_DONE = 1;

    static final int CHUNK_NONE = 0;
    static final int CHUNK_OFFSET_DATA = 1;
    static final int CHUNK_BLOCK_STATUS = 5;
    static final int CHUNK_ERROR = 0x8001;
    static final int CHUNK_ERROR_OFFSET = 0x8002;

    /// Our number for `base:allocation`.
    static final int ALLOCATION_CONTEXT = 1;

    /// Status of an extent: allocated, or nobody knows; not zeros, or nobody knows.
    static final int STATE_DATA = 0;

    /// Longest name, description or message that the protocol allows.
    static final int MAX_STRING_BYTES = 4096;

    /// Largest READ, WRITE or CACHE, announced to clients; the size that every client may count on.
    static final int MAX_PAYLOAD_BYTES = 32 << 20;

    static final int EPERM = 1;
    static final int EIO = 5;
    static final int EINVAL = 22;
    static final int ENOSPC = 28;
    static final int EOVERFLOW = 75;
    static final int ENOTSUP = 95;

    private NbdProtocol() {}

    /// The error number for the status of a blkif response: 0, or EIO, or ENOTSUP.
    static int error(int blkifStatus) {
        return switch (blkifStatus) {
            case BlkifStatus.OKAY -> 0;
            case BlkifStatus.EOPNOTSUPP -> ENOTSUP;
            default -> EIO;
        };
    }
}
