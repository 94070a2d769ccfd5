package org.splitring.driverdomain.lab;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.zip.ZipFile;
import org.jspecify.annotations.Nullable;
import org.splitring.driverdomain.lab.LabDomain.GuestKind;
import tools.jackson.databind.JsonNode;

/// The keys of a domain that name what runs in its JVM: `class`, `jar` and `args`.
final class ProgramKeys {
    static final List<String> KEYS = List.of("class", "jar", "args");

    private static final String CLASS_NAME =
            "[\\p{L}_$][\\p{L}\\p{N}_$]*(\\.[\\p{L}_$][\\p{L}\\p{N}_$]*)*";

    private ProgramKeys() {}

    /// @param path of the domain
    static Optional<LabProgram> read(
            LabFile lab, JsonNode table, List<String> path, GuestKind guest) throws LabException {
        String className = string(lab, table, path, "class");
        String jarName = string(lab, table, path, "jar");
        if (className == null) {
            for (String key : List.of("jar", "args")) {
                if (table.has(key)) {
                    throw lab.bad(LabFile.under(path, key), "there is no class = \"...\" to run");
                }
            }
            return Optional.empty();
        }
        List<String> classPath = LabFile.under(path, "class");
        if (guest == GuestKind.EXTERNAL) {
            throw lab.bad(classPath, "nothing is started for an external guest");
        }
        if (!className.matches(CLASS_NAME)) {
            String shown = LabFile.printable(className);
            throw lab.bad(classPath, "\"" + shown + "\" is not the name of a class");
        }
        if (jarName == null) {
            throw lab.bad(classPath, "there is no jar = \"...\" to find it in");
        }
        List<String> jarPath = LabFile.under(path, "jar");
        Path jar = lab.resolve(jarName, jarPath);
        String entry = className.replace('.', '/') + ".class";
        if (!Files.isRegularFile(jar)) {
            throw lab.bad(jarPath, jar + " is not a file");
        }
        try (ZipFile zip = new ZipFile(jar.toFile())) {
            if (zip.getEntry(entry) == null) {
                throw lab.bad(classPath, jar + " has no " + entry);
            }
        } catch (IOException e) {
            throw lab.bad(jarPath, jar + " is not a jar: " + e.getMessage());
        }
        List<String> arguments = lab.strings(table.path("args"), LabFile.under(path, "args"));
        return Optional.of(new LabProgram(className, jar, arguments));
    }

    private static @Nullable String string(
            LabFile lab, JsonNode table, List<String> path, String key) throws LabException {
        JsonNode node = table.path(key);
        if (node.isMissingNode()) {
            return null;
        }
        if (!node.isString() || node.stringValue().isEmpty()) {
            throw lab.bad(LabFile.under(path, key), "\"" + LabFile.text(node) + "\" is not a name");
        }
        return node.stringValue();
    }
}
