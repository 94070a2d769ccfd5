package org.splitring.testkit.contract;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.List;
import java.util.SplittableRandom;
import org.splitring.testkit.RawRing;
import org.splitring.testkit.contract.DeviceContract.Instance;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.FrontendOptions;

/// What a frontend must bear from a backend that keeps no rules: a part of [DeviceContract].
///
/// Two other devices of the same guest work on meanwhile, one on each of its loops. Whatever the
/// attacked device is asked for must end: answered, or refused when the device is taken away.
final class HostileBackendChecks {
    /// How long a frontend waits for such a backend at each step.
    private static final FrontendOptions IMPATIENT =
            FrontendOptions.DEFAULT.withDeadline(Duration.ofSeconds(3));

    private static final int ATTACKED = 7;
    private static final int ROUNDS = 200;
    private static final int STORM = 20_000;

    private final ContractRun run;

    HostileBackendChecks(ContractRun run) {
        this.run = run;
    }

    private interface Attack {
        void run(ContractLab lab, RawBackend back, DevicePaths paths, SplittableRandom random)
                throws Exception;
    }

    private interface End {
        void run(ContractLab lab, ContractGuest guest, RawBackend back, DevicePaths paths)
                throws Exception;
    }

    private void attack(ContractPlatform platform, Attack attack) throws Exception {
        attack(platform, attack, (lab, guest, back, paths) -> lab.toolstack.removeDevice(paths));
    }

    private void attack(ContractPlatform platform, Attack attack, End end) throws Exception {
        if (run.contract.entryBytes() == 0) {
            return;
        }
        long seed = Long.getLong("splitring.seed", System.nanoTime());
        try {
            run.run(
                    platform,
                    (lab, guest, classes) -> {
                        guest.closeFrontends();
                        guest.openFrontends(classes, IMPATIENT);
                        Instance one = run.attach(lab, guest, 0);
                        Instance other = run.attach(lab, guest, 1);
                        DevicePaths good = run.paths(lab, guest, 0);
                        DevicePaths paths = RawBackend.paths(good, ATTACKED);
                        try (ContractLoad load = new ContractLoad(run.contract, one);
                                ContractLoad more = new ContractLoad(run.contract, other);
                                RawBackend back =
                                        RawBackend.connect(run, lab, guest, good, paths)) {
                            Instance attacked = ContractRun.connected(guest, paths);
                            ContractLoad asked = ContractLoad.stubborn(run.contract, attacked);
                            attack.run(lab, back, paths, new SplittableRandom(seed));
                            load.progress(5);
                            more.progress(5);
                            end.run(lab, guest, back, paths);
                            asked.awaitEnded();
                            load.progress(5);
                            more.progress(5);
                        }
                        run.workOnce(run.attach(lab, guest, 2));
                    });
        } catch (AssertionError e) {
            throw new AssertionError(e.getMessage() + " (splitring.seed=" + seed + ")", e);
        }
    }

    private static void awaitRequest(RawBackend back) {
        Bounded.until(() -> "the frontend asks for something", () -> back.ring.reqProd() != 0);
    }

    void impossibleIndices(ContractPlatform platform) throws Exception {
        attack(
                platform,
                (lab, back, paths, random) -> {
                    awaitRequest(back);
                    switch (random.nextInt(3)) {
                        case 0 -> back.ring.rspProd(back.ring.reqProd() + 1 + random.nextInt(1000));
                        case 1 -> back.ring.goBackwards();
                        default -> back.ring.rspProd(Integer.MIN_VALUE);
                    }
                    back.ring.kick(1);
                    Bounded.until(
                            () -> "the frontend closes",
                            () -> List.of("5", "6").contains(lab.state(paths.frontend())));
                    if (lab.control.read(paths.frontendError()).isEmpty()) {
                        throw new AssertionError("no error node at " + paths.frontendError());
                    }
                });
    }

    void anyAnswers(ContractPlatform platform) throws Exception {
        attack(
                platform,
                (lab, back, paths, random) -> {
                    for (int i = 0; i < ROUNDS && lab.state(paths.frontend()).equals("4"); i++) {
                        answer(lab, back, paths, random, i);
                    }
                });
    }

    /// Answers one request with itself, of which up to three bytes were changed: some answers are
    /// for a request that there is, some have a size or a status that makes no sense.
    private static void answer(
            ContractLab lab,
            RawBackend back,
            DevicePaths paths,
            SplittableRandom random,
            int index) {
        Bounded.until(
                () -> "request " + index,
                () -> back.ring.reqProd() - index > 0 || !lab.state(paths.frontend()).equals("4"));
        MemorySegment response = back.request(index);
        for (int edit = random.nextInt(4); edit > 0; edit--) {
            long at = random.nextLong(response.byteSize());
            response.set(ValueLayout.JAVA_BYTE, at, (byte) random.nextInt());
        }
        back.ring.publishAndKick(response);
    }

    void changingBytes(ContractPlatform platform) throws Exception {
        attack(
                platform,
                (lab, back, paths, random) -> {
                    int bytes = Math.min(run.contract.entryBytes(), 32);
                    for (int i = 0; i < ROUNDS && lab.state(paths.frontend()).equals("4"); i++) {
                        long offset = back.ring.slotOffset(i) + 4L * random.nextInt(bytes / 4);
                        RawRing.Flipper flipper =
                                back.ring.flip(offset, random.nextInt(8), random.nextInt());
                        try {
                            answer(lab, back, paths, random, i);
                        } finally {
                            flipper.close();
                        }
                    }
                });
    }

    void silence(ContractPlatform platform) throws Exception {
        attack(
                platform,
                (lab, back, paths, random) -> awaitRequest(back),
                (lab, guest, back, paths) -> {
                    lab.toolstack.unplug(paths); // the frontend drains, as long as its deadline
                    lab.awaitState(paths.frontend(), "6");
                    lab.toolstack.removeDevice(paths);
                });
    }

    void storms(ContractPlatform platform) throws Exception {
        attack(
                platform,
                (lab, back, paths, random) -> {
                    for (int i = 0; i < STORM; i++) {
                        back.ring.kick(1);
                        if (i % 100 == 0) {
                            back.state("4"); // "my properties have changed"
                        }
                    }
                });
    }

    void anythingInTheRing(ContractPlatform platform) throws Exception {
        attack(
                platform,
                (lab, back, paths, random) -> {
                    for (int i = 0; i < 20; i++) {
                        back.ring.scribble(random);
                        back.ring.kick(1);
                    }
                });
    }

    void pagesThatAreKept(ContractPlatform platform) throws Exception {
        attack(
                platform,
                (lab, back, paths, random) -> awaitRequest(back),
                (lab, guest, back, paths) -> {
                    lab.toolstack.removeDevice(paths);
                    String name = paths.type() + "/" + paths.device();
                    Bounded.until(() -> name + " ends", () -> guest.find(name).isEmpty());
                    int kept = guest.domain.grants().quarantinedCount();
                    guest.domain.grants().retryQuarantined();
                    if (kept < 1 || guest.domain.grants().quarantinedCount() != kept) {
                        throw new AssertionError(
                                "pages that the backend has mapped were given back: "
                                        + guest.domain.grants().quarantinedCount()
                                        + " of "
                                        + kept
                                        + " are kept aside");
                    }
                    back.ring.scribble(new SplittableRandom(kept)); // hurts nobody
                    run.workOnce(run.attach(lab, guest, 3));
                    back.unmap();
                    guest.domain.grants().retryQuarantined();
                    if (guest.domain.grants().quarantinedCount() != 0) {
                        throw new AssertionError("pages that the backend let go are kept aside");
                    }
                });
    }
}
