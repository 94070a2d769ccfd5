package org.splitring.bridge;

import java.util.BitSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// The VLANs of one port: which it is a member of, and how frames of each leave it.
///
/// Frames without a tag, and with VLAN 0 in their tag, belong to the PVID. Frames of a VLAN that
/// the port is no member of are dropped, in both directions. A frame goes out untagged in the
/// VLANs that
/// are marked so, tagged in the others. A service tag (0x88A8) is no VLAN here: what it is in
/// front of
/// passes as the payload of an untagged frame.
public final class PortVlans {
    /// Smallest and largest VLAN.
    public static final int MIN_VLAN = 1;

    public static final int MAX_VLAN = 4094;

    // Before the constants that need it.
    private static final Pattern TERM =
            Pattern.compile("(\\d{1,4})(?:-(\\d{1,4})|\\+(\\d{1,4})x(\\d{1,4}))?([pu]?)");

    /// An access port of VLAN 1: what a port is that nothing is said about.
    public static final PortVlans DEFAULT = access(1);

    /// Untagged in VLAN 1 and tagged in all others: an uplink, or every port of a switch that
    /// should
    /// not look at tags. Whoever sits behind such a port reaches every VLAN.
    public static final PortVlans ALL = all();

    private final int pvid;
    private final BitSet members;
    private final BitSet untagged;
    // For the data path: a bit for each VLAN.
    private final long[] memberBits = new long[64];
    private final long[] untaggedBits = new long[64];

    private PortVlans(int pvid, BitSet members, BitSet untagged) {
        this.pvid = pvid;
        this.members = members;
        this.untagged = untagged;
        long[] m = members.toLongArray();
        System.arraycopy(m, 0, memberBits, 0, m.length);
        long[] u = untagged.toLongArray();
        System.arraycopy(u, 0, untaggedBits, 0, u.length);
    }

    /// Untagged in one VLAN, and in no other.
    public static PortVlans access(int vlan) {
        return parse(Integer.toString(vlan));
    }

    private static PortVlans all() {
        BitSet all = new BitSet();
        all.set(MIN_VLAN, MAX_VLAN + 1);
        BitSet one = new BitSet();
        one.set(1);
        return new PortVlans(1, all, one);
    }

    /// Reads xl's `vlan=`: terms with slashes between them. A term is a VLAN (`10`), a range
    /// (`10-15`), or a first
    /// VLAN with a step and how often it is made (`100+10x4`: 100, 110, 120, 130 and 140). `p`
    /// after a VLAN marks
    /// the PVID, which is untagged; `u` marks VLANs that go out untagged. One PVID there must
    /// be; a single VLAN
    /// that stands alone is it.
    ///
    /// Source: Xen `xl-network-configuration(5)` and `xen-network-common.sh`.
    ///
    /// @throws IllegalArgumentException with the term that is wrong
    public static PortVlans parse(String text) {
        BitSet members = new BitSet();
        BitSet untagged = new BitSet();
        int pvid = 0;
        String[] terms = text.split("/", -1);
        for (String term : terms) {
            Matcher parts = TERM.matcher(term);
            if (!parts.matches()) {
                throw bad(text, "'" + term + "' is no VLAN, range or series");
            }
            int first = vlan(text, parts.group(1));
            int step = 1;
            int last = first;
            if (parts.group(2) != null) {
                last = vlan(text, parts.group(2));
                if (last < first) {
                    throw bad(text, "range '" + term + "' goes backwards");
                }
            } else if (parts.group(3) != null) {
                step = Integer.parseInt(parts.group(3));
                if (step == 0) {
                    throw bad(text, "'" + term + "' has a step of 0");
                }
                last = first + step * Integer.parseInt(parts.group(4));
                vlan(text, Integer.toString(last));
            }
            String mark = parts.group(5);
            boolean isPvid =
                    mark.equals("p") || (terms.length == 1 && first == last && mark.isEmpty());
            if (isPvid) {
                if (first != last) {
                    throw bad(text, "'" + term + "' marks several VLANs as the PVID");
                }
                if (pvid != 0) {
                    throw bad(text, "two PVIDs, " + pvid + " and " + first);
                }
                pvid = first;
            }
            for (int vlan = first; vlan <= last; vlan += step) {
                if (members.get(vlan)) {
                    throw bad(text, "VLAN " + vlan + " is given twice");
                }
                members.set(vlan);
                untagged.set(vlan, isPvid || mark.equals("u"));
            }
        }
        if (pvid == 0) {
            throw bad(text, "no PVID: mark one VLAN with p, as in 10p/20");
        }
        return new PortVlans(pvid, members, untagged);
    }

    private static int vlan(String text, String digits) {
        int vlan = Integer.parseInt(digits);
        if (vlan < MIN_VLAN || vlan > MAX_VLAN) {
            throw bad(text, vlan + " is not between " + MIN_VLAN + " and " + MAX_VLAN);
        }
        return vlan;
    }

    private static IllegalArgumentException bad(String text, String why) {
        return new IllegalArgumentException("vlan=" + text + ": " + why);
    }

    /// The VLAN of frames without a tag.
    public int pvid() {
        return pvid;
    }

    /// Whether the port sends and receives frames of `vlan`, 0 to 4095.
    public boolean isMember(int vlan) {
        return (memberBits[vlan >>> 6] >>> vlan & 1) != 0;
    }

    /// Whether frames of `vlan`, 0 to 4095, leave the port without a tag.
    public boolean isUntagged(int vlan) {
        return (untaggedBits[vlan >>> 6] >>> vlan & 1) != 0;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof PortVlans that
                && pvid == that.pvid
                && members.equals(that.members)
                && untagged.equals(that.untagged);
    }

    @Override
    public int hashCode() {
        return 31 * members.hashCode() + untagged.hashCode();
    }

    @Override
    public String toString() {
        return "PVID " + pvid + ", members " + members + ", untagged " + untagged;
    }
}
