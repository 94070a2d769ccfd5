package org.splitring.benchmarks.stress;

import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/// Numbers as people write and read them: `4k`, `64MiB`, `1.5M`.
final class Amounts {
    private static final Pattern SIZE = Pattern.compile("(\\d{1,15})([kKmMgG]?)(?:i?B)?");
    private static final Pattern RATE = Pattern.compile("(\\d{1,12}(?:\\.\\d{1,6})?)([kKmM]?)");
    private static final String UNITS = "KMG";

    private Amounts() {}

    /// A size in bytes, by powers of 1024: `4096`, `4k`, `64M`, `1GiB`.
    static final class Size implements ITypeConverter<Long> {
        @Override
        public Long convert(String text) {
            Matcher matcher = SIZE.matcher(text);
            if (!matcher.matches()) {
                throw new TypeConversionException("'" + text + "' is no size, such as 4k or 64M");
            }
            String unit = matcher.group(2).toUpperCase(Locale.ROOT);
            int power = unit.isEmpty() ? 0 : 1 + UNITS.indexOf(unit);
            return Long.parseLong(matcher.group(1)) << (10 * power);
        }
    }

    /// A number of requests, by powers of 1000: `500`, `10k`, `1.5M`.
    static final class Rate implements ITypeConverter<Double> {
        @Override
        public Double convert(String text) {
            Matcher matcher = RATE.matcher(text);
            if (!matcher.matches()) {
                throw new TypeConversionException("'" + text + "' is no rate, such as 500 or 10k");
            }
            double factor =
                    switch (matcher.group(2)) {
                        case "" -> 1;
                        case "k", "K" -> 1e3;
                        default -> 1e6;
                    };
            return Double.parseDouble(matcher.group(1)) * factor;
        }
    }

    /// `4 KiB`, `64 MiB`.
    static String size(long bytes) {
        if (bytes >= 1 << 30 && bytes % (1 << 30) == 0) {
            return (bytes >> 30) + " GiB";
        }
        if (bytes >= 1 << 20 && bytes % (1 << 20) == 0) {
            return (bytes >> 20) + " MiB";
        }
        return bytes >= 1 << 10 && bytes % (1 << 10) == 0 ? (bytes >> 10) + " KiB" : bytes + " B";
    }

    /// `123`, `45.6k`, `1.23M`.
    static String count(double value) {
        if (value >= 1e6) {
            return decimal(value / 1e6) + "M";
        }
        return value >= 1e4 ? decimal(value / 1e3) + "k" : decimal(value);
    }

    /// `870 ns`, `12.3 µs`, `4.56 ms`, `1.20 s`.
    static String nanos(double value) {
        if (value < 1e3) {
            return decimal(value) + " ns";
        }
        if (value < 1e6) {
            return decimal(value / 1e3) + " µs";
        }
        return value < 1e9 ? decimal(value / 1e6) + " ms" : decimal(value / 1e9) + " s";
    }

    /// A value with its unit.
    static String with(double value, String unit) {
        return switch (unit) {
            case "ns" -> nanos(value);
            case "" -> count(value);
            default -> count(value) + " " + unit;
        };
    }

    /// Three digits that mean something.
    private static String decimal(double value) {
        double size = Math.abs(value);
        String form =
                size >= 100 || value == Math.rint(value) ? "%.0f" : size >= 10 ? "%.1f" : "%.2f";
        return String.format(Locale.ROOT, form, value);
    }
}
