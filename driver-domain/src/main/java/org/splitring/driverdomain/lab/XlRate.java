package org.splitring.driverdomain.lab;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// xl's `rate=`: `RATE[@INTERVAL]`, what a guest may send. `10Mb/s`, `250KB/s`, `1MB/s@20ms`.
///
/// K, M and G are powers of 1000; `B` are bytes, `b` bits. The interval is 50 ms when it is not
/// said, and its number means seconds without a unit.
///
/// Source: Xen `tools/libs/util/libxlu_vif.c`, `docs/man/xl-network-configuration.5.pod.in`.
///
/// @param bytesPerInterval positive
/// @param intervalMicros positive, at most an hour
public record XlRate(long bytesPerInterval, long intervalMicros) {
    private static final Pattern TEXT =
            Pattern.compile("(\\d{1,12})([KMG]?)([Bb])/s(?:@(\\d{1,9})(us|ms|s|u|m)?)?");
    private static final long DEFAULT_INTERVAL_MICROS = 50_000;
    private static final long MAX_INTERVAL_MICROS = 3_600_000_000L;

    public static XlRate parse(String text) throws LabException {
        Matcher matcher = TEXT.matcher(text);
        if (!matcher.matches()) {
            throw new LabException(
                    "rate \"" + text + "\" is not RATE[@INTERVAL] as in 10Mb/s or 1MB/s@20ms");
        }
        long unit =
                switch (matcher.group(2)) {
                    case "K" -> 1_000L;
                    case "M" -> 1_000_000L;
                    case "G" -> 1_000_000_000L;
                    default -> 1L;
                };
        String interval = matcher.group(4);
        long micros = interval == null ? DEFAULT_INTERVAL_MICROS : Long.parseLong(interval);
        if (interval != null) {
            String of = matcher.group(5) == null ? "s" : matcher.group(5);
            micros *= of.startsWith("u") ? 1 : of.startsWith("m") ? 1_000 : 1_000_000;
        }
        if (micros == 0 || micros > MAX_INTERVAL_MICROS) {
            throw new LabException("rate \"" + text + "\": its interval is 0 or more than an hour");
        }
        try {
            long perSecond = Math.multiplyExact(Long.parseLong(matcher.group(1)), unit);
            if (matcher.group(3).equals("b")) {
                perSecond /= 8;
            }
            long bytes = Math.multiplyExact(perSecond, micros) / 1_000_000;
            if (bytes == 0) {
                throw new LabException(
                        "rate \"" + text + "\" is less than one byte in an interval");
            }
            return new XlRate(bytes, micros);
        } catch (ArithmeticException e) {
            throw new LabException("rate \"" + text + "\" is too large", e);
        }
    }

    /// Reads what stands in the store.
    ///
    /// @throws IllegalArgumentException when it is not what [#toString] wrote
    public static XlRate ofNode(String text) {
        String[] numbers = text.split(",", -1);
        if (numbers.length != 2) {
            throw new IllegalArgumentException("rate \"" + text + "\" is not BYTES,MICROSECONDS");
        }
        return new XlRate(Long.parseLong(numbers[0]), Long.parseLong(numbers[1]));
    }

    /// What [#parse] reads, as bytes a second; of more than a second perhaps a byte more.
    public String text() {
        long perSecond = Math.ceilDiv(bytesPerInterval * 1_000_000, intervalMicros);
        String interval =
                intervalMicros % 1_000 == 0 ? intervalMicros / 1_000 + "ms" : intervalMicros + "us";
        return perSecond + "B/s@" + interval;
    }

    /// As it stands in the store: bytes and microseconds.
    @Override
    public String toString() {
        return bytesPerInterval + "," + intervalMicros;
    }
}
