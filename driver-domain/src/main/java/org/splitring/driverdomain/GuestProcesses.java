package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import org.splitring.driverdomain.lab.Lab;
import org.splitring.driverdomain.lab.LabDomain;
import org.splitring.driverdomain.lab.LabDomain.GuestKind;

/// The processes of the guests that a lab starts, those of an earlier driver domain among them.
/// Starting and removing is for one thread at a time; whoever only looks may be any.
final class GuestProcesses {
    private static final int READY_SECONDS = 60;
    private static final int STOP_SECONDS = 15;

    private final Path runDir;
    private final BooleanSupplier stopping;
    private final Consumer<String> news;
    private final List<GuestProcess> processes = new CopyOnWriteArrayList<>();

    /// @param stopping whether the end of a guest is no news
    /// @param news takes lines for people
    GuestProcesses(Path runDir, BooleanSupplier stopping, Consumer<String> news) {
        this.runDir = runDir;
        this.stopping = stopping;
        this.news = news;
    }

    /// The process of a domain's guest, when we have started one.
    Optional<GuestProcess> of(LabDomain domain) {
        return processes.stream().filter(process -> process.domain().equals(domain)).findFirst();
    }

    boolean isAlive(LabDomain domain) {
        return of(domain).filter(GuestProcess::isAlive).isPresent();
    }

    boolean isAdopted(LabDomain domain) {
        return of(domain).filter(GuestProcess::isAdopted).isPresent();
    }

    boolean isAnyAdopted() {
        return processes.stream().anyMatch(GuestProcess::isAdopted);
    }

    /// Finds the guests that an earlier driver domain has left. One that is not in the lab, or
    /// was started otherwise, ends.
    void adopt(Lab lab) throws IOException {
        for (LabDomain domain : lab.domains()) {
            if (domain.guest() == GuestKind.JAVA) {
                GuestProcess.adopt(domain, runDir).ifPresent(processes::add);
            }
        }
        for (var living : RunDirectory.livingGuests(runDir).entrySet()) {
            ProcessIdentity guest = living.getValue().process();
            if (processes.stream().noneMatch(it -> it.pid() == guest.pid())) {
                guest.kill();
                news.accept(
                        "domain "
                                + living.getKey()
                                + ": guest process "
                                + guest.pid()
                                + " was killed, it was not started from this lab");
            }
        }
    }

    /// Waits for the guests that lived through the change, and says how long each took from now on.
    ///
    /// @param patienceNanos for all of them
    void awaitAdopted(List<LabGuest> guests, long patienceNanos) throws InterruptedException {
        long start = System.nanoTime();
        for (LabGuest guest : guests) {
            Optional<GuestProcess> process = of(guest.domain()).filter(GuestProcess::isAdopted);
            if (process.isPresent() && !guest.suspension().isSuspended()) {
                boolean back = guest.awaitConnected(start + patienceNanos);
                news.accept(
                        String.format(
                                Locale.ROOT,
                                "domain %s: guest process %d %s after %.2f s",
                                guest.domain().name(),
                                process.get().pid(),
                                back ? "goes on" : "is not back",
                                (System.nanoTime() - start) / 1e9));
            }
        }
    }

    /// Few at a time: a hundred that begin together only take each other's processors and caches.
    private static int together() {
        return 2 * Runtime.getRuntime().availableProcessors();
    }

    /// Those that are not there, of those that we start.
    private List<LabDomain> missing(Lab lab) {
        return lab.domains().stream()
                .filter(it -> it.guest() == GuestKind.JAVA && of(it).isEmpty())
                .toList();
    }

    /// Starts guests that will wait for us to listen.
    void startFirst(Lab lab) throws CommandException {
        for (LabDomain domain : missing(lab).stream().limit(together()).toList()) {
            start(domain);
        }
    }

    /// Starts those that are not there, and waits until all are ready.
    void startAll(Lab lab) throws CommandException, InterruptedException {
        int ready = 0; // of the processes, in their order
        for (LabDomain domain : missing(lab)) {
            if (processes.size() - ready >= together()) {
                awaitReady(processes.get(ready++));
            }
            start(domain);
        }
        while (ready < processes.size()) {
            awaitReady(processes.get(ready++));
        }
    }

    /// Starts the guest of a domain, in the place of one that has ended.
    GuestProcess start(LabDomain domain) throws CommandException {
        try {
            Files.createDirectories(RunDirectory.domain(runDir, domain.name()));
            GuestProcess process = GuestProcess.start(domain, runDir);
            processes.removeIf(each -> each.domain().equals(domain));
            processes.add(process);
            return process;
        } catch (IOException e) {
            throw new CommandException(
                    "guest " + domain.name() + " cannot be started: " + e.getMessage(), e);
        }
    }

    /// Waits until the guest's disks are exported; from then on its end is news.
    void awaitReady(GuestProcess process) throws CommandException, InterruptedException {
        process.awaitReady(READY_SECONDS, runDir);
        process.onExit(() -> ended(process));
    }

    private void ended(GuestProcess process) {
        if (stopping.getAsBoolean()) {
            return;
        }
        LabDomain domain = process.domain();
        removeSockets(domain);
        news.accept(
                "domain "
                        + domain.name()
                        + ": guest process "
                        + process.pid()
                        + " "
                        + process.ending()
                        + "; its disks are closed, other guests go on");
    }

    private void removeSockets(LabDomain domain) {
        try {
            RunDirectory.removeNbdSockets(runDir, domain.name());
        } catch (IOException e) {
            news.accept("domain " + domain.name() + ": its sockets are still there: " + e);
        }
    }

    /// Kills a domain's guest if it has one, and forgets it.
    void remove(LabDomain domain) {
        Optional<GuestProcess> ending = of(domain);
        if (ending.isPresent()) {
            ending.get().awaitEnd(0);
            processes.remove(ending.get());
            removeSockets(domain);
        }
    }

    /// Ends a guest that runs; it keeps its place, for [#start].
    ///
    /// @param force kills it, unasked
    void stop(LabGuest guest, boolean force) throws CommandException {
        LabDomain domain = guest.domain();
        GuestProcess process =
                of(domain)
                        .filter(GuestProcess::isAlive)
                        .orElseThrow(
                                () ->
                                        new CommandException(
                                                "domain " + domain.name() + " does not run"));
        boolean told = !force && guest.powerOff();
        process.awaitEnd(told ? STOP_SECONDS : 0);
    }

    /// Asks all guests to end, then waits for each.
    void stopAll(List<LabGuest> guests) {
        for (GuestProcess process : processes) {
            boolean told =
                    guests.stream()
                            .filter(guest -> guest.domain().equals(process.domain()))
                            .anyMatch(LabGuest::powerOff);
            if (!told) {
                process.awaitEnd(0);
            }
        }
        processes.forEach(process -> process.awaitEnd(STOP_SECONDS));
    }

    void killAll() {
        processes.forEach(process -> process.awaitEnd(0));
    }

    /// Kills those that lived through no change of the driver domain.
    void killStarted() {
        processes.stream()
                .filter(process -> !process.isAdopted())
                .forEach(process -> process.awaitEnd(0));
    }
}
