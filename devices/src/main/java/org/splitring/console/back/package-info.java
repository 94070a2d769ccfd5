/// Backend of the console: keeps what a guest prints, writes it to a log, and shows it to whoever
/// looks; what viewers type goes to the guest.
///
/// Bytes go through as they are, in both directions. Start reading at `GuestConsole`.
@NullMarked
package org.splitring.console.back;

import org.jspecify.annotations.NullMarked;
