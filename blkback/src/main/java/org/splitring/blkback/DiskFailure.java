package org.splitring.blkback;

import java.time.Instant;

/// Why and since when a disk is failed: no write and no flush succeeds until it is opened again.
///
/// @param operation `write` or `flush`
/// @param reason what the kernel said
public record DiskFailure(String image, String operation, String reason, Instant since) {
    @Override
    public String toString() {
        return operation + " of " + image + " failed at " + since + ": " + reason;
    }
}
