package org.splitring.driverdomain;

import java.util.Locale;

/// Sizes and rates as text for people.
final class Sizes {
    private static final String[] UNITS = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};

    private Sizes() {}

    static String text(long bytes) {
        return text((double) bytes);
    }

    /// `64 MiB`, `1.5 GiB`, `512 B`.
    static String text(double bytes) {
        int unit = 0;
        double value = bytes;
        while (value >= 1024 && unit < UNITS.length - 1) {
            value /= 1024;
            unit++;
        }
        boolean whole = value == Math.rint(value);
        return String.format(Locale.ROOT, whole ? "%.0f %s" : "%.1f %s", value, UNITS[unit]);
    }

    /// `0`, `950`, `30.8k`, `1.2M`.
    static String count(double number) {
        if (number < 1000) {
            return String.format(Locale.ROOT, "%.0f", number);
        }
        return number < 1e6
                ? String.format(Locale.ROOT, "%.1fk", number / 1e3)
                : String.format(Locale.ROOT, "%.1fM", number / 1e6);
    }
}
