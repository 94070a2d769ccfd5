/// What a program sees that runs inside a guest, as a Java class: the devices of its lab file as
/// Java objects. See [org.splitring.driverdomain.guest.GuestMain].
@NullMarked
package org.splitring.driverdomain.guest;

import org.jspecify.annotations.NullMarked;
