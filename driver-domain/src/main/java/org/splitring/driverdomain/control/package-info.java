/// The control API: HTTP and JSON on a Unix socket and, on demand, on loopback. What there is to
/// ask and to change is not known here, see [org.splitring.driverdomain.control.Routes].
@NullMarked
package org.splitring.driverdomain.control;

import org.jspecify.annotations.NullMarked;
