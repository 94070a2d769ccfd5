package org.splitring.benchmarks.stress;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.splitring.benchmarks.BenchReport;

/// A result as a page of its own: charts as SVG, tables, no script, nothing loaded, light or
/// dark as the reader's system is.
final class StressPage {
    private static final String STYLE =
            """
            :root{color-scheme:light dark;--ink:#1d2329;--paper:#fff;--faint:#d9dee3;--soft:#5c6670;
            --line0:#2563b0;--line1:#b4432f;--line2:#2f7d43;--line3:#8a5bb0;--line4:#a56a00;--line5:#0e7f88}
            @media(prefers-color-scheme:dark){:root{--ink:#e3e7eb;--paper:#15191d;--faint:#343c44;--soft:#9aa5b0;
            --line0:#74adf0;--line1:#f08a75;--line2:#7cc98f;--line3:#c3a0e8;--line4:#e0b055;--line5:#63c8d1}}
            body{font:14px/1.45 system-ui,sans-serif;margin:2em auto;max-width:62em;padding:0 1em;
            color:var(--ink);background:var(--paper)}
            h1{font-size:1.5em}h2{font-size:1.15em;margin-top:1.8em}
            figure{margin:1em 0}figcaption{font-weight:600}svg{width:100%;height:auto}
            svg text{font-size:11px;fill:var(--soft)}svg path{fill:none}
            .grid{stroke:var(--faint);stroke-width:1}.mark{stroke:var(--soft);stroke-dasharray:3 3}
            path[class^=line]{stroke-width:1.8}
            .legend{list-style:none;display:flex;flex-wrap:wrap;gap:.3em 1.4em;margin:0;padding:0}
            .legend i{display:inline-block;width:1.2em;height:.25em;margin-right:.45em;vertical-align:middle}
            table{border-collapse:collapse;font-variant-numeric:tabular-nums}
            th,td{padding:.2em .8em;border-bottom:1px solid var(--faint);text-align:right}
            th:first-child,td:first-child{text-align:left}
            .scroll{overflow-x:auto}.note{border-left:4px solid var(--line1);padding-left:.8em}
            code{overflow-wrap:anywhere}
            """;

    private final StressResult result;

    StressPage(StressResult result) {
        this.result = result;
    }

    String html() {
        String title = "stress " + result.test();
        StringBuilder page = new StringBuilder();
        page.append("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")
                .append("<meta name=\"viewport\" content=\"width=device-width\"><title>")
                .append(BenchReport.escape(title))
                .append("</title><style>")
                .append(STYLE);
        for (int i = 0; i < 6; i++) {
            page.append(
                    "path.line%1$d{stroke:var(--line%1$d)}circle.line%1$d{fill:var(--line%1$d)}i.line%1$d{background:var(--line%1$d)}%n"
                            .formatted(i));
        }
        page.append("</style></head><body>\n<h1>")
                .append(BenchReport.escape(title))
                .append("</h1>\n<p><code>")
                .append(BenchReport.escape("splitring " + String.join(" ", result.command())))
                .append("</code></p>\n");
        switch (result.outcome()) {
            case "interrupted" ->
                    page.append(
                            "<p class=\"note\">Interrupted: what was measured until then.</p>\n");
            case "failed" ->
                    page.append("<p class=\"note\">Failed: ")
                            .append(BenchReport.escape(String.valueOf(result.failure())))
                            .append("</p>\n");
            default -> {
                // as planned: nothing to say
            }
        }
        page.append("<p>")
                .append(BenchReport.escape(result.machine().toString()).replace("\n", "<br>"))
                .append("<br>")
                .append(BenchReport.escape(result.began()))
                .append("</p>\n<h2>Settings</h2>\n")
                .append(settings());
        if (result.points().size() > 1) {
            page.append(overPoints());
        }
        for (StressPoint point : result.points()) {
            page.append(point(point));
        }
        return page.append("</body></html>\n").toString();
    }

    private String settings() {
        List<List<String>> rows = new ArrayList<>();
        result.settings().forEach((name, value) -> rows.add(List.of(name, value)));
        return table(List.of("setting", "value"), rows);
    }

    private static String point(StressPoint point) {
        StringBuilder page = new StringBuilder();
        page.append("<h2>").append(BenchReport.escape(point.name())).append("</h2>\n");
        if (point.runs().stream().anyMatch(run -> !run.intervals().isEmpty())) {
            page.append(
                            overTime(
                                    point,
                                    "Requests per second",
                                    false,
                                    Interval.KindInterval::perSecond))
                    .append(
                            overTime(
                                    point,
                                    "Latency, 99th percentile of each part",
                                    true,
                                    k -> k.p99Nanos()))
                    .append(percentiles(point))
                    .append(cores(point));
        }
        List<List<String>> rows = new ArrayList<>();
        for (StressMetric metric : point.metrics()) {
            rows.add(
                    List.of(
                            metric.name(),
                            Amounts.with(metric.median(), metric.unit()),
                            Amounts.with(metric.min(), metric.unit()),
                            Amounts.with(metric.max(), metric.unit()),
                            Integer.toString(metric.values().size())));
        }
        return page.append(table(List.of("metric", "median", "least", "most", "runs"), rows))
                .toString();
    }

    /// One value of a part of a run.
    @FunctionalInterface
    private interface Value {
        double of(Interval.KindInterval kind);
    }

    private static String overTime(StressPoint point, String title, boolean time, Value value) {
        LineChart chart =
                new LineChart(
                        title,
                        "seconds, run after run",
                        Amounts::count,
                        time ? Amounts::nanos : Amounts::count);
        if (time) {
            chart.logarithmic();
        }
        markRuns(point, chart);
        List<KindFigures> kinds = point.runs().getFirst().kinds();
        for (int i = 0; i < kinds.size(); i++) {
            List<double[]> points = new ArrayList<>();
            double begin = 0;
            for (StressRun run : point.runs()) {
                for (Interval interval : run.intervals()) {
                    points.add(
                            new double[] {
                                begin + interval.endSeconds(), value.of(interval.kinds().get(i))
                            });
                }
                begin += run.seconds();
            }
            chart.line(kinds.get(i).kind(), points);
        }
        return chart.svg();
    }

    private static void markRuns(StressPoint point, LineChart chart) {
        double begin = 0;
        for (StressRun run : point.runs().subList(0, point.runs().size() - 1)) {
            begin += run.seconds();
            chart.mark(begin);
        }
    }

    /// Nines: 90 % is 1, 99 % is 2, and so on; 100 % is beyond the last of them.
    private static String percentiles(StressPoint point) {
        LineChart chart =
                new LineChart(
                                "Latency by percentile, last run",
                                "percentile",
                                StressPage::percentile,
                                Amounts::nanos)
                        .logarithmic()
                        .ticks(List.of(0.0, 1.0, 2.0, 3.0, 4.0, 5.0));
        for (KindFigures kind : point.runs().getLast().kinds()) {
            chart.line(kind.kind(), curve(kind.latency()));
            Latency service = kind.service();
            if (service != null) {
                chart.line(kind.kind() + " service", curve(service));
            }
        }
        return chart.svg();
    }

    /// 0 %, 90 %, 99 %, 99.9 %, and a digit more for each nine.
    private static String percentile(double nines) {
        int digits = Math.max(0, (int) Math.ceil(nines) - 2);
        return String.format(Locale.ROOT, "%." + digits + "f %%", 100 - 100 / Math.pow(10, nines));
    }

    private static List<double[]> curve(Latency latency) {
        List<double[]> points = new ArrayList<>();
        for (Latency.Percentile at : latency.percentiles()) {
            if (at.percent() < 100) {
                points.add(new double[] {-Math.log10(1 - at.percent() / 100), at.nanos()});
            }
        }
        return points;
    }

    private static String cores(StressPoint point) {
        LineChart chart =
                new LineChart(
                                "Use of each processor, by everything that ran on the machine",
                                "seconds, run after run",
                                Amounts::count,
                                percent -> Math.round(percent) + " %")
                        .upTo(100);
        markRuns(point, chart);
        int cores = point.runs().getFirst().corePercent().size();
        for (int core = 0; core < cores; core++) {
            List<double[]> points = new ArrayList<>();
            double begin = 0;
            for (StressRun run : point.runs()) {
                for (Interval interval : run.intervals()) {
                    points.add(
                            new double[] {
                                begin + interval.endSeconds(), interval.corePercent().get(core)
                            });
                }
                begin += run.seconds();
            }
            chart.line("cpu" + core, points);
        }
        return chart.svg();
    }

    /// How the figures grow with the guests.
    private String overPoints() {
        StringBuilder page = new StringBuilder("<h2>By the number of guests</h2>\n");
        List<KindFigures> kinds = result.points().getFirst().runs().getFirst().kinds();
        LineChart rates = byGuests("Requests per second, all guests together", false);
        LineChart latencies = byGuests("Latency", true);
        for (KindFigures kind : kinds) {
            rates.line(kind.kind(), overPoints(kind.kind() + " rate"));
            latencies.line(kind.kind() + " p50", overPoints(kind.kind() + " p50"));
            latencies.line(kind.kind() + " p99", overPoints(kind.kind() + " p99"));
        }
        return page.append(rates.svg()).append(latencies.svg()).toString();
    }

    private LineChart byGuests(String title, boolean time) {
        LineChart chart =
                new LineChart(
                                title,
                                "guests",
                                power -> Amounts.count(Math.rint(Math.pow(2, power))),
                                time ? Amounts::nanos : Amounts::count)
                        .ticks(result.points().stream().map(StressPage::power).toList());
        return time ? chart.logarithmic() : chart;
    }

    private static double power(StressPoint point) {
        return Math.log(point.guests()) / Math.log(2);
    }

    private List<double[]> overPoints(String metric) {
        List<double[]> points = new ArrayList<>();
        for (StressPoint point : result.points()) {
            points.add(new double[] {power(point), point.metric(metric).median()});
        }
        return points;
    }

    private static String table(List<String> head, List<List<String>> rows) {
        StringBuilder table = new StringBuilder("<div class=\"scroll\"><table><tr>");
        head.forEach(cell -> table.append("<th>").append(BenchReport.escape(cell)).append("</th>"));
        table.append("</tr>\n");
        for (List<String> row : rows) {
            table.append("<tr>");
            row.forEach(
                    cell -> table.append("<td>").append(BenchReport.escape(cell)).append("</td>"));
            table.append("</tr>\n");
        }
        return table.append("</table></div>\n").toString();
    }
}
