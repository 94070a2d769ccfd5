package org.splitring.driverdomain.nbd;

import org.splitring.blkback.nbd.NbdProtocol;

/// A disk under the name that clients ask for.
///
/// @param name of at most 4096 bytes in UTF-8, for example `xvda`
public record NbdExport(String name, String description, ExportedDisk disk) {
    /// Transmission flags.
    ///
    /// CAN_MULTI_CONN promises that a flush on one connection covers writes answered on any other.
    /// It holds: every connection uses the same vbd, nothing is cached on the way to it, a write is
    /// answered when the backend's kernel has it, and a flush makes the whole image stable.
    int flags(NbdTerms terms) {
        int flags = NbdProtocol.HAS_FLAGS | NbdProtocol.CAN_MULTI_CONN | NbdProtocol.SEND_CACHE;
        if (disk.readOnly()) {
            flags |= NbdProtocol.READ_ONLY;
        } else {
            flags |= NbdProtocol.SEND_WRITE_ZEROES;
            if (disk.discards()) {
                flags |= NbdProtocol.SEND_TRIM;
            }
            if (disk.discardZeroes()) {
                flags |= NbdProtocol.SEND_FAST_ZERO;
            }
        }
        if (terms.structured()) {
            flags |= NbdProtocol.SEND_DF;
        }
        if (disk.flushes()) {
            flags |= NbdProtocol.SEND_FLUSH | NbdProtocol.SEND_FUA;
        }
        return flags;
    }
}
