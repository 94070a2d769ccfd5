package org.splitring.hypervisor;

/// A guest's own grant table: version 1 entries in its own memory.
///
///     byte  0          2          4                     8
///           +----------+----------+---------------------+
///           | flags    | domid    | frame (gfn)         |   512 entries a page
///           +----------+----------+---------------------+
///     writer  guest; the granted domain sets GTF_reading (bit 3) and GTF_writing (bit 4)
///
/// A device claims references at connect ([#claim]) and reuses them: granting and revoking on the
/// data path is two stores and a compare-and-set, with no lock.
///
/// Source: Xen `public/grant_table.h`, `grant_entry_v1`.
public interface GrantTable {
    /// References 0 to 7 are reserved by the ABI.
    int FIRST_FREE = 8;

    /// Whether a page stays granted as long as it is there, whatever is granted and revoked here:
    /// then references belong to pages, and a device grants once and for all.
    default boolean isLasting() {
        return false;
    }

    /// Reserves a reference for a device, for one page after the other. Any thread.
    ///
    /// @return a reference, or -1 when all are taken, or grants are lasting
    int claim();

    /// Reserves a reference for a page: that page is the only one to be granted with it. Any
    /// thread.
    ///
    /// @return a reference, or -1 when all are taken
    default int claimFor(int gfn) {
        return claim();
    }

    /// Returns a reference, revoked before. Any thread.
    void unclaim(int gref);

    /// Grants page `gfn` to `backend`. The caller owns the reference, which is not granted now.
    void grant(int gref, DomId backend, int gfn, boolean readOnly);

    /// Ends a grant.
    ///
    /// @return `true` when it is ended and the page is private again; `false` when the backend
    ///     still holds it: then neither the page nor the reference may be reused, see [#quarantine]
    boolean tryRevoke(int gref);

    /// Takes over a reference and its page that a backend will not let go. They are tried again at
    /// later calls and come back to the allocator when the backend has let go; until then both
    /// count as [#quarantinedCount].
    void quarantine(int gref, int gfn);

    /// Tries the quarantined references once more.
    ///
    /// @return how many came free
    int retryQuarantined();

    int quarantinedCount();
}
