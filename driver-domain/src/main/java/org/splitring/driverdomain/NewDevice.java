package org.splitring.driverdomain;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.lang.model.SourceVersion;

/// The project of a new device: that of `examples/vrng`, which is tested, under another name.
///
/// @param name class of the device, as in lab files: `my-clock`
/// @param stem what the names of its Java classes begin with: `MyClock`
/// @param packageName last part of its package: `myclock`
record NewDevice(String name, String stem, String packageName) {
    private static final Pattern NAME = Pattern.compile("[a-z][a-z0-9_-]{0,31}");
    private static final Pattern IMPORT =
            Pattern.compile("^import .*\\.(\\w+);$", Pattern.MULTILINE);

    /// Classes that the program has itself.
    private static final Set<String> TAKEN = Set.of("vbd", "vif", "console");

    /// What the example calls itself.
    private static final Pattern EXAMPLE = Pattern.compile("example[./]vrng|[Vv]rng");

    /// The files of the example, and two that it has outside or not at all.
    private static final List<String> FILES =
            List.of(
                    "README.md",
                    "vrng.toml",
                    "pom.xml",
                    "src/main/java/org/example/vrng/VrngProtocol.java",
                    "src/main/java/org/example/vrng/VrngBackendDriver.java",
                    "src/main/java/org/example/vrng/VrngFrontendDriver.java",
                    "src/main/java/org/example/vrng/VrngFrontend.java",
                    "src/main/resources/META-INF/services/org.splitring.xenbus.device.BackendDriver",
                    "src/main/resources/META-INF/services/org.splitring.xenbus.device.FrontendDriver",
                    "src/test/java/org/example/vrng/VrngContractTest.java");

    /// Checks a name.
    ///
    /// @throws CommandException when no device, or no Java package, can be called so
    static NewDevice named(String name) throws CommandException {
        if (!NAME.matcher(name).matches()) {
            throw new CommandException(
                    "\""
                            + name
                            + "\" is no name for a class of devices: it begins with a lower-case"
                            + " letter, and has up to 32 of those, digits, - and _");
        }
        if (TAKEN.contains(name)) {
            throw new CommandException(
                    "\"" + name + "\" is a class of devices that there is already; choose another");
        }
        String stem =
                Arrays.stream(name.split("[-_]+", -1))
                        .filter(word -> !word.isEmpty())
                        .map(word -> Character.toUpperCase(word.charAt(0)) + word.substring(1))
                        .collect(Collectors.joining());
        NewDevice device = new NewDevice(name, stem, name.replaceAll("[-_]", ""));
        device.checkJavaNames();
        return device;
    }

    private void checkJavaNames() throws CommandException {
        if (SourceVersion.isKeyword(packageName)) {
            throw new CommandException(
                    "\""
                            + name
                            + "\" is a word of Java, no package can be called so; choose another");
        }
        Set<String> imported = new TreeSet<>();
        Set<String> own = new TreeSet<>();
        for (String file : FILES) {
            if (file.endsWith(".java")) {
                own.add(renamed(file).replaceFirst(".*/", "").replace(".java", ""));
                Matcher found = IMPORT.matcher(template(file));
                while (found.find()) {
                    imported.add(found.group(1));
                }
            }
        }
        own.retainAll(imported);
        if (!own.isEmpty()) {
            throw new CommandException(
                    "\""
                            + name
                            + "\" would make a class "
                            + String.join(" and ", own)
                            + ", which Splitring has already; choose another");
        }
    }

    /// Writes the project.
    ///
    /// @param folder is made; one that is there has to be empty
    void write(Path folder) throws CommandException {
        try {
            if (Files.exists(folder)) {
                checkEmpty(folder);
            }
            Map<Path, String> texts = new LinkedHashMap<>();
            for (String file : FILES) {
                texts.put(folder.resolve(renamed(file)), renamed(template(file)));
            }
            for (Map.Entry<Path, String> text : texts.entrySet()) {
                Files.createDirectories(text.getKey().resolveSibling(""));
                Files.writeString(text.getKey(), text.getValue());
            }
        } catch (IOException e) {
            throw new CommandException("folder " + folder + " cannot be made: " + e, e);
        }
    }

    private static void checkEmpty(Path folder) throws IOException, CommandException {
        if (!Files.isDirectory(folder)) {
            throw new CommandException(folder + " is a file; --dir names another folder");
        }
        try (Stream<Path> inside = Files.list(folder)) {
            if (inside.findAny().isPresent()) {
                throw new CommandException(
                        "folder "
                                + folder
                                + " is not empty, and nothing is overwritten; --dir names another");
            }
        }
    }

    private String renamed(String text) {
        return EXAMPLE.matcher(text)
                .replaceAll(
                        found ->
                                switch (found.group()) {
                                    case "example.vrng" -> "example." + packageName;
                                    case "example/vrng" -> "example/" + packageName;
                                    case "Vrng" -> stem;
                                    default -> name;
                                });
    }

    private static String template(String file) {
        try (InputStream in = NewDevice.class.getResourceAsStream("device/" + file)) {
            if (in == null) {
                throw new IllegalStateException("the program has no device/" + file);
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new IllegalStateException("device/" + file + " cannot be read", e);
        }
    }
}
