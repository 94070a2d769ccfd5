package org.splitring.driverdomain.lab;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Finds the line of a key again, for messages: the TOML parser gives values without places.
///
/// It reads only what people write in lab files, headers and keys at the beginning of a line. What
/// it does not find has no line in the message, and no more depends on it.
final class TomlPlaces {
    private static final Pattern HEADER = Pattern.compile("\\s*\\[+([^\\]]+)\\]+\\s*(?:#.*)?");
    private static final Pattern KEY =
            Pattern.compile("\\s*((?:[A-Za-z0-9_.-]|\"[^\"]*\"|'[^']*')+)\\s*=.*");
    private static final Pattern PART = Pattern.compile("\"([^\"]*)\"|'([^']*)'|([^.\\s]+)");

    private final Map<List<String>, Integer> lines = new HashMap<>();
    private final List<String> text;
    private List<String> firstDuplicate = List.of();
    private int duplicateLine;

    TomlPlaces(String toml) {
        this(toml, List.of());
    }

    /// @param beginning the table that keys before the first header are in
    TomlPlaces(String toml, List<String> beginning) {
        text = toml.lines().toList();
        List<String> table = beginning;
        for (int i = 0; i < text.size(); i++) {
            Matcher header = HEADER.matcher(text.get(i));
            Matcher key = KEY.matcher(text.get(i));
            if (header.matches()) {
                table = parts(header.group(1));
                record(table, i + 1);
            } else if (key.matches()) {
                List<String> path = new ArrayList<>(table);
                path.addAll(parts(key.group(1)));
                if (!record(List.copyOf(path), i + 1) && firstDuplicate.isEmpty()) {
                    firstDuplicate = List.copyOf(path);
                    duplicateLine = i + 1;
                }
            }
        }
    }

    private static List<String> parts(String dotted) {
        List<String> parts = new ArrayList<>();
        for (Matcher part = PART.matcher(dotted.strip()); part.find(); ) {
            String quoted = part.group(1) != null ? part.group(1) : part.group(2);
            parts.add(quoted != null ? quoted : part.group(3));
        }
        return List.copyOf(parts);
    }

    /// Notes a key, and what it is in.
    ///
    /// @return whether the key itself is new
    private boolean record(List<String> path, int line) {
        for (int size = 1; size < path.size(); size++) {
            lines.putIfAbsent(path.subList(0, size), line);
        }
        return lines.putIfAbsent(path, line) == null;
    }

    /// The first key that is there twice; empty when there is none.
    List<String> firstDuplicate() {
        return firstDuplicate;
    }

    /// Line of its second appearance.
    int duplicateLine() {
        return duplicateLine;
    }

    /// Line of a key, or of what it is in; 0 when neither is found.
    int line(List<String> path) {
        for (int size = path.size(); size > 0; size--) {
            Integer line = lines.get(path.subList(0, size));
            if (line != null) {
                return line;
            }
        }
        return 0;
    }

    /// Line of a string in the list under a key: the first that has it, from the key on.
    int line(List<String> path, String element) {
        int start = line(path);
        for (int i = Math.max(start, 1); start > 0 && i <= text.size(); i++) {
            if (text.get(i - 1).contains(element)) {
                return i;
            }
        }
        return start;
    }
}
