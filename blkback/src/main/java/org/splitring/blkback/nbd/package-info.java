/// Disks that are exports of an NBD server.
///
/// A request goes from a worker thread through [NbdStore], which cuts it and keeps a copy of what
/// is written in [WriteLog], to [NbdLink], which sends it and wakes the thread with the answer.
/// One thread of the link receives everything; when the connection goes, it makes another
/// ([NbdHandshake]), sends again what was acknowledged and may be lost, and lets the requests that
/// wait go on.
///
/// Every byte of the server is hostile: a field is read once, checked, and used. Whatever breaks
/// the protocol ends the disk, with one line that says what it was ([NbdRefusal]).
///
/// Source: the NBD project's `doc/proto.md`.
@NullMarked
package org.splitring.blkback.nbd;

import org.jspecify.annotations.NullMarked;
