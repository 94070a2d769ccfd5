/// Native calls, one small class per concern; everything above sees Java types.
@NullMarked
package org.splitring.hypervisor.linux;

import org.jspecify.annotations.NullMarked;
