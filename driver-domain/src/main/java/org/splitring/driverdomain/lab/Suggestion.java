package org.splitring.driverdomain.lab;

import java.util.Collection;
import java.util.Comparator;

/// Finds the name that somebody who mistyped may have meant.
public final class Suggestion {
    private Suggestion() {}

    /// `" (did you mean memory?)"`, or nothing when no known name is near.
    public static String of(String given, Collection<String> known) {
        return known.stream()
                .min(Comparator.comparingInt(name -> distance(given, name)))
                .filter(name -> distance(given, name) <= Math.max(1, name.length() / 3))
                .map(name -> " (did you mean " + name + "?)")
                .orElse("");
    }

    /// Edits between two names: insertions, deletions, replacements, swaps of neighbours.
    static int distance(String from, String to) {
        int[][] edits = new int[from.length() + 1][to.length() + 1];
        for (int i = 0; i <= from.length(); i++) {
            for (int j = 0; j <= to.length(); j++) {
                if (i == 0 || j == 0) {
                    edits[i][j] = i + j;
                    continue;
                }
                boolean same = from.charAt(i - 1) == to.charAt(j - 1);
                int best = edits[i - 1][j - 1] + (same ? 0 : 1);
                best = Math.min(best, Math.min(edits[i - 1][j], edits[i][j - 1]) + 1);
                if (i > 1
                        && j > 1
                        && from.charAt(i - 1) == to.charAt(j - 2)
                        && from.charAt(i - 2) == to.charAt(j - 1)) {
                    best = Math.min(best, edits[i - 2][j - 2] + 1);
                }
                edits[i][j] = best;
            }
        }
        return edits[from.length()][to.length()];
    }
}
