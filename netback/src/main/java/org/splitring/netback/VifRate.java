package org.splitring.netback;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// How much a guest may send: the `rate` node of a vif, `BYTES,MICROSECONDS`, as xl writes it for
/// `rate=10Mb/s@50ms`.
///
/// @param bytesPerInterval 0 for no limit
/// @param intervalMicros 0 for no limit
public record VifRate(long bytesPerInterval, long intervalMicros) {
    public static final VifRate UNLIMITED = new VifRate(0, 0);

    /// An hour. Longer ones are held to be a mistake.
    private static final long MAX_INTERVAL_MICROS = 3_600_000_000L;

    private static final Pattern TEXT = Pattern.compile("([0-9]{1,18}),([0-9]{1,18})");

    public VifRate {
        if (bytesPerInterval < 0
                || intervalMicros < 0
                || intervalMicros > MAX_INTERVAL_MICROS
                || bytesPerInterval == 0 != (intervalMicros == 0)) {
            throw new IllegalArgumentException(
                    "rate of "
                            + bytesPerInterval
                            + " bytes in "
                            + intervalMicros
                            + " µs: both must be positive, the time at most an hour");
        }
    }

    public boolean isLimited() {
        return bytesPerInterval != 0;
    }

    /// Reads the node.
    ///
    /// @throws IllegalArgumentException with the value, when it is none; Linux then limits nothing,
    ///     and says so
    public static VifRate parse(String text) {
        Matcher matcher = TEXT.matcher(text);
        if (!matcher.matches()) {
            throw new IllegalArgumentException("rate \"" + text + "\" is not BYTES,MICROSECONDS");
        }
        return new VifRate(Long.parseLong(matcher.group(1)), Long.parseLong(matcher.group(2)));
    }
}
