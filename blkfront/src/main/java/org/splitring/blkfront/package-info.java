/// Frontend of one virtual block device (vbd).
@NullMarked
package org.splitring.blkfront;

import org.jspecify.annotations.NullMarked;
