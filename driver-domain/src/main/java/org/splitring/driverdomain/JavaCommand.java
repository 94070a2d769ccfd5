package org.splitring.driverdomain;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/// The command line of another process of this program, on the JDK and class path of this one.
final class JavaCommand {
    private static final Path SETSID = Path.of("/usr/bin/setsid");

    /// Compiles what runs four times as often as usual before it is compiled. Guests wait for a
    /// driver domain that starts, and a third of its start would go to compilers; what a ring does
    /// is compiled within its first second all the same.
    private static final String START_QUICKLY = "-XX:CompileThresholdScaling=4";

    /// What a guest process is given: little memory, and a collector without threads of its own.
    /// The compilers stay as they are: the ring code is slow without the optimising one.
    static final List<String> SMALL =
            List.of(
                    "-Xms16m",
                    "-Xmx96m",
                    "-XX:+UseSerialGC",
                    "-XX:MaxDirectMemorySize=64m",
                    START_QUICKLY);

    /// What the driver domain is given: as the launcher does, and a quick start.
    static final List<String> DRIVER_DOMAIN =
            List.of("-XX:+UseSerialGC", "-Xms32m", "-Xmx512m", START_QUICKLY);

    /// How closely Netty watches its buffers: as in this process, so not at all when the launcher
    /// has started it.
    private static final String LEAKS = "io.netty.leakDetection.level";

    private JavaCommand() {}

    /// A command that starts `splitring ARGUMENTS` in a session of its own, so that a Ctrl-C at the
    /// terminal reaches only us, and we stop the others in order.
    static List<String> of(List<String> jvmOptions, List<String> arguments) {
        List<String> command = new ArrayList<>();
        if (Files.isExecutable(SETSID)) {
            command.add(SETSID.toString());
        }
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.add("--enable-native-access=ALL-UNNAMED");
        String leaks = System.getProperty(LEAKS);
        if (leaks != null) {
            command.add("-D" + LEAKS + "=" + leaks);
        }
        command.addAll(jvmOptions);
        command.add("-cp");
        command.add(System.getProperty("java.class.path"));
        command.add(Splitring.class.getName());
        command.addAll(arguments);
        return command;
    }
}
