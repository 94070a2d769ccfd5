package org.splitring.testkit.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;
import java.util.concurrent.locks.LockSupport;
import org.splitring.testkit.RawRing;
import org.splitring.testkit.contract.DeviceContract.Instance;
import org.splitring.xenbus.DevicePaths;

/// What a backend must bear from a guest that keeps no rules: a part of [DeviceContract].
final class HostileFrontendChecks {
    private static final int FLIPS = 40;

    /// Keys of a frontend with one ring, and what they cannot be.
    private static final String[][] SENSELESS = {
        {"ring-page-order", "31"},
        {"ring-page-order", "-1"},
        {"ring-ref", "1junk"},
        {"ring-ref", "4294967296"},
        {"event-channel", "0"},
        {"event-channel", "2147483648"},
        {"protocol", "x86_128-abi"},
        {"multi-queue-num-queues", "2147483648"}
    };

    private final ContractRun run;

    HostileFrontendChecks(ContractRun run) {
        this.run = run;
    }

    private interface Attack {
        void run(ContractLab lab, RawFrontend front, DevicePaths paths, SplittableRandom random)
                throws Exception;
    }

    /// Plays an attack of one guest, while a neighbour works; afterwards the attacker's device can
    /// be unplugged, and nothing is left of it.
    private void attack(ContractPlatform platform, Attack attack) throws Exception {
        if (run.contract.entryBytes() == 0) {
            return;
        }
        long seed = Long.getLong("splitring.seed", System.nanoTime());
        try {
            run.run(
                    platform,
                    (lab, neighbour, classes) -> {
                        Instance good = run.attach(lab, neighbour, 0);
                        ContractGuest hostile = lab.guest(2);
                        hostile.openBackends(classes);
                        DevicePaths paths = run.paths(lab, hostile, 1);
                        run.create(lab, paths);
                        try (ContractLoad load = new ContractLoad(run.contract, good);
                                RawFrontend front =
                                        RawFrontend.connect(
                                                lab, hostile, paths, run.contract.entryBytes())) {
                            attack.run(lab, front, paths, new SplittableRandom(seed));
                            load.progress(5);
                            front.state("5");
                            front.state("6");
                            lab.awaitState(paths.backend(), "6");
                        }
                        lab.detach(paths);
                        run.workOnce(good);
                    });
        } catch (AssertionError e) {
            throw new AssertionError(e.getMessage() + " (splitring.seed=" + seed + ")", e);
        }
    }

    private MemorySegment request(SplittableRandom random, RawFrontend front, int id) {
        MemorySegment slot =
                MemorySegment.ofArray(new long[(run.contract.entryBytes() + 7) / 8])
                        .asSlice(0, run.contract.entryBytes());
        run.contract.writeRequest(slot, id, front.someGref(random));
        return slot;
    }

    /// A request of which up to three bytes were changed.
    private MemorySegment edited(SplittableRandom random, RawFrontend front, int id) {
        MemorySegment honest = request(random, front, id);
        while (true) {
            MemorySegment slot = MemorySegment.ofArray(honest.toArray(ValueLayout.JAVA_BYTE));
            int edits = random.nextInt(4);
            for (int edit = 0; edit < edits; edit++) {
                long at = random.nextInt(run.contract.entryBytes());
                slot.set(ValueLayout.JAVA_BYTE, at, (byte) random.nextInt());
            }
            if (!front.namesRing(slot, honest)) {
                return slot;
            }
        }
    }

    void impossibleIndicesCloseTheDevice(ContractPlatform platform) throws Exception {
        attack(
                platform,
                (lab, front, paths, random) -> {
                    if (random.nextBoolean()) {
                        front.ring.claimTooMuch();
                    } else {
                        front.ring.goBackwards();
                    }
                    front.ring.kick(1);
                    lab.awaitState(paths.backend(), "5");
                    assertEquals(true, lab.control.read(paths.backendError()).isPresent());
                });
    }

    void everyRequestIsAnsweredWhateverIsInIt(ContractPlatform platform) throws Exception {
        attack(
                platform,
                (lab, front, paths, random) -> {
                    for (int i = 0; i < 300; i++) {
                        MemorySegment slot = edited(random, front, i);
                        front.ring.publishAndKick(slot);
                        awaitAnswers(lab, paths, front, i + 1);
                    }
                    lab.awaitState(paths.backend(), "4");
                });
    }

    void bytesThatChangeAreReadOnce(ContractPlatform platform) throws Exception {
        attack(
                platform,
                (lab, front, paths, random) -> {
                    int published = 0;
                    for (int word = 0;
                            word + 4 <= run.contract.entryBytes() && word < 32;
                            word += 4) {
                        for (int i = 0; i < FLIPS; i++) {
                            flip(lab, paths, front, random, word, published++);
                        }
                    }
                    lab.awaitState(paths.backend(), "4");
                });
    }

    /// Publishes a request of which one word changes between what it was and something else.
    private void flip(
            ContractLab lab,
            DevicePaths paths,
            RawFrontend front,
            SplittableRandom random,
            int word,
            int published) {
        MemorySegment slot = request(random, front, published);
        int honest = slot.get(ValueLayout.JAVA_INT_UNALIGNED, word);
        long offset = front.ring.slotOffset(published) + word;
        int other = honest ^ random.nextInt(1, Integer.MAX_VALUE);
        RawRing.Flipper flipper = front.ring.flip(offset, honest, other);
        try {
            MemorySegment shared = front.ring.slot(published);
            Bounded.until(
                    () -> "bytes begin to change",
                    () -> shared.get(ValueLayout.JAVA_INT_UNALIGNED, word) == other);
            front.ring.publishAndKick(slot);
            awaitAnswers(lab, paths, front, published + 1);
        } finally {
            flipper.close();
        }
    }

    /// The requests are answered, and the device does not close over them.
    private static void awaitAnswers(
            ContractLab lab, DevicePaths paths, RawFrontend front, int count) {
        Bounded.until(
                () -> "answer " + count + ", there are " + front.ring.rspProd(),
                () -> front.ring.rspProd() == count || !lab.state(paths.backend()).equals("4"));
        if (front.ring.rspProd() != count) {
            throw new AssertionError("closed over request " + count + ": " + lab.error(paths));
        }
    }

    void aSilentFrontendHoldsUpNobody(ContractPlatform platform) throws Exception {
        attack(
                platform,
                (lab, front, paths, random) -> {
                    for (int i = 0; i < front.ring.entries(); i++) {
                        front.ring.publish(request(random, front, i));
                    }
                    front.ring.kick(1);
                    awaitAnswers(lab, paths, front, front.ring.entries());
                });
    }

    void aStormOfEventsHoldsUpNobody(ContractPlatform platform) throws Exception {
        attack(platform, (lab, front, paths, random) -> front.ring.kick(20_000));
    }

    void anythingInTheRingHarmsNobody(ContractPlatform platform) throws Exception {
        attack(
                platform,
                (lab, front, paths, random) -> {
                    for (int i = 0; i < 20; i++) {
                        front.ring.scribble(random);
                        front.ring.kick(1);
                        LockSupport.parkNanos(1_000_000);
                    }
                });
    }

    void keysThatMakeNoSense(ContractPlatform platform) throws Exception {
        if (run.contract.entryBytes() == 0) {
            return;
        }
        run.run(
                platform,
                (lab, neighbour, classes) -> {
                    Instance good = run.attach(lab, neighbour, 0);
                    ContractGuest hostile = lab.guest(2);
                    hostile.openBackends(classes);
                    DevicePaths paths = run.paths(lab, hostile, 1);
                    run.create(lab, paths);
                    try (ContractLoad load = new ContractLoad(run.contract, good)) {
                        for (String[] key : SENSELESS) {
                            refuses(lab, hostile, paths, key[0], key[1]);
                            load.progress(1);
                        }
                    }
                    hostile.store.write(paths.frontend() + "/state", "6");
                    lab.detach(paths);
                });
    }

    private void refuses(
            ContractLab lab, ContractGuest guest, DevicePaths paths, String key, String value)
            throws Exception {
        try (RawFrontend front =
                RawFrontend.publish(lab, guest, paths, run.contract.entryBytes(), key, value)) {
            lab.awaitState(paths.backend(), "5");
            String message = lab.error(paths);
            if (!message.contains("/" + key + " is \"" + value + "\"")) {
                throw new AssertionError(
                        key + " was \"" + value + "\", and the error node says: " + message);
            }
            front.startAnew(lab, key);
        }
    }
}
