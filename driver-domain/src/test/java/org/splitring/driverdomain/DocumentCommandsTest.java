package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;
import picocli.CommandLine.MissingParameterException;
import picocli.CommandLine.ParameterException;

/// Every command of every document is run by a test, or left out for a reason that
/// [LeftOutCommands] has.
class DocumentCommandsTest {
    private static final Pattern NAMED_TEST = Pattern.compile("-Dtest=(\\w+)(?:#(\\w+))?");
    private static final Pattern MODULES = Pattern.compile("-pl ([\\w,-]+)");
    private static final Pattern PROFILE = Pattern.compile("-P(\\w+)");

    private static Set<String> run() throws IOException {
        Set<String> run = new TreeSet<>();
        Stream.of(
                        NewDeviceTutorialIT.commands(),
                        DocumentsIT.commands(),
                        MeasuringDocumentsIT.commands(),
                        ModuleDocumentsIT.commands())
                .flatMap(List::stream)
                .map(Documents.Command::text)
                .forEach(run::add);
        return run;
    }

    @Test
    void everyCommandIsRunOrLeftOutForAReason() throws IOException {
        Set<String> run = run();
        List<Documents.Command> missing =
                Documents.commands().stream()
                        .filter(command -> !run.contains(command.text()))
                        .filter(command -> !LeftOutCommands.contains(command))
                        .toList();
        assertEquals(List.of(), missing, "run them in a test, or say why not");
        assertTrue(run.size() > 80, run::toString);
    }

    @Test
    void whatIsLeftOutIsThereAndNowhereRun() throws IOException {
        Set<String> left = new TreeSet<>(LeftOutCommands.reasons().keySet());
        Set<String> there =
                Documents.commands().stream()
                        .map(Documents.Command::text)
                        .collect(Collectors.toCollection(TreeSet::new));
        Set<String> stale = new TreeSet<>(left);
        stale.removeAll(there);
        assertEquals(Set.of(), stale, "in no document any more");
        left.retainAll(run());
        assertEquals(Set.of(), left, "run, and said to be left out");
    }

    @Test
    void everyLineOfABlockIsKnownToBeACommandOrNone() throws IOException {
        assertEquals(
                List.of(), Documents.unclear(), "add its first word to PROGRAMS or OTHER_WORDS");
    }

    @Test
    void commandsOfMavenNameTestsModulesAndProfilesThatThereAre() throws IOException {
        List<String> commands =
                Documents.commands().stream()
                        .map(Documents.Command::text)
                        .filter(text -> text.startsWith("./mvnw "))
                        .toList();
        List<String> wrong = new ArrayList<>();
        String pom = Files.readString(Documents.TOP.resolve("pom.xml"));
        for (String command : commands) {
            Matcher test = NAMED_TEST.matcher(command);
            if (test.find() && !isThere(test.group(1), test.group(2))) {
                wrong.add(command);
            }
            Matcher modules = MODULES.matcher(command);
            while (modules.find()) {
                for (String module : modules.group(1).split(",", -1)) {
                    if (!pom.contains("<module>" + module + "</module>")) {
                        wrong.add(command);
                    }
                }
            }
            Matcher profile = PROFILE.matcher(command);
            while (profile.find()) {
                if (!pom.contains("<id>" + profile.group(1) + "</id>")) {
                    wrong.add(command);
                }
            }
        }
        assertEquals(List.of(), wrong);
        assertTrue(commands.size() > 10, commands::toString);
    }

    /// A sentence may leave out what has to follow, and may not name what there is not.
    @Test
    void aCommandInASentenceHasTheOptionsThatItIsSaidToHave() throws IOException {
        List<Documents.Command> mentions = Documents.mentions();
        List<String> wrong = new ArrayList<>();
        CommandLine program = Splitring.commandLine();
        for (Documents.Command mention : mentions) {
            String[] words = mention.text().replaceFirst("splitring ", "").split(" +");
            try {
                program.parseArgs(words);
            } catch (MissingParameterException e) {
                // what follows is left out
            } catch (ParameterException e) {
                wrong.add(mention + ": " + e.getMessage());
            }
        }
        assertEquals(List.of(), wrong);
        assertTrue(mentions.size() > 50, mentions::toString);
    }

    private static boolean isThere(String type, @Nullable String method) throws IOException {
        try (Stream<Path> modules = Files.list(Documents.TOP)) {
            for (Path module : modules.toList()) {
                Path sources = module.resolve("src/test/java");
                if (Files.isDirectory(sources)) {
                    try (Stream<Path> files = Files.walk(sources)) {
                        List<Path> found =
                                files.filter(file -> file.endsWith(type + ".java")).toList();
                        if (!found.isEmpty()) {
                            return method == null
                                    || Files.readString(found.getFirst())
                                            .contains("void " + method + "(");
                        }
                    }
                }
            }
        }
        return false;
    }
}
