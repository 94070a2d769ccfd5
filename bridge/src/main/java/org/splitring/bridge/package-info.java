/// The virtual switch. It knows frames and ports, and nothing of rings.
@NullMarked
package org.splitring.bridge;

import org.jspecify.annotations.NullMarked;
