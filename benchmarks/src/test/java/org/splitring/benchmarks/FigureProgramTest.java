package org.splitring.benchmarks;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class FigureProgramTest {
    private static FigureProgram says(String line) {
        return new FigureProgram(
                "program", List.of("sh", "-c", "echo " + line), Map.of(), List.of("small"));
    }

    @Test
    void aFigureIsRead() throws Exception {
        assertEquals(List.of(new Figure("small", "cpu_ns", 2.5)), says("small cpu_ns 2.5").run(10));
    }

    /// An infinite one made a chart without end.
    @ParameterizedTest
    @ValueSource(
            strings = {
                "small cpu_ns Infinity",
                "small cpu_ns NaN",
                "small cpu_ns few",
                "large cpu_ns 1",
                "small cpu_ns"
            })
    void whatIsNoFigureIsNamed(String line) {
        IOException failure = assertThrows(IOException.class, () -> says(line).run(10));
        assertEquals("program printed: " + line, failure.getMessage());
    }
}
