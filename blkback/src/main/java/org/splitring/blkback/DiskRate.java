package org.splitring.blkback;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// How much a guest may do with a disk: the `rate` node of a vbd,
/// `BYTES,OPERATIONS,BURST_MILLISECONDS`, for reads, writes and discards together.
///
/// @param bytesPerSecond data read and written, 0 for no limit
/// @param operationsPerSecond requests, also those without data, 0 for no limit
/// @param burstMillis how much may be saved up while the guest does less, as time at these rates
public record DiskRate(long bytesPerSecond, long operationsPerSecond, long burstMillis) {
    public static final DiskRate UNLIMITED = new DiskRate(0, 0, 0);

    /// What is saved up when nobody says otherwise.
    public static final long DEFAULT_BURST_MILLIS = 100;

    private static final long MAX_BYTES_PER_SECOND = 1L << 50;
    private static final long MAX_OPERATIONS_PER_SECOND = 1_000_000_000;
    private static final long MAX_BURST_MILLIS = 3_600_000;

    private static final Pattern TEXT =
            Pattern.compile("([0-9]{1,16}),([0-9]{1,16})(?:,([0-9]{1,16}))?");

    public DiskRate {
        check("bytes per second", bytesPerSecond, MAX_BYTES_PER_SECOND);
        check("operations per second", operationsPerSecond, MAX_OPERATIONS_PER_SECOND);
        check("burst of milliseconds", burstMillis, MAX_BURST_MILLIS);
    }

    private static void check(String what, long value, long most) {
        if (value < 0 || value > most) {
            throw new IllegalArgumentException(what + ": " + value + " is not in 0.." + most);
        }
    }

    public boolean isLimited() {
        return bytesPerSecond != 0 || operationsPerSecond != 0;
    }

    /// Reads the node; the burst may be left out.
    ///
    /// @throws IllegalArgumentException with the value, when it is none
    public static DiskRate parse(String text) {
        Matcher matcher = TEXT.matcher(text);
        if (!matcher.matches()) {
            throw new IllegalArgumentException(
                    "rate \"" + text + "\" is not BYTES,OPERATIONS,BURST_MILLISECONDS");
        }
        String burst = matcher.group(3);
        return new DiskRate(
                Long.parseLong(matcher.group(1)),
                Long.parseLong(matcher.group(2)),
                burst == null ? DEFAULT_BURST_MILLIS : Long.parseLong(burst));
    }

    /// As the node has it.
    @Override
    public String toString() {
        return bytesPerSecond + "," + operationsPerSecond + "," + burstMillis;
    }
}
