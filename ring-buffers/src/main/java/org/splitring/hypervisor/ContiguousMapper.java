package org.splitring.hypervisor;

import java.lang.foreign.MemorySegment;

/// How a platform makes pages that lie apart in a guest's memory adjacent: for rings of several
/// pages. Called by the control plane.
public interface ContiguousMapper {
    /// A platform that cannot: pages of a ring must be adjacent there.
    ContiguousMapper NONE =
            new ContiguousMapper() {
                @Override
                public MemorySegment map(int[] gfns) throws GrantException {
                    throw new GrantException(
                            GrantStatus.NO_DEVICE_SPACE,
                            "pages are not adjacent, and this platform maps only adjacent ones");
                }

                @Override
                public void unmap(MemorySegment pages) {
                    throw new IllegalArgumentException("not mapped here: " + pages);
                }
            };

    /// Maps the pages one after the other, readable and writable.
    ///
    /// @param gfns page numbers, each checked to lie in the guest's memory
    /// @throws GrantException when there is no room; then nothing is mapped
    MemorySegment map(int[] gfns) throws GrantException;

    /// Undoes [#map]; the segment is the very one that it returned.
    void unmap(MemorySegment pages);
}
