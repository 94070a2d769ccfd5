package org.splitring.benchmarks;

import java.util.List;
import java.util.Locale;

/// What is done to a disk: `read-4k-32` reads 4 KiB at random places, 32 at a time. One MiB goes
/// from place to place in order, everything smaller at random.
///
/// @param depth how many are under way
record BlockTest(boolean write, int sizeBytes, int depth) {
    static final List<BlockTest> ALL =
            List.of(
                    new BlockTest(false, 4 << 10, 1),
                    new BlockTest(false, 4 << 10, 32),
                    new BlockTest(false, 128 << 10, 8),
                    new BlockTest(false, 1 << 20, 4),
                    new BlockTest(true, 4 << 10, 1),
                    new BlockTest(true, 4 << 10, 32),
                    new BlockTest(true, 128 << 10, 8),
                    new BlockTest(true, 1 << 20, 4));

    static BlockTest parse(String text) {
        String[] words = text.split("-", -1);
        String size = words[1];
        int unit = size.endsWith("m") ? 20 : 10;
        return new BlockTest(
                words[0].equals("write"),
                Integer.parseInt(size.substring(0, size.length() - 1)) << unit,
                Integer.parseInt(words[2]));
    }

    boolean sequential() {
        return sizeBytes >= 1 << 20;
    }

    String size() {
        return sizeBytes >= 1 << 20 ? (sizeBytes >> 20) + "m" : (sizeBytes >> 10) + "k";
    }

    @Override
    public String toString() {
        return String.format(Locale.ROOT, "%s-%s-%d", write ? "write" : "read", size(), depth);
    }
}
