package org.splitring.driverdomain.lab;

import java.util.Locale;
import java.util.OptionalLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Sizes as people write them: `1048576`, `64M`, `64MiB`, `1 GiB`. Every unit is a power of 1024.
public final class Size {
    private static final Pattern SIZE = Pattern.compile("(\\d{1,15})\\s*([kmgt]?)(i?b)?");

    private Size() {}

    /// Bytes; nothing when it is no size or does not fit.
    public static OptionalLong parse(String text) {
        Matcher matcher = SIZE.matcher(text.strip().toLowerCase(Locale.ROOT));
        if (!matcher.matches()) {
            return OptionalLong.empty();
        }
        String unit = matcher.group(2);
        int shift = unit.isEmpty() ? 0 : 10 * (1 + "kmgt".indexOf(unit));
        long number = Long.parseLong(matcher.group(1));
        long bytes = number << shift;
        return bytes >> shift == number && bytes >= 0
                ? OptionalLong.of(bytes)
                : OptionalLong.empty();
    }
}
