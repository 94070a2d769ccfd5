/// Frontend of the console: shows it to programs in the guest as a Unix socket.
@NullMarked
package org.splitring.console.front;

import org.jspecify.annotations.NullMarked;
