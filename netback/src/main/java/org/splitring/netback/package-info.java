/// Backend of one virtual interface (vif).
@NullMarked
package org.splitring.netback;

import org.jspecify.annotations.NullMarked;
