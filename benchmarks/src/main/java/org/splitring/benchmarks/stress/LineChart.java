package org.splitring.benchmarks.stress;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.DoubleFunction;
import org.splitring.benchmarks.BenchReport;

/// Lines over a common axis, as SVG whose colours are those of the page (`--line0` to `--line5`).
final class LineChart {
    private static final int WIDTH = 720;
    private static final int HEIGHT = 240;
    private static final int LEFT = 78;
    private static final int RIGHT = 12;
    private static final int TOP = 12;
    private static final int BOTTOM = 34;
    private static final int COLOURS = 6;
    private static final double[] STEPS = {1, 2, 2.5, 5, 10};

    private final String title;
    private final String xTitle;
    private final DoubleFunction<String> xText;
    private final DoubleFunction<String> yText;
    private final List<Line> lines = new ArrayList<>();
    private final List<Double> marks = new ArrayList<>();
    private List<Double> xTicks = List.of();
    private boolean logarithmic;
    private double most; // of y, when it is known; else 0

    /// Points in the order of x.
    private record Line(String name, List<double[]> points) {}

    LineChart(
            String title,
            String xTitle,
            DoubleFunction<String> xText,
            DoubleFunction<String> yText) {
        this.title = title;
        this.xTitle = xTitle;
        this.xText = xText;
        this.yText = yText;
    }

    /// y by powers of ten; what is 0 is left out.
    LineChart logarithmic() {
        logarithmic = true;
        return this;
    }

    /// The top of y, whatever the values are.
    LineChart upTo(double value) {
        most = value;
        return this;
    }

    /// Where x is labelled, instead of at round numbers.
    LineChart ticks(List<Double> at) {
        xTicks = List.copyOf(at);
        return this;
    }

    /// An upright line at x, where another run begins: lines are interrupted there.
    LineChart mark(double x) {
        marks.add(x);
        return this;
    }

    LineChart line(String name, List<double[]> points) {
        lines.add(new Line(name, points));
        return this;
    }

    /// Draws it.
    ///
    /// @return an element `figure`; text instead of a chart when there is nothing to show
    String svg() {
        List<double[]> all =
                lines.stream()
                        .flatMap(line -> line.points().stream())
                        .filter(point -> !logarithmic || point[1] > 0)
                        .toList();
        if (all.isEmpty()) {
            return "<p>" + BenchReport.escape(title) + ": no figures.</p>\n";
        }
        Scale x = Scale.of(all, 0);
        Scale y = logarithmic ? Scale.decades(all) : Scale.fromZero(all, most);
        StringBuilder svg = new StringBuilder();
        svg.append(
                "<figure><figcaption>%s</figcaption>%n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">%n"
                        .formatted(
                                BenchReport.escape(title),
                                WIDTH,
                                HEIGHT,
                                BenchReport.escape(title)));
        for (double tick : y.ticks()) {
            double at = up(y.share(tick));
            svg.append(
                    path(
                            "grid",
                            String.format(Locale.ROOT, "M%d %.1f H%d", LEFT, at, WIDTH - RIGHT)));
            svg.append(text("end", LEFT - 6, at + 4, yText.apply(tick)));
        }
        for (double tick : xTicks.isEmpty() ? x.ticks() : xTicks) {
            double at = right(x.share(tick));
            svg.append(
                    path(
                            "grid",
                            String.format(Locale.ROOT, "M%.1f %d V%d", at, TOP, HEIGHT - BOTTOM)));
            svg.append(text("middle", at, HEIGHT - BOTTOM + 15, xText.apply(tick)));
        }
        svg.append(text("middle", (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 4.0, xTitle));
        for (double mark : marks) {
            svg.append(
                    path(
                            "mark",
                            String.format(
                                    Locale.ROOT,
                                    "M%.1f %d V%d",
                                    right(x.share(mark)),
                                    TOP,
                                    HEIGHT - BOTTOM)));
        }
        for (int i = 0; i < lines.size(); i++) {
            svg.append(line(lines.get(i), i % COLOURS, x, y));
        }
        svg.append("</svg>\n<ul class=\"legend\">");
        for (int i = 0; i < lines.size(); i++) {
            svg.append(
                    "<li><i class=\"line%d\"></i>%s</li>"
                            .formatted(i % COLOURS, BenchReport.escape(lines.get(i).name())));
        }
        return svg.append("</ul></figure>\n").toString();
    }

    private String line(Line line, int colour, Scale x, Scale y) {
        StringBuilder path = new StringBuilder();
        StringBuilder dots = new StringBuilder();
        double before = Double.NEGATIVE_INFINITY;
        for (double[] point : line.points()) {
            if (logarithmic && point[1] <= 0) {
                continue;
            }
            double from = before;
            boolean begins =
                    path.isEmpty()
                            || marks.stream()
                                    .anyMatch(b -> from <= b + 1e-9 && b + 1e-9 < point[0]);
            double atX = right(x.share(point[0]));
            double atY = up(y.share(point[1]));
            path.append(String.format(Locale.ROOT, "%s%.1f %.1f", begins ? "M" : "L", atX, atY));
            dots.append(
                    String.format(
                            Locale.ROOT,
                            "<circle class=\"line%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"2\"><title>%s: %s, %s</title></circle>",
                            colour,
                            atX,
                            atY,
                            BenchReport.escape(line.name()),
                            BenchReport.escape(xText.apply(point[0])),
                            BenchReport.escape(yText.apply(point[1]))));
            before = point[0];
        }
        return "<path class=\"line%d\" d=\"%s\"/>%s%n".formatted(colour, path, dots);
    }

    private static String path(String kind, String steps) {
        return "<path class=\"%s\" d=\"%s\"/>%n".formatted(kind, steps);
    }

    private static String text(String anchor, double x, double y, String text) {
        return String.format(
                Locale.ROOT,
                "<text text-anchor=\"%s\" x=\"%.1f\" y=\"%.1f\">%s</text>%n",
                anchor,
                x,
                y,
                BenchReport.escape(text));
    }

    private static double right(double share) {
        return LEFT + share * (WIDTH - LEFT - RIGHT);
    }

    private static double up(double share) {
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM);
    }

    /// From values to shares of an axis.
    ///
    /// @param decades whether by logarithm
    private record Scale(double low, double high, boolean decades, List<Double> ticks) {
        static Scale of(List<double[]> points, int which) {
            double low = points.stream().mapToDouble(p -> p[which]).min().orElse(0);
            double high = points.stream().mapToDouble(p -> p[which]).max().orElse(1);
            if (high <= low) {
                high = low + 1;
            }
            return new Scale(low, high, false, ticks(low, high));
        }

        static Scale fromZero(List<double[]> points, double most) {
            double high = points.stream().mapToDouble(p -> p[1]).max().orElse(1);
            double top = most > 0 ? most : high > 0 ? high * 1.08 : 1;
            return new Scale(0, top, false, ticks(0, top));
        }

        static Scale decades(List<double[]> points) {
            double low = points.stream().mapToDouble(p -> p[1]).min().orElse(1);
            double high = points.stream().mapToDouble(p -> p[1]).max().orElse(10);
            double from = Math.floor(Math.log10(low));
            double to = Math.max(from + 1, Math.ceil(Math.log10(high)));
            List<Double> ticks = new ArrayList<>();
            for (double at = from; at <= to; at++) {
                ticks.add(Math.pow(10, at));
            }
            return new Scale(from, to, true, ticks);
        }

        private static List<Double> ticks(double low, double high) {
            double rough = (high - low) / 6;
            double unit = Math.pow(10, Math.floor(Math.log10(rough)));
            double step = unit;
            for (double factor : STEPS) {
                if (step < rough) {
                    step = unit * factor;
                }
            }
            List<Double> ticks = new ArrayList<>();
            for (long i = (long) Math.ceil(low / step); i * step <= high * (1 + 1e-9); i++) {
                ticks.add(i * step);
            }
            return ticks;
        }

        double share(double value) {
            return ((decades ? Math.log10(value) : value) - low) / (high - low);
        }
    }
}
