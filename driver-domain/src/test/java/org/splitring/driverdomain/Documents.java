package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// The commands that stand in the repository's documents: each line of an indented block that
/// begins with a program, each line of a fenced block of `sh`, and what sentences mention of
/// `splitring`.
final class Documents {
    static final Path TOP = Path.of("..");

    /// What an indented line begins with when it is a command, besides paths as `./splitring`.
    private static final Set<String> PROGRAMS =
            Set.of(
                    "curl",
                    "diodls",
                    "gcc",
                    "javac",
                    "jcmd",
                    "jfr",
                    "nbdinfo",
                    "nbdkit",
                    "passt",
                    "qemu-img",
                    "qemu-io",
                    "qemu-system-x86_64",
                    "socat",
                    "truncate",
                    "xl");

    /// What an indented line begins with that looks like a program, and is none: Java, nodes of a
    /// store, parts of a picture or of a table, a line of a configuration.
    private static final Set<String> OTHER_WORDS =
            Set.of(
                    "backend",
                    "backend-id",
                    "blacklist",
                    "driver-domain",
                    "final",
                    "for",
                    "frontend",
                    "if",
                    "long",
                    "netback",
                    "private",
                    "public",
                    "read",
                    "requests",
                    "ring-buffers",
                    "state",
                    "stress",
                    "toolstack",
                    "virtual-device",
                    "write");

    private static final Pattern MENTION = Pattern.compile("`(?:\\./)?(splitring [^`\n]+)`");
    private static final Pattern WORD = Pattern.compile("[a-z][a-z0-9_.+-]+( .*)?");
    private static final Pattern KEY = Pattern.compile("[\\w.\"-]+ += .*"); // of a lab file
    private static final Pattern PATH =
            Pattern.compile("(\\.?\\.?/|\\(cd |\"\\$|[\\w.-]+/|[a-z]+=[^ ]).*");
    private static final Pattern STORE = Pattern.compile("/local/.*");
    private static final Pattern DRAWN = Pattern.compile(".*[\\x{2500}-\\x{25FF}].*");
    private static final Set<String> OTHER_FENCES = Set.of("java", "json");
    private static final Set<String> OTHER_FOLDERS = Set.of("target", "build", "run");

    private Documents() {}

    /// A line, or one of the commands that stand in a line behind each other.
    ///
    /// @param page its file, from the top
    /// @param section heading that it stands under, without `#`
    /// @param text without the comment that may follow it
    record Command(String page, String section, String text) {
        @Override
        public String toString() {
            return page + ": " + text;
        }
    }

    /// A line of a block.
    ///
    /// @param fence language of a fenced block; empty for an indented one, or when none is said
    private record Line(String page, String section, String fence, String text) {
        boolean isCommand() {
            if (fence.equals("sh")) {
                return !text.isBlank();
            }
            if (OTHER_FENCES.contains(fence) || DRAWN.matcher(text).matches()) {
                return false;
            }
            boolean path = PATH.matcher(text).matches() && !STORE.matcher(text).matches();
            return path || PROGRAMS.contains(firstWord());
        }

        /// Whether it may be a command of a program that nobody has told us of.
        boolean isUnclear() {
            return !isCommand()
                    && !OTHER_FENCES.contains(fence)
                    && !DRAWN.matcher(text).matches()
                    && WORD.matcher(text).matches()
                    && !KEY.matcher(text).matches()
                    && !OTHER_WORDS.contains(firstWord());
        }

        String firstWord() {
            return text.split(" ", 2)[0];
        }

        Stream<Command> commands() {
            String bare = text.replaceFirst(" +# .*", "");
            return Stream.of(bare.split("; (?=\\./)", -1))
                    .map(each -> new Command(page, section, each));
        }
    }

    /// All documents, from the top.
    static List<String> pages() throws IOException {
        List<String> pages = new ArrayList<>();
        try (Stream<Path> folders = Files.list(TOP)) {
            for (Path entry : folders.sorted().toList()) {
                String name = String.valueOf(entry.getFileName());
                if (!name.startsWith(".") && !OTHER_FOLDERS.contains(name)) {
                    collect(entry, pages);
                }
            }
        }
        return pages;
    }

    private static void collect(Path entry, List<String> pages) throws IOException {
        try (Stream<Path> files = Files.walk(entry)) {
            files.filter(file -> file.toString().endsWith(".md"))
                    .map(file -> TOP.relativize(file).toString())
                    .filter(page -> !page.contains("/target/"))
                    .sorted()
                    .forEach(pages::add);
        }
    }

    private static List<Line> lines(String page) throws IOException {
        List<Line> found = new ArrayList<>();
        String section = "";
        Optional<String> fence = Optional.empty();
        String begun = ""; // a line that goes on in the next one
        for (String line : Files.readAllLines(TOP.resolve(page))) {
            if (line.startsWith("```")) {
                fence = fence.isPresent() ? Optional.empty() : Optional.of(line.substring(3));
            } else if (fence.isEmpty() && line.startsWith("#")) {
                section = line.replaceFirst("#+ *", "");
            } else if (fence.isPresent() || line.startsWith("    ")) {
                String text = begun + line.strip();
                if (text.endsWith("\\")) {
                    begun = text.substring(0, text.length() - 1).stripTrailing() + " ";
                } else {
                    begun = "";
                    found.add(new Line(page, section, fence.orElse(""), text));
                }
            }
        }
        return found;
    }

    /// The commands of a page, in their order.
    static List<Command> commands(String page) throws IOException {
        return lines(page).stream().filter(Line::isCommand).flatMap(Line::commands).toList();
    }

    /// The commands under one heading of a page.
    static List<Command> commands(String page, String section) throws IOException {
        return commands(page).stream().filter(each -> each.section().equals(section)).toList();
    }

    /// The commands under these headings of the README, and then those of these pages.
    static List<Command> commands(List<String> sections, List<String> pages) throws IOException {
        List<Command> found = new ArrayList<>();
        for (String section : sections) {
            found.addAll(commands("README.md", section));
        }
        for (String page : pages) {
            found.addAll(commands(page));
        }
        return found;
    }

    /// The commands of fenced blocks of `sh`.
    static List<Command> fenced(String page) throws IOException {
        return lines(page).stream()
                .filter(line -> line.fence().equals("sh") && line.isCommand())
                .flatMap(Line::commands)
                .toList();
    }

    static List<Command> commands() throws IOException {
        List<Command> all = new ArrayList<>();
        for (String page : pages()) {
            all.addAll(commands(page));
        }
        return all;
    }

    /// The commands of `splitring` that stand in the middle of a sentence.
    static List<Command> mentions() throws IOException {
        List<Command> all = new ArrayList<>();
        for (String page : pages()) {
            MENTION.matcher(Files.readString(TOP.resolve(page)))
                    .results()
                    .map(found -> new Command(page, "", found.group(1)))
                    .forEach(all::add);
        }
        return all;
    }

    /// Lines of which it is not clear whether they are commands.
    static List<String> unclear() throws IOException {
        List<String> all = new ArrayList<>();
        for (String page : pages()) {
            lines(page).stream()
                    .filter(Line::isUnclear)
                    .map(line -> page + ": " + line.text())
                    .forEach(all::add);
        }
        return all;
    }

    /// The lines of a section that are no commands and belong to a block of this kind.
    ///
    /// @param fence language of a fenced block; empty for indented ones
    static List<String> others(String page, String section, String fence) throws IOException {
        return lines(page).stream()
                .filter(line -> line.section().equals(section) && line.fence().equals(fence))
                .filter(line -> !line.isCommand())
                .map(Line::text)
                .toList();
    }
}
