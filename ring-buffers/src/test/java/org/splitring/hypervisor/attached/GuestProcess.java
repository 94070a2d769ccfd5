package org.splitring.hypervisor.attached;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.linux.Fd;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.hypervisor.linux.Mapping;
import org.splitring.hypervisor.linux.Memfd;

/// Another process, started by a test: a guest that behaves in one of several ways.
final class GuestProcess implements AutoCloseable {
    private static final VarHandle INT = ValueLayout.JAVA_INT.varHandle();

    private final Process process;
    private final BufferedReader output;

    private GuestProcess(Process process) {
        this.process = process;
        output =
                new BufferedReader(
                        new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
    }

    static GuestProcess start(Path folder, String... arguments) throws IOException {
        List<String> command = new ArrayList<>();
        command.add(System.getProperty("java.home") + "/bin/java");
        command.add("--enable-native-access=ALL-UNNAMED");
        command.add("-XX:+UseSerialGC");
        command.add("-Xmx128m");
        command.add("-XX:-CreateCoredumpOnCrash");
        command.add("-XX:ErrorFile=" + folder.resolve("hs_err_%p.log"));
        command.add("-cp");
        command.add(System.getProperty("java.class.path"));
        command.add(GuestProcess.class.getName());
        command.addAll(List.of(arguments));
        return new GuestProcess(
                new ProcessBuilder(command)
                        .directory(folder.toFile())
                        .redirectError(new File(folder.toFile(), "stderr"))
                        .start());
    }

    /// Next line that starts with a word.
    ///
    /// @return the rest of the line
    String expect(String word) throws IOException {
        String line;
        StringBuilder all = new StringBuilder();
        while ((line = output.readLine()) != null) {
            if (line.startsWith(word)) {
                return line.substring(word.length()).strip();
            }
            all.append(line).append('\n');
        }
        throw new AssertionError("no \"" + word + "\" but: " + all);
    }

    /// `kill -9`.
    void kill() throws InterruptedException {
        process.destroyForcibly();
        process.waitFor();
    }

    int exitCode() throws InterruptedException {
        if (!process.waitFor(60, TimeUnit.SECONDS)) {
            throw new AssertionError("the process goes on");
        }
        return process.exitValue();
    }

    @Override
    public void close() {
        process.destroyForcibly();
    }

    public static void main(String[] arguments) throws Exception {
        switch (arguments[0]) {
            case "guest" -> guest(Path.of(arguments[1]), Integer.parseInt(arguments[2]), false);
            case "storm" -> guest(Path.of(arguments[1]), Integer.parseInt(arguments[2]), true);
            case "shrink" -> shrink(Boolean.parseBoolean(arguments[1]));
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    /// Attaches, grants one page, opens channels, and waits to be killed; or kicks all the time.
    private static void guest(Path socket, int ports, boolean storm) throws Exception {
        NettyDeviceLoops loops = new NettyDeviceLoops("guest", 1, 0);
        AttachedGuest guest = AttachedGuest.attach(socket, 4 << 20, loops.loop(0), () -> {});
        int gfn = guest.pages().allocate(1);
        int gref = guest.grants().claim();
        guest.memory().pages(gfn, 1).set(ValueLayout.JAVA_INT, 0, 4711);
        guest.grants().grant(gref, DomId.ZERO, gfn, false);
        List<EventChannel> channels = new ArrayList<>();
        for (int i = 0; i < ports; i++) {
            channels.add(guest.eventChannels().allocUnbound(DomId.ZERO));
        }
        System.out.println("gref " + gref);
        System.out.println("port " + channels.getFirst().port());
        System.out.flush();
        while (storm) {
            for (EventChannel channel : channels) {
                channel.send();
            }
        }
        Thread.currentThread().join();
    }

    /// Maps memory as a server would, and has its owner cut it off while it is read in a hot loop.
    private static void shrink(boolean sealed) throws Exception {
        int fd = Memfd.create("shrinks", 1 << 16);
        if (sealed) {
            Memfd.addSeals(fd, Memfd.F_SEAL_SHRINK | Memfd.F_SEAL_GROW | Memfd.F_SEAL_SEAL);
        }
        Mapping mapping = Mapping.of(fd, 1 << 16);
        MemorySegment segment = mapping.segment();
        for (int round = 0; round < 20_000; round++) {
            sum(segment); // until it is compiled
        }
        try {
            Memfd.resize(fd, 4096);
            System.out.println("shrunk");
        } catch (LinuxException e) {
            System.out.println("refused " + e.errno());
        }
        System.out.flush();
        long sum = 0;
        for (int round = 0; round < 20_000; round++) {
            try {
                sum += sum(segment);
            } catch (InternalError e) {
                sum++; // what some hope to catch
            }
        }
        System.out.println("survived " + sum);
        mapping.close();
        Fd.close(fd);
    }

    private static long sum(MemorySegment segment) {
        long sum = 0;
        for (long offset = 0; offset < segment.byteSize(); offset += 64) {
            sum += (int) INT.getAcquire(segment, offset);
        }
        return sum;
    }
}
