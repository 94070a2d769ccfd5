package org.splitring.hypervisor;

/// Number of a domain, as `domid_t` of Xen's `public/xen.h`.
///
/// @param value 0 to 0x7FEF; higher numbers are reserved there (`DOMID_FIRST_RESERVED`)
public record DomId(int value) implements Comparable<DomId> {
    /// First number that names no ordinary domain (`DOMID_FIRST_RESERVED`).
    public static final int FIRST_RESERVED = 0x7FF0;

    /// The control domain, which is the driver domain too unless a lab says otherwise.
    public static final DomId ZERO = new DomId(0);

    public DomId {
        if (value < 0 || value >= FIRST_RESERVED) {
            throw new IllegalArgumentException("domid out of range 0..0x7FEF: " + value);
        }
    }

    // Written out, for what Java makes of a record takes a while when it is first needed.
    @Override
    public boolean equals(Object other) {
        return other instanceof DomId id && value == id.value;
    }

    @Override
    public int hashCode() {
        return value;
    }

    @Override
    public int compareTo(DomId other) {
        return Integer.compare(value, other.value);
    }

    @Override
    public String toString() {
        return Integer.toString(value);
    }
}
