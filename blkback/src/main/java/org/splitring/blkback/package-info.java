/// Backend of one virtual block device (vbd).
@NullMarked
package org.splitring.blkback;

import org.jspecify.annotations.NullMarked;
