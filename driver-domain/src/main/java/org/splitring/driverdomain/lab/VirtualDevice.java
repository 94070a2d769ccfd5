package org.splitring.driverdomain.lab;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// A virtual disk by its name and by the number that stands for it in the store.
///
/// Source of the numbers: Xen `docs/man/xen-vbd-interface.7.pandoc`.
///
/// @param name as the lab file has it: `xvda`, `xvdb1`, `sda`, `hdc`, `d0p1`
public record VirtualDevice(String name, int number) {
    private static final Pattern LETTERS =
            Pattern.compile("(xvd|sd|hd)([a-z]{1,3})([1-9]\\d{0,2})?");
    private static final Pattern NUMBERS = Pattern.compile("d(\\d{1,6})(?:p(\\d{1,3}))?");
    private static final int XVD_MAJOR = 202;
    private static final int SD_MAJOR = 8;
    private static final int HD_MAJOR = 3;
    private static final int HD_SECOND_MAJOR = 22;
    private static final int EXTENDED = 1 << 28;

    /// The device of that name; nothing when it is no name of a disk, or its number is out of
    /// reach.
    public static Optional<VirtualDevice> parse(String name) {
        Matcher letters = LETTERS.matcher(name);
        if (letters.matches()) {
            int disk = 0;
            for (char letter : letters.group(2).toCharArray()) {
                disk = disk * 26 + (letter - 'a' + 1);
            }
            int partition = letters.group(3) == null ? 0 : Integer.parseInt(letters.group(3));
            return number(letters.group(1), disk - 1, partition)
                    .map(number -> new VirtualDevice(name, number));
        }
        Matcher numbers = NUMBERS.matcher(name);
        if (numbers.matches()) {
            int partition = numbers.group(2) == null ? 0 : Integer.parseInt(numbers.group(2));
            return number("xvd", Integer.parseInt(numbers.group(1)), partition)
                    .map(number -> new VirtualDevice(name, number));
        }
        return Optional.empty();
    }

    private static Optional<Integer> number(String kind, int disk, int partition) {
        return switch (kind) {
            case "xvd" -> {
                if (disk < 16 && partition < 16) {
                    yield Optional.of((XVD_MAJOR << 8) | (disk << 4) | partition);
                }
                boolean fits = disk < 1 << 20 && partition < 256;
                yield fits ? Optional.of(EXTENDED | (disk << 8) | partition) : Optional.empty();
            }
            case "sd" ->
                    disk < 16 && partition < 16
                            ? Optional.of((SD_MAJOR << 8) | (disk << 4) | partition)
                            : Optional.empty();
            default -> {
                if (disk > 3 || partition > 63) {
                    yield Optional.empty();
                }
                int major = disk < 2 ? HD_MAJOR : HD_SECOND_MAJOR;
                yield Optional.of((major << 8) | ((disk & 1) << 6) | partition);
            }
        };
    }
}
