/// Layouts of what both sides touch: the slots of blkif and netif, grant entries, the pages of
/// console and xenstore, the header of xenstore messages.
///
/// Each class has a picture with byte offsets and says who writes what. Accessors take a segment
/// and an offset; they are for private copies and for filling slots. Nothing here holds state. The
/// tests compare every offset and constant with what a C compiler says about Xen's headers.
@NullMarked
package org.splitring.wire;

import org.jspecify.annotations.NullMarked;
