/// Layouts of what both sides touch: blkif, netif, grant entries, the xenstore page and messages.
@NullMarked
package org.splitring.wire;

import org.jspecify.annotations.NullMarked;
