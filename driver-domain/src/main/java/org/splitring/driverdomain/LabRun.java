package org.splitring.driverdomain;

import java.io.Console;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.splitring.driverdomain.RunningLab.Entrance;
import org.splitring.driverdomain.lab.Lab;
import org.splitring.driverdomain.lab.LabDevice;
import org.splitring.driverdomain.lab.LabDomain;
import org.splitring.driverdomain.lab.LabNetwork;
import org.splitring.driverdomain.lab.LabVif;

/// One run of a lab in this process, from its start until it is told to stop.
final class LabRun {
    private final Setting setting;
    private volatile LiveLines live = new LiveLines(System.out);
    private final CountDownLatch stop = new CountDownLatch(1);
    private volatile boolean starting = true;

    /// What is to run.
    ///
    /// @param runDir absolute
    /// @param plugins folder of plug-in jars; otherwise the one beside the lab file
    /// @param httpPort of the web page and the control API
    /// @param inBackground whether whoever started it leaves when it is ready
    record Setting(
            Lab lab,
            LabChanges changes,
            Path runDir,
            Optional<Path> plugins,
            OptionalInt httpPort,
            Entrance entrance,
            boolean inBackground) {}

    LabRun(Setting setting) {
        this.setting = setting;
    }

    /// Runs it.
    ///
    /// @return exit status
    int toEnd() throws Exception {
        stopOnSignal();
        String end = "stopped";
        try (RunningLab running =
                RunningLab.start(
                        setting.lab(),
                        setting.changes(),
                        setting.runDir(),
                        setting.plugins(),
                        setting.httpPort(),
                        setting.entrance(),
                        this::news)) {
            starting = false;
            report(setting.lab(), running);
            ServiceManager.tellReady();
            if (setting.inBackground()) {
                System.out.println(BackgroundLab.READY);
                speakInto(running.runDir());
                stop.await();
            } else {
                awaitStop(running);
            }
            if (running.isSuccessorWaiting()) {
                running.handOver();
                end = "handed over to another driver domain; the guests go on";
            }
        } catch (InterruptedException e) {
            return 130; // told to stop while starting
        }
        if (!setting.inBackground()) {
            System.out.println(end);
        }
        return 0;
    }

    /// A signal makes the command return in order; the JVM ends when it has.
    private void stopOnSignal() {
        Thread main = Thread.currentThread();
        Runtime.getRuntime()
                .addShutdownHook(
                        new Thread(
                                () -> {
                                    stop.countDown();
                                    if (starting) {
                                        main.interrupt();
                                    }
                                    awaitEnd();
                                },
                                "stop"));
    }

    private static void awaitEnd() {
        try {
            Splitring.COMMAND_ENDED.await(2, TimeUnit.MINUTES);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /// From now on this process talks to a file: whoever started it has gone.
    private void speakInto(Path runDir) throws IOException {
        PrintStream log =
                new PrintStream(
                        new FileOutputStream(RunDirectory.log(runDir).toFile(), true),
                        true,
                        StandardCharsets.UTF_8);
        PrintStream pipe = System.out;
        System.setOut(log);
        System.setErr(log);
        live = new LiveLines(log);
        pipe.close();
    }

    private void news(String line) {
        live.say(line);
    }

    private void awaitStop(RunningLab running) throws InterruptedException {
        if (!isTerminal()) {
            stop.await();
            return;
        }
        PrintStream errors = System.err;
        System.setErr(live.beside(errors));
        try {
            RateLines rates = new RateLines(running.guests(), running.meters());
            while (!stop.await(1, TimeUnit.SECONDS)) {
                live.show(rates.next());
            }
        } finally {
            System.setErr(errors);
        }
    }

    @SuppressWarnings("SystemConsoleNull") // null is still allowed, and asked for first
    private static boolean isTerminal() {
        Console console = System.console();
        return console != null && console.isTerminal();
    }

    private void report(Lab lab, RunningLab running) throws IOException {
        StringBuilder text = new StringBuilder();
        text.append(
                String.format(
                        Locale.ROOT,
                        "lab %s is up: process %d, run directory %s%n",
                        lab.file(),
                        ProcessHandle.current().pid(),
                        running.runDir()));
        String example = "";
        for (LabGuest guest : running.guests()) {
            LabDomain domain = guest.domain();
            String who =
                    running.processes()
                            .of(domain)
                            .map(process -> "guest process " + process.pid())
                            .orElse("external: attach at " + attach(running, domain));
            text.append(
                    String.format(
                            Locale.ROOT,
                            "  %s  %d MiB  %s%n",
                            domain.name(),
                            domain.memoryMib(),
                            who));
            for (HeldDisks.Disk disk : guest.disks()) {
                text.append(
                        String.format(
                                Locale.ROOT,
                                "    %s  %s  %s  %s%n",
                                disk.name(),
                                Sizes.text(disk.hold().disk().sizeBytes()),
                                disk.readOnly() ? "ro" : "rw",
                                disk.image()));
                if (domain.guest() == LabDomain.GuestKind.JAVA && domain.program().isEmpty()) {
                    String uri = uri(running, domain, disk.name());
                    text.append("      ").append(uri).append(System.lineSeparator());
                    domain.tcpPort()
                            .ifPresent(
                                    port ->
                                            text.append(
                                                    String.format(
                                                            Locale.ROOT,
                                                            "      %s://localhost:%d/%s%n",
                                                            domain.tls().isPresent()
                                                                    ? "nbds"
                                                                    : "nbd",
                                                            port,
                                                            disk.name())));
                    example = example.isEmpty() ? example(uri, disk.readOnly()) : example;
                }
            }
        }
        running.guests().forEach(guest -> text.append(devices(guest)));
        for (LabNetwork network : lab.networks()) {
            text.append(
                    String.format(
                            Locale.ROOT,
                            "  network %s  %s  %s%n",
                            network.name(),
                            network.mode().text(),
                            String.join(
                                    "  ",
                                    network.subnets().stream().map(Object::toString).toList())));
        }
        text.append(example);
        text.append(networkExample(lab));
        if (setting.httpPort().isPresent()) {
            text.append("see and steer it: ")
                    .append(LabApi.page(running.runDir(), setting.httpPort().getAsInt()))
                    .append(System.lineSeparator());
        }
        text.append(
                setting.inBackground()
                        ? "stop it with: ./splitring down --run-dir " + running.runDir()
                        : "stop it with Ctrl-C");
        System.out.println(text);
    }

    /// One line for each vif and device of the lab file that is no disk.
    private static String devices(LabGuest guest) {
        StringBuilder text = new StringBuilder();
        for (LabVif vif : guest.domain().vifs()) {
            text.append(
                    String.format(
                            Locale.ROOT,
                            "  %s  eth%d  %s  %s  %s%n",
                            guest.domain().name(),
                            vif.device(),
                            vif.network(),
                            vif.mac(),
                            String.join("  ", vif.addresses())));
        }
        for (LabDevice device : guest.domain().devices()) {
            text.append("  ").append(guest.domain().name()).append("  ");
            text.append(device.deviceClass()).append(System.lineSeparator());
        }
        return text.toString();
    }

    private static String networkExample(Lab lab) {
        return lab.domains().stream()
                .filter(domain -> domain.guest() == LabDomain.GuestKind.JAVA)
                .filter(domain -> domain.program().isEmpty() && !domain.vifs().isEmpty())
                .findFirst()
                .map(
                        domain ->
                                String.format(
                                        Locale.ROOT,
                                        "try%n  ./splitring exec %s -- ip addr%n",
                                        domain.name()))
                .orElse("");
    }

    private static Path attach(RunningLab running, LabDomain domain) {
        return RunDirectory.attachSocket(running.runDir(), domain.name());
    }

    private static String uri(RunningLab running, LabDomain domain, String disk) {
        Path socket = RunDirectory.nbdSocket(running.runDir(), domain.name(), disk);
        return NbdUri.of(socket);
    }

    private static String example(String uri, boolean readOnly) {
        String io =
                readOnly
                        ? "qemu-io -r -f raw -c 'read 0 1M' '" + uri + "'"
                        : "qemu-io -f raw -c 'write -P 7 0 1M' -c flush -c 'read -P 7 0 1M' '"
                                + uri
                                + "'";
        return String.format(Locale.ROOT, "try%n  nbdinfo '%s'%n  %s%n", uri, io);
    }
}
