/// A disk of a guest, offered to ordinary programs over NBD (fixed newstyle, simple and
/// structured replies).
///
/// [NbdServer] listens on a Unix socket or on loopback and hands each client to [NbdHandshake],
/// which settles what is exported; then [NbdTransmission] takes over and moves requests between the
/// socket and an [ExportedDisk]. Everything of one server runs on one event loop, the one that owns
/// the vbd, so nothing here is locked. A client works inside its own share of guest pages
/// ([PieceShare]): it can fill or stall its share, nobody else's.
///
/// Source of the protocol: `doc/proto.md` of the Network Block Device project.
@NullMarked
package org.splitring.driverdomain.nbd;

import org.jspecify.annotations.NullMarked;
