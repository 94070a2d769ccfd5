package org.splitring.hypervisor;

/// What one guest may use of the driver domain. Reaching a limit refuses the one operation with a
/// status (`GNTST_no_space`, `ENOSPC`, `EMFILE`) and disturbs nobody.
///
/// @param maxMemoryBytes size of guest memory accepted at attach
/// @param maxGrantFrames pages of grant table, 512 entries each; 32 is Xen's default
/// @param maxMappings grants mapped at once by all backends of this guest together
/// @param maxPorts event channels of the guest, one in sixteen of them kept for the control plane
public record DomainLimits(long maxMemoryBytes, int maxGrantFrames, int maxMappings, int maxPorts) {
    /// 1 GiB of memory, 32 grant frames (16,384 entries), 16,384 mappings, 256 ports.
    public static final DomainLimits DEFAULT = new DomainLimits(1L << 30, 32, 16_384, 256);
}
