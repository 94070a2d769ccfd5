package org.splitring.blkback;

/// What a vbd has done since it was connected first, under the names of Linux's `xen-blkback`.
///
/// @param ooReq requests refused because a limit of mappings was reached
/// @param rdReq reads
/// @param wrReq writes
/// @param fReq flushes and barriers
/// @param dsReq discards
/// @param rdSect sectors read, of 512 bytes
/// @param wrSect sectors written
/// @param dsSect sectors discarded
/// @param errors requests answered with another status than `BLKIF_RSP_OKAY`
/// @param inline reads and writes that were done at once, from or into the page cache
/// @param inFlight requests taken and not answered yet
record VbdMetrics(
        long ooReq,
        long rdReq,
        long wrReq,
        long fReq,
        long dsReq,
        long rdSect,
        long wrSect,
        long dsSect,
        long errors,
        long inline,
        int inFlight) {}
