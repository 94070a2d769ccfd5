package org.splitring.benchmarks;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/// Rows of a benchmark as a table of text, and as a page with charts that needs nothing else.
public final class BenchReport {
    /// Among servers ours is the one that does as much as they: it has no guest either.
    static final String SERVED = "splitring-served";

    private static final Map<String, String> COLOURS =
            Map.of(
                    "splitring", "#c0392b",
                    "c", "#34495e",
                    "agrona", "#2980b9",
                    "jctools", "#8e9a2f");
    private static final int BAR_HEIGHT = 14;
    private static final int LABEL_WIDTH = 300;
    private static final int PLOT_WIDTH = 460;

    private final String title;
    private final Machine machine;
    private final List<BenchRow> rows;

    BenchReport(String title, Machine machine, List<BenchRow> rows) {
        this.title = title;
        this.machine = machine;
        this.rows = rows;
    }

    /// One line for each figure, the subjects of a variant together, with our share of each other.
    String table() {
        StringBuilder text = new StringBuilder();
        text.append(
                line("variant", "metric", "subject", "median", "min", "max", "runs", "ours/it"));
        byVariant()
                .forEach(
                        (key, group) -> {
                            for (BenchRow row : group) {
                                text.append(
                                        line(
                                                row.variant(),
                                                row.metric(),
                                                row.subject(),
                                                number(row.median()),
                                                number(row.min()),
                                                number(row.max()),
                                                Integer.toString(row.runs()),
                                                ratio(group, row)));
                            }
                        });
        return text.toString();
    }

    /// A page of its own: charts as SVG, then the table. No script, nothing loaded.
    ///
    /// @param first what comes before the charts, as HTML
    String html(String first) {
        StringBuilder page = new StringBuilder();
        page.append("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>")
                .append(escape(title))
                .append("</title><style>body{font:14px sans-serif;margin:2em;color:#222}")
                .append(
                        "pre{font-size:12px}svg text{font:12px sans-serif}</style></head><body>\n<h1>")
                .append(escape(title))
                .append("</h1>\n<p>")
                .append(escape(machine.toString()))
                .append("</p>\n")
                .append(first)
                .append("<h2>Per second (more is better)</h2>\n")
                .append(chart(rows.stream().filter(BenchRow::isRate).toList()))
                .append("<h2>Time in ns (less is better)</h2>\n")
                .append(chart(rows.stream().filter(BenchRow::isTime).toList()))
                .append("<h2>All figures</h2>\n<pre>")
                .append(escape(table()))
                .append("</pre>\n</body></html>\n");
        return page.toString();
    }

    /// Horizontal bars on a logarithmic scale, each with a line from min to max.
    private static String chart(List<BenchRow> rows) {
        if (rows.isEmpty()) {
            return "<p>No figures.</p>\n";
        }
        double least = rows.stream().mapToDouble(r -> Math.max(1, r.min())).min().orElse(1);
        double most = rows.stream().mapToDouble(r -> Math.max(1, r.max())).max().orElse(1);
        double low = Math.floor(Math.log10(least));
        double high = Math.max(low + 1, Math.ceil(Math.log10(most)));
        StringBuilder bars = new StringBuilder();
        int y = 20;
        for (List<BenchRow> group : byVariant(rows).values()) {
            bars.append(
                    text(0, y + 11, group.getFirst().variant() + " " + group.getFirst().metric()));
            for (BenchRow row : group) {
                double end = x(row.median(), low, high);
                bars.append(
                        String.format(
                                Locale.ROOT,
                                "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>"
                                        + "<path d=\"M%.1f %d H%.1f\" stroke=\"#000\"/>\n",
                                LABEL_WIDTH,
                                y,
                                end,
                                BAR_HEIGHT - 3,
                                COLOURS.getOrDefault(row.subject(), "#888"),
                                LABEL_WIDTH + x(row.min(), low, high),
                                y + 5,
                                LABEL_WIDTH + x(row.max(), low, high)));
                bars.append(
                        text(
                                LABEL_WIDTH + PLOT_WIDTH + 10,
                                y + 10,
                                row.subject() + " " + number(row.median())));
                y += BAR_HEIGHT;
            }
            y += 8;
        }
        StringBuilder axis = new StringBuilder();
        for (int decade = (int) low; decade <= (int) high; decade++) {
            double at = LABEL_WIDTH + x(Math.pow(10, decade), low, high);
            axis.append(
                    String.format(
                            Locale.ROOT,
                            "<path d=\"M%.1f 16 V%d\" stroke=\"#ddd\"/>%s",
                            at,
                            y,
                            text((int) at - 10, 12, "10^" + decade)));
        }
        return String.format(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\">%n%s%s</svg>%n",
                LABEL_WIDTH + PLOT_WIDTH + 200, y + 10, axis, bars);
    }

    private static double x(double value, double low, double high) {
        return (Math.log10(Math.max(1, value)) - low) / (high - low) * PLOT_WIDTH;
    }

    private static String text(int x, int y, String text) {
        return "<text x=\"%d\" y=\"%d\">%s</text>%n".formatted(x, y, escape(text));
    }

    private Map<String, List<BenchRow>> byVariant() {
        return byVariant(rows);
    }

    private static Map<String, List<BenchRow>> byVariant(List<BenchRow> rows) {
        Map<String, List<BenchRow>> groups = new LinkedHashMap<>();
        for (BenchRow row : rows) {
            groups.computeIfAbsent(row.variant() + " " + row.metric(), k -> new ArrayList<>())
                    .add(row);
        }
        return groups;
    }

    /// Our median by the other's, so that one can see at once how far apart they are.
    private static String ratio(List<BenchRow> group, BenchRow row) {
        BenchRow ours = find(group, SERVED).or(() -> find(group, "splitring")).orElse(row);
        return ours.equals(row) || row.median() == 0
                ? ""
                : String.format(Locale.ROOT, "%.2f", ours.by(row));
    }

    private static Optional<BenchRow> find(List<BenchRow> group, String subject) {
        return group.stream().filter(row -> row.subject().equals(subject)).findFirst();
    }

    private static String number(double value) {
        if (value >= 1e6) {
            return String.format(Locale.ROOT, "%.2fM", value / 1e6);
        }
        return String.format(Locale.ROOT, value < 10 ? "%.2f" : "%.0f", value);
    }

    private static String line(Object... cells) {
        return "%-32s %-23s %-10s %10s %10s %10s %5s %8s%n".formatted(cells);
    }

    /// Text as it stands in a page.
    public static String escape(String text) {
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;");
    }
}
