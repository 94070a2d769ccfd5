package org.splitring.benchmarks;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/// Programs of this module that a benchmark starts in JVMs of their own.
final class JavaProgram {
    private JavaProgram() {}

    /// How to start a class in a JVM like this one, as far as the arguments of the program.
    ///
    /// @param options of the JVM beside those that all need
    static List<String> command(Class<?> main, String... options) {
        return command(main.getName(), options);
    }

    /// The same for a class of another module.
    static List<String> command(String main, String... options) {
        List<String> command = new ArrayList<>();
        command.add(System.getProperty("java.home") + "/bin/java");
        command.add("--enable-native-access=ALL-UNNAMED");
        command.addAll(List.of(options));
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), main));
        return command;
    }

    /// Nobody is left running when the program that started this one is gone: its end of our
    /// standard input closes then.
    static void endWithParent() {
        Thread.ofPlatform()
                .daemon()
                .name("parent")
                .start(
                        () -> {
                            try {
                                while (System.in.read() >= 0) {
                                    // nobody writes
                                }
                            } catch (IOException e) {
                                // as good as the end
                            }
                            Runtime.getRuntime().halt(3);
                        });
    }
}
