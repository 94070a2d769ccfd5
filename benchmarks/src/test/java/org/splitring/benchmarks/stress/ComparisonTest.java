package org.splitring.benchmarks.stress;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.splitring.benchmarks.stress.Comparison.Verdict;
import org.splitring.benchmarks.stress.StressMetric.Better;

/// What differs beyond the spread.
final class ComparisonTest {
    @ParameterizedTest
    @CsvSource({
        // a                b                better   verdict
        "100 102 104,     120 122 124,     MORE,    BETTER",
        "100 102 104,     120 122 124,     LESS,    WORSE",
        "120 122 124,     100 102 104,     MORE,    WORSE",
        "120 122 124,     100 102 104,     LESS,    BETTER",
        "100 102 104,     120 122 124,     NEITHER, DIFFERENT",
        "100 102 104,     103 105 107,     MORE,    SAME", // runs lie among each other
        "100 140 180,     181 190 200,     MORE,    SAME", // apart, but the runs are further
        "100 100 110,     109 112 112,     MORE,    SAME", // one run of B lies among those of A
        "100.0 100.1,     100.5 100.6,     MORE,    SAME", // less than a hundredth
        "0 0 0,           0 0 0,           LESS,    SAME",
        "0 0 0,           5 6 7,           LESS,    WORSE",
        "100,             200,             MORE,    UNKNOWN",
        "100,             100,             MORE,    SAME"
    })
    void verdictsFollowTheSpread(String a, String b, Better better, Verdict verdict) {
        assertEquals(verdict, Comparison.judge(metric(a, better), metric(b, better)));
    }

    private static StressMetric metric(String values, Better better) {
        List<Double> all =
                List.of(values.strip().split(" ", -1)).stream().map(Double::valueOf).toList();
        return StressMetric.of("m", "", better, all);
    }
}
