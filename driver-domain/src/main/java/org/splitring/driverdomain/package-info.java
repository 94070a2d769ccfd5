/// The program.
@NullMarked
package org.splitring.driverdomain;

import org.jspecify.annotations.NullMarked;
