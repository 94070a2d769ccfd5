package org.splitring.testkit.compare;

import java.util.ArrayList;
import java.util.List;

/// Makes a sequence that fails as short as it can be in some time, by leaving steps out.
final class Shrinking {
    /// Runs a sequence anew.
    @FunctionalInterface
    interface Trial {
        boolean fails(List<Numbered> steps) throws Exception;
    }

    private Shrinking() {}

    static List<Numbered> shrink(List<Numbered> failing, long timeNanos, Trial trial)
            throws Exception {
        long start = System.nanoTime();
        List<Numbered> left = failing;
        for (int piece = Math.max(1, left.size() / 2); piece >= 1; ) {
            boolean shorter = false;
            // From the end: later steps depend on earlier ones.
            for (int at = left.size() - piece; at > -piece; at -= piece) {
                if (System.nanoTime() - start > timeNanos) {
                    return left;
                }
                List<Numbered> without = new ArrayList<>(left);
                without.subList(Math.max(at, 0), Math.min(at + piece, left.size())).clear();
                if (trial.fails(without)) {
                    left = without;
                    shorter = true;
                }
            }
            if (piece > 1) {
                piece /= 2;
            } else if (!shorter) {
                return left;
            }
        }
        return left;
    }
}
