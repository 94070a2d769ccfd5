/// Frontend of one virtual interface (vif).
@NullMarked
package org.splitring.netfront;

import org.jspecify.annotations.NullMarked;
