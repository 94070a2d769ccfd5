package org.splitring.xenbus.device;

import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.stream.Stream;
import javax.tools.JavaCompiler;
import javax.tools.ToolProvider;

/// Makes jars with drivers in them, the way somebody else would: compiled against this project.
final class PluginJar {
    private final Path work;
    private final List<Path> sources = new ArrayList<>();
    private final StringBuilder backends = new StringBuilder();
    private final StringBuilder frontends = new StringBuilder();

    /// @param work an empty folder
    PluginJar(Path work) {
        this.work = work;
    }

    /// A backend driver that names its class `name`.
    PluginJar backend(String type, String name) {
        return driver(type, "Backend", "return \"" + name + "\";", backends);
    }

    PluginJar frontend(String type, String name) {
        return driver(type, "Frontend", "return \"" + name + "\";", frontends);
    }

    /// A backend driver with any body of `deviceClass()`.
    PluginJar backendThat(String type, String body) {
        return driver(type, "Backend", body, backends);
    }

    /// Names a backend driver that is not in the jar.
    PluginJar namesBackend(String type) {
        backends.append(type).append('\n');
        return this;
    }

    private PluginJar driver(String type, String side, String body, StringBuilder service) {
        String source =
                """
                package plugin;
                import org.splitring.xenbus.*;
                import org.splitring.xenbus.device.*;
                public final class %1$s implements %2$sDriver {
                    public String deviceClass() { %3$s }
                    public %2$sHooks create(%2$sContext context) throws DeviceException {
                        throw new DeviceException("not today");
                    }
                }
                """
                        .formatted(type, side, body);
        try {
            Path file = Files.createDirectories(work.resolve("plugin")).resolve(type + ".java");
            sources.add(Files.writeString(file, source));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        service.append("plugin.").append(type).append('\n');
        return this;
    }

    /// Compiles and packs.
    void write(Path jar) throws IOException {
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        Path classes = Files.createDirectories(work.resolve("classes"));
        List<String> arguments = new ArrayList<>(List.of("-d", classes.toString(), "-proc:none"));
        arguments.addAll(List.of("-cp", System.getProperty("java.class.path")));
        sources.forEach(source -> arguments.add(source.toString()));
        if (!sources.isEmpty()
                && compiler.run(null, null, null, arguments.toArray(String[]::new)) != 0) {
            throw new IOException("the plug-in does not compile");
        }
        try (OutputStream file = Files.newOutputStream(jar);
                JarOutputStream out = new JarOutputStream(file);
                Stream<Path> files = Files.walk(classes)) {
            for (Path path : files.filter(Files::isRegularFile).toList()) {
                put(out, classes.relativize(path).toString(), Files.readAllBytes(path));
            }
            put(out, "META-INF/services/" + BackendDriver.class.getName(), text(backends));
            put(out, "META-INF/services/" + FrontendDriver.class.getName(), text(frontends));
        }
    }

    private static byte[] text(StringBuilder lines) {
        return lines.toString().getBytes(StandardCharsets.UTF_8);
    }

    private static void put(JarOutputStream out, String name, byte[] bytes) throws IOException {
        if (bytes.length > 0) {
            out.putNextEntry(new JarEntry(name));
            out.write(bytes);
            out.closeEntry();
        }
    }
}
