package org.splitring.driverdomain.control;

/// What somebody may do. Who may change may read too.
public enum Right {
    NONE,
    READ,
    CHANGE;

    boolean includes(Right needed) {
        return compareTo(needed) >= 0;
    }
}
