package org.splitring.benchmarks;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/// What `stress paper` believes of the programs it runs, and what it makes of their figures.
class PaperTest {
    private static double web(String read, String more) throws IOException {
        return PaperNetWorkloads.Web.checked(
                """
                Running 1s test @ http://10.97.0.2/page
                  1 threads and 16 connections
                  10000 requests in 1.00s, %s read
                %sRequests/sec:  10012.34
                Transfer/sec:     41.50MB
                """
                        .formatted(read, more));
    }

    @Test
    void aWebServerThatAnswersWronglyHasNoFigure() throws IOException {
        assertEquals(10012.34, web("41.50MB", ""));
        assertThrows(IOException.class, () -> web("41.50MB", "  Non-2xx or 3xx responses: 3\n"));
        assertThrows(
                IOException.class,
                () -> web("41.50MB", "  Socket errors: connect 0, read 2, write 0, timeout 0\n"));
        assertThrows(IOException.class, () -> web("3.10MB", ""), "bytes of 790 pages");
        assertThrows(IOException.class, () -> PaperNetWorkloads.Web.checked("killed"));
    }

    @Test
    void oursIsGivenByTheOthersRoundByRound() {
        List<BenchRow> rows =
                List.of(
                        row("splitring", 50, 90, 60),
                        row("native", 100, 100, 100),
                        row("bare", 200, 100, 120));
        PaperFigure figure =
                new PaperFigure(
                        new Machine("Z80", 1, "6.1", "JDK", "0.1"),
                        rows,
                        Map.of("dbench", new Needed("dbench", "dbench").isMissing()));
        String text = figure.text();
        assertTrue(text.matches("(?s).*fio by native +0\\.60 +0\\.50-0\\.90\\n.*"), text);
        assertTrue(text.matches("(?s).*fio by bare +0\\.50 +0\\.25-0\\.90\\n.*"), text);
        String why = "not run: dbench: dbench is not installed (package dbench)";
        assertTrue(text.contains(why), text);
        assertTrue(figure.html().contains("Not run: dbench"), figure.html());
        assertTrue(figure.json().contains("\"workload\": \"dbench\""), figure.json());
    }

    private static BenchRow row(String subject, double... values) {
        return BenchRow.of(
                "paper", subject, "fio", "ops_per_second", Arrays.stream(values).boxed().toList());
    }
}
