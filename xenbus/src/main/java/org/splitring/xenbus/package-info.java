/// Store, handshake and device lifecycle.
@NullMarked
package org.splitring.xenbus;

import org.jspecify.annotations.NullMarked;
