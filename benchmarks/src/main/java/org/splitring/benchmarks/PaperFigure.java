package org.splitring.benchmarks;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/// The figure of the paper "Xen and the Art of Virtualization": what each workload reaches through
/// a guest, by what it reaches natively. And what there is to be said of workloads that did not
/// run.
final class PaperFigure {
    private static final int BAR_HEIGHT = 16;
    private static final int LABEL_WIDTH = 150;
    private static final int ONE_WIDTH = 400; // of the ratio 1
    private static final double MOST = 1.5; // what is beyond is cut, and has its number beside it

    private final Machine machine;
    private final List<BenchRow> rows;
    private final Map<String, String> notRun;

    /// @param notRun workloads, and why
    PaperFigure(Machine machine, List<BenchRow> rows, Map<String, String> notRun) {
        this.machine = machine;
        this.rows = rows;
        this.notRun = new LinkedHashMap<>(notRun);
    }

    /// Ours by others, a row for each workload and each other side.
    private Map<String, BenchRow> ratios() {
        Map<String, BenchRow> ratios = new LinkedHashMap<>();
        for (BenchRow ours : rows) {
            if (!ours.subject().equals("splitring")) {
                continue;
            }
            for (BenchRow other : rows) {
                if (other.variant().equals(ours.variant())
                        && !other.subject().equals(ours.subject())) {
                    ratios.put(ours.variant() + " by " + other.subject(), ours.relativeTo(other));
                }
            }
        }
        return ratios;
    }

    /// Lines for a terminal, after the table of all figures.
    String text() {
        StringBuilder text = new StringBuilder();
        text.append("\n%-26s %8s %15s%n".formatted("relative performance", "median", "min-max"));
        ratios().forEach(
                        (name, ratio) ->
                                text.append(
                                        String.format(
                                                Locale.ROOT,
                                                "%-26s %8.2f %15s%n",
                                                name,
                                                ratio.median(),
                                                spread(ratio))));
        notRun.forEach((workload, why) -> text.append("not run: " + workload + ": " + why + "\n"));
        return text.toString();
    }

    private static String spread(BenchRow ratio) {
        return String.format(Locale.ROOT, "%.2f-%.2f", ratio.min(), ratio.max());
    }

    String json() {
        StringBuilder json = new StringBuilder("{\"machine\": \"");
        json.append(machine.toString().replace("\n", "; ").replace("\"", "'"));
        json.append("\",\n\"rows\": ").append(BenchRow.toJson(rows)).append(",\n\"relative\": [");
        List<String> parts = new ArrayList<>();
        ratios().forEach(
                        (name, ratio) ->
                                parts.add(
                                        String.format(
                                                Locale.ROOT,
                                                "{\"name\": \"%s\", \"median\": %.3f, \"min\": %.3f,"
                                                        + " \"max\": %.3f, \"runs\": %d}",
                                                name,
                                                ratio.median(),
                                                ratio.min(),
                                                ratio.max(),
                                                ratio.runs())));
        json.append(String.join(",\n  ", parts)).append("],\n\"not_run\": [");
        parts.clear();
        notRun.forEach(
                (workload, why) ->
                        parts.add(
                                "{\"workload\": \"%s\", \"why\": \"%s\"}"
                                        .formatted(workload, why)));
        return json.append(String.join(",\n  ", parts)).append("]}\n").toString();
    }

    /// The figure: horizontal bars with a line from min to max, and a line at 1.
    String html() {
        StringBuilder bars = new StringBuilder();
        int y = 24;
        for (Map.Entry<String, BenchRow> each : ratios().entrySet()) {
            BenchRow ratio = each.getValue();
            bars.append(text(0, y + 12, each.getKey()));
            bars.append(
                    String.format(
                            Locale.ROOT,
                            "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>"
                                    + "<path d=\"M%.1f %d H%.1f\" stroke=\"#000\"/>%n",
                            LABEL_WIDTH,
                            y,
                            width(ratio.median()),
                            BAR_HEIGHT - 2,
                            each.getKey().endsWith("bare") ? "#8e9a2f" : "#c0392b",
                            LABEL_WIDTH + width(ratio.min()),
                            y + 7,
                            LABEL_WIDTH + width(ratio.max())));
            bars.append(
                    text(
                            LABEL_WIDTH + (int) width(MOST) + 10,
                            y + 12,
                            String.format(
                                    Locale.ROOT, "%.2f (%s)", ratio.median(), spread(ratio))));
            y += BAR_HEIGHT + 4;
        }
        int one = LABEL_WIDTH + ONE_WIDTH;
        StringBuilder page = new StringBuilder("<h2>Relative performance (1 is as native)</h2>\n");
        page.append(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\">%n"
                        .formatted(LABEL_WIDTH + (int) width(MOST) + 160, y + 6));
        page.append(
                "<path d=\"M%d 16 V%d\" stroke=\"#888\"/>%s".formatted(one, y, text(one, 12, "1")));
        page.append(bars).append("</svg>\n");
        notRun.forEach(
                (workload, why) ->
                        page.append("<p>Not run: ")
                                .append(BenchReport.escape(workload + ": " + why))
                                .append("</p>\n"));
        return page.toString();
    }

    private static double width(double ratio) {
        return Math.min(ratio, MOST) * ONE_WIDTH;
    }

    private static String text(int x, int y, String text) {
        return "<text x=\"%d\" y=\"%d\">%s</text>%n".formatted(x, y, BenchReport.escape(text));
    }
}
