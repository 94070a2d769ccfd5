package org.splitring.driverdomain;

import java.util.ArrayList;
import java.util.List;

/// Lines of cells, for people: columns as wide as they need to be, numbers to the right.
final class TextTable {
    private final List<String> head;
    private final List<List<String>> lines = new ArrayList<>();

    /// @param head names of the columns; those that begin with `>` hold numbers
    TextTable(String... head) {
        this.head = List.of(head);
    }

    /// Adds a line with a cell for each column.
    TextTable line(Object... cells) {
        if (cells.length != head.size()) {
            throw new IllegalArgumentException(cells.length + " cells in " + head.size());
        }
        List<String> line = new ArrayList<>();
        for (Object cell : cells) {
            line.add(String.valueOf(cell));
        }
        lines.add(line);
        return this;
    }

    /// The lines, the head first.
    List<String> lines() {
        List<String> names = head.stream().map(name -> name.replaceFirst("^>", "")).toList();
        int[] widths = new int[head.size()];
        List<List<String>> all = new ArrayList<>();
        all.add(names);
        all.addAll(lines);
        for (List<String> line : all) {
            for (int i = 0; i < widths.length; i++) {
                widths[i] = Math.max(widths[i], line.get(i).length());
            }
        }
        List<String> text = new ArrayList<>();
        for (List<String> line : all) {
            StringBuilder row = new StringBuilder();
            for (int i = 0; i < widths.length; i++) {
                String space = " ".repeat(widths[i] - line.get(i).length());
                boolean right = head.get(i).startsWith(">");
                row.append(i == 0 ? "" : "  ");
                row.append(right ? space + line.get(i) : line.get(i) + space);
            }
            text.add(row.toString().stripTrailing());
        }
        return text;
    }
}
