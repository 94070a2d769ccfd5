package org.splitring.driverdomain;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/// The command line of another process of this program, on the JDK and class path of this one.
///
/// A process starts several times as fast when Java finds what it has to load in a cache that an
/// earlier one has left (`-XX:AOTCache`). The launcher has such caches made after a build, one for
/// each kind of process, and names their folder; one that does not fit, or is not there, is no
/// trouble.
final class JavaCommand {
    private static final Path SETSID = Path.of("/usr/bin/setsid");

    /// The folder of the caches, `guest.aot` and `driver.aot`.
    private static final String CACHES = "splitring.aot";

    /// When it is set, processes write there what such a cache is made from.
    private static final String RECORDINGS = "splitring.aot.record";

    /// More options for the JVMs of driver domains and guests, with spaces between them. They come
    /// last, so that they count; and each process passes them on to those that it starts.
    private static final String OPTIONS = "splitring.jvm.options";

    /// Compiles what runs four times as often as usual before it is compiled. Guests wait for a
    /// driver domain that starts, and a third of its start would go to compilers; what a ring does
    /// is compiled within its first second all the same.
    private static final String START_QUICKLY = "-XX:CompileThresholdScaling=4";

    /// Java looks for things to tidy up five times a second. For one process that is nothing; for a
    /// hundred idle guests it would be most of what they need of the processor.
    private static final List<String> SLEEPS =
            List.of(
                    "-XX:+UnlockDiagnosticVMOptions",
                    "-XX:AsyncDeflationInterval=10000",
                    "-XX:ServiceThreadCleanupInterval=10000");

    /// Java's own warnings go to standard error: somebody reads the standard output. A cache that
    /// does not fit is no news.
    private static final List<String> WARNINGS =
            List.of("-Xlog:disable", "-Xlog:all=warning,aot*=off,cds*=off:stderr");

    /// What a guest process is given: little memory, and a collector without threads of its own.
    /// The compilers stay as they are: the ring code is slow without the optimising one.
    private static final List<String> SMALL =
            List.of(
                    "-Xms16m",
                    "-Xmx96m",
                    "-XX:+UseSerialGC",
                    "-XX:MaxDirectMemorySize=64m",
                    START_QUICKLY);

    /// What the driver domain is given: as the launcher does, and a quick start.
    private static final List<String> DRIVER_DOMAIN =
            List.of("-XX:+UseSerialGC", "-Xms32m", "-Xmx512m", START_QUICKLY);

    /// How closely Netty watches its buffers: as in this process, so not at all when the launcher
    /// has started it.
    private static final String LEAKS = "io.netty.leakDetection.level";

    /// Netty's allocator has flight events of its own; preparing them takes a third of the start.
    /// And on this Java it makes its way to the memory of buffers of method handles, which takes a
    /// quarter of a guest's, unless it may use the way of old.
    private static final List<String> NETTY =
            List.of(
                    "-Dio.netty.jfr.enabled=false",
                    "-Dio.netty.noUnsafe=false",
                    "-Dsun.misc.unsafe.memory.access=allow");

    private JavaCommand() {}

    /// Starts `splitring ARGUMENTS` as a guest. In a session of its own, as the next one: a Ctrl-C
    /// at the terminal reaches only us, and we stop the others in order.
    static List<String> guest(List<String> arguments) {
        return of("guest", SMALL, arguments);
    }

    /// Starts `splitring ARGUMENTS` as a driver domain.
    static List<String> driverDomain(List<String> arguments) {
        return of("driver", DRIVER_DOMAIN, arguments);
    }

    private static List<String> of(String kind, List<String> jvmOptions, List<String> arguments) {
        List<String> command = new ArrayList<>();
        if (Files.isExecutable(SETSID)) {
            command.add(SETSID.toString());
        }
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.add("--enable-native-access=ALL-UNNAMED");
        command.addAll(NETTY);
        String leaks = System.getProperty(LEAKS);
        if (leaks != null) {
            command.add("-D" + LEAKS + "=" + leaks);
        }
        command.addAll(WARNINGS);
        command.addAll(SLEEPS);
        command.addAll(startingQuickly(kind));
        command.addAll(jvmOptions);
        String options = System.getProperty(OPTIONS, "").strip();
        if (!options.isEmpty()) {
            command.add("-D" + OPTIONS + "=" + options);
            command.addAll(List.of(options.split("[ _]+", -1)));
        }
        command.add("-cp");
        command.add(System.getProperty("java.class.path"));
        command.add(Splitring.class.getName());
        command.addAll(arguments);
        return command;
    }

    private static List<String> startingQuickly(String kind) {
        String recordings = System.getProperty(RECORDINGS);
        if (recordings != null) {
            return List.of(
                    "-XX:AOTMode=record",
                    "-XX:AOTConfiguration=" + Path.of(recordings, kind + ".aotconf"));
        }
        String caches = System.getProperty(CACHES);
        return caches == null ? List.of() : cached(caches, kind);
    }

    /// Options for a process of a kind, `driver` or `guest`, whose cache is in that folder, and for
    /// those that it starts.
    static List<String> cached(String caches, String kind) {
        List<String> options = new ArrayList<>(List.of("-D" + CACHES + "=" + caches));
        Path cache = Path.of(caches, kind + ".aot");
        if (Files.isReadable(cache)) {
            options.add("-XX:AOTCache=" + cache);
        }
        return options;
    }
}
