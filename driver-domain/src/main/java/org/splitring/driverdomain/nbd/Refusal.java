package org.splitring.driverdomain.nbd;

import org.splitring.blkback.nbd.NbdProtocol;

/// Why a request is not carried out: the error number, and words for clients that take structured
/// replies.
enum Refusal {
    FLAGS(NbdProtocol.EINVAL, "a flag that this command does not take here"),
    COMMAND(NbdProtocol.EINVAL, "a command that is not offered"),
    READ_ONLY(NbdProtocol.EPERM, "the disk is read-only"),
    TOO_LONG(NbdProtocol.EINVAL, "longer than 32 MiB"),
    NOTHING(NbdProtocol.EINVAL, "asks for nothing"),
    UNALIGNED(NbdProtocol.EINVAL, "offset or length is not a whole number of blocks"),
    BEHIND_THE_END(NbdProtocol.EINVAL, "reaches behind the end of the disk"),
    NO_SPACE(NbdProtocol.ENOSPC, "reaches behind the end of the disk"),
    FRAGMENTS(NbdProtocol.EOVERFLOW, "too long for one fragment");

    final int error;

    /// In ASCII.
    final String message;

    Refusal(int error, String message) {
        this.error = error;
        this.message = message;
    }
}
