package org.splitring.testkit.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.splitring.testkit.RawRing;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.FrontendHooks;
import org.splitring.xenbus.device.BackendDriver;
import org.splitring.xenbus.device.DeviceClasses;
import org.splitring.xenbus.device.FrontendBus;
import org.splitring.xenbus.device.FrontendDriver;

/// What every device must do, whatever it is: its author extends this class, says which drivers are
/// meant and what a piece of their work is, and inherits the tests.
///
/// After each test everything that the device has taken must be given back: pages, grant
/// references, event channels, mappings, meters, threads and descriptors.
///
/// Subclasses have a public constructor without arguments: some tests make them in a process of
/// their own, to kill it.
public abstract class DeviceContract {
    private static final int WORKERS = 3;
    private static final int FLIPS = 40;

    /// For subclasses.
    protected DeviceContract() {}

    /// The backend half, new for each test.
    protected abstract BackendDriver backendDriver() throws Exception;

    /// The frontend half, new for each test.
    protected abstract FrontendDriver frontendDriver() throws Exception;

    /// Does one piece of work through the device and checks what comes of it. It waits for the
    /// answer as long as the device does. Called by several threads at once.
    ///
    /// @throws Exception when the answer is wrong, or the device has ended
    protected abstract void work(Instance device) throws Exception;

    /// Distance of two slots of the device's ring; 0 for a device that has no ring of requests,
    /// which is then spared the attacks on one.
    protected abstract int entryBytes();

    /// Writes a request as the frontend would, for the attacks that begin with one.
    ///
    /// @param slot zeroes at first
    /// @param gref of a page that the backend may use, or of none
    protected abstract void writeRequest(MemorySegment slot, int id, int gref);

    /// What the toolstack gives to the frontend.
    protected Map<String, String> frontendParameters() {
        return Map.of();
    }

    /// What the toolstack gives to the backend of a device.
    ///
    /// @param device its number: two devices may need two files
    protected Map<String, String> backendParameters(int device) throws Exception {
        return Map.of();
    }

    /// A device that is connected.
    ///
    /// @param hooks what the frontend driver made
    /// @param sockets folder in which devices show themselves
    /// @param device its number
    public record Instance(FrontendHooks hooks, Path sockets, int device) {}

    private interface Scenario {
        void run(ContractLab lab, ContractGuest guest, DeviceClasses classes) throws Exception;
    }

    /// Runs a scenario in a lab with one guest, and looks for leaks of the device and the process.
    private void run(ContractPlatform platform, Scenario scenario) throws Exception {
        ContractResources before = ContractResources.now();
        try (ContractLab lab = new ContractLab(platform);
                DeviceClasses classes = DeviceClasses.of(backendDriver(), frontendDriver())) {
            ContractGuest guest = lab.guest(1);
            guest.openBackends(classes);
            guest.openFrontends(classes);
            scenario.run(lab, guest, classes);
            lab.closeBuses();
        }
        Bounded.until(
                () -> "the process leaks " + ContractResources.leakedSince(before),
                () -> ContractResources.leakedSince(before).isEmpty());
    }

    private DevicePaths paths(ContractLab lab, ContractGuest guest, int device) throws Exception {
        return lab.paths(guest, backendDriver().deviceClass(), device);
    }

    private void create(ContractLab lab, DevicePaths paths) throws Exception {
        lab.create(paths, frontendParameters(), backendParameters(paths.device()));
    }

    private Instance attach(ContractLab lab, ContractGuest guest, int device) throws Exception {
        DevicePaths paths = paths(lab, guest, device);
        create(lab, paths);
        return connected(guest, paths);
    }

    private static Instance connected(ContractGuest guest, DevicePaths paths) {
        FrontendBus.Frontend frontend = guest.connected(paths);
        return new Instance(frontend.hooks(), guest.sockets, paths.device());
    }

    private CompletableFuture<Void> later(Instance device) {
        CompletableFuture<Void> done = new CompletableFuture<>();
        Thread.ofVirtual()
                .start(
                        () -> {
                            try {
                                work(device);
                                done.complete(null);
                            } catch (Throwable e) { // the test looks at it
                                done.completeExceptionally(e);
                            }
                        });
        return done;
    }

    private void workOnce(Instance device) {
        Bounded.get("a piece of work", later(device));
    }

    /// Threads that work until they are stopped or their device ends.
    private final class Load implements AutoCloseable {
        private final AtomicBoolean stop = new AtomicBoolean();
        private final AtomicLong done = new AtomicLong();
        private final List<CompletableFuture<Void>> workers = new ArrayList<>();

        Load(Instance device) {
            for (int i = 0; i < WORKERS; i++) {
                CompletableFuture<Void> ended = new CompletableFuture<>();
                workers.add(ended);
                Thread.ofVirtual().start(() -> work(device, ended));
            }
        }

        private void work(Instance device, CompletableFuture<Void> ended) {
            try {
                while (!stop.get()) {
                    DeviceContract.this.work(device);
                    done.incrementAndGet();
                }
                ended.complete(null);
            } catch (Throwable e) { // the test looks at it
                ended.completeExceptionally(e);
            }
        }

        /// Waits until more work has been done than now.
        void progress(int pieces) {
            long wanted = done.get() + pieces;
            Bounded.until(
                    () -> pieces + " more pieces of work, " + failures(),
                    () -> done.get() >= wanted);
        }

        private String failures() {
            List<String> failures = new ArrayList<>();
            for (CompletableFuture<Void> worker : workers) {
                if (worker.isCompletedExceptionally()) {
                    failures.add(String.valueOf(worker.exceptionNow()));
                }
            }
            return "failed: " + failures;
        }

        /// Every worker must be at its end, whether its last work succeeded or not.
        void awaitEnded() {
            stop.set(true);
            Bounded.until(
                    () -> "all work is answered or refused",
                    () -> workers.stream().allMatch(CompletableFuture::isDone));
        }

        /// Nothing may have failed.
        @Override
        public void close() {
            awaitEnded();
            workers.forEach(worker -> Bounded.get("work under load", worker));
        }
    }

    private static void nothingLeft(ContractGuest guest) {
        Bounded.until(
                () -> "devices that are gone leak " + guest.held(),
                () -> guest.frontendList().isEmpty() && guest.held().isEmpty());
    }

    // States and lifecycle.

    /// A device connects, works, and leaves nothing behind; so does the next one of its number.
    @ParameterizedTest
    @EnumSource
    public void connectsWorksAndLeavesNothing(ContractPlatform platform) throws Exception {
        run(
                platform,
                (lab, guest, classes) -> {
                    for (int round = 0; round < 3; round++) {
                        Instance device = attach(lab, guest, 0);
                        for (int i = 0; i < 20; i++) {
                            workOnce(device);
                        }
                        lab.detach(paths(lab, guest, 0));
                        nothingLeft(guest);
                    }
                });
    }

    /// A frontend that closes while `online` is 1 may come back, as often as it likes.
    @ParameterizedTest
    @EnumSource
    public void reconnectsAsOftenAsTheGuestLikes(ContractPlatform platform) throws Exception {
        run(
                platform,
                (lab, guest, classes) -> {
                    DevicePaths paths = paths(lab, guest, 0);
                    create(lab, paths);
                    for (int round = 0; round < 4; round++) {
                        workOnce(connected(guest, paths));
                        guest.closeFrontends();
                        guest.openFrontends(classes);
                    }
                    workOnce(connected(guest, paths));
                });
    }

    /// Every state, legal or not, and what is none, each after each other: the backend ends in
    /// InitWait when the frontend starts anew, and serves it.
    @ParameterizedTest
    @EnumSource
    public void theBackendBearsEveryOrderOfTheFrontendsStates(ContractPlatform platform)
            throws Exception {
        String[] inputs = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "-1", "", "4 ", "x"};
        run(
                platform,
                (lab, guest, classes) -> {
                    guest.closeFrontends(); // the states are ours
                    DevicePaths paths = paths(lab, guest, 0);
                    create(lab, paths);
                    String state = paths.frontend() + "/state";
                    lab.awaitState(paths.backend(), "2");
                    for (String first : inputs) {
                        for (String second : inputs) {
                            guest.store.write(state, first);
                            guest.store.write(state, second);
                            guest.store.write(state, "5");
                            guest.store.write(state, "6");
                            lab.awaitState(paths.backend(), "6");
                            guest.store.write(state, "1");
                            lab.awaitState(paths.backend(), "2");
                        }
                    }
                    guest.openFrontends(classes);
                    workOnce(connected(guest, paths));
                });
    }

    /// Whatever state the backend writes, and in which order: the frontend waits, or leaves, and
    /// gives
    /// everything back when the device is removed.
    @ParameterizedTest
    @EnumSource
    public void theFrontendBearsEveryStateOfTheBackend(ContractPlatform platform) throws Exception {
        String[] inputs = {"0", "1", "2", "4", "5", "6", "7", "8", "9", "-1", "", "4 ", "x"};
        run(
                platform,
                (lab, guest, classes) -> {
                    guest.closeBackends(); // the states are ours
                    for (int i = 0; i < inputs.length; i++) {
                        DevicePaths paths = paths(lab, guest, 100 + i);
                        create(lab, paths);
                        String state = paths.backend() + "/state";
                        for (String before : List.of("2", "4", "")) {
                            if (!before.isEmpty()) {
                                lab.control.write(state, before);
                            }
                            lab.control.write(state, inputs[i]);
                        }
                        lab.toolstack.removeDevice(paths);
                    }
                    nothingLeft(guest);
                    guest.openBackends(classes);
                    workOnce(attach(lab, guest, 0));
                });
    }

    /// The guest is suspended under load and resumed with a new connection to its store: what was
    /// outstanding is done, nothing fails.
    @ParameterizedTest
    @EnumSource(names = "LOCAL") // attached, the process is killed instead
    public void survivesSuspendAndResume(ContractPlatform platform) throws Exception {
        run(
                platform,
                (lab, guest, classes) -> {
                    Instance device = attach(lab, guest, 0);
                    try (Load load = new Load(device)) {
                        for (int round = 0; round < 3; round++) {
                            load.progress(5);
                            FrontendBus bus = guest.frontends;
                            if (bus == null) {
                                throw new IllegalStateException();
                            }
                            bus.suspend();
                            guest.store = lab.reconnect(guest);
                            Bounded.get("resume", bus.resume(guest.domain, guest.store));
                        }
                        load.progress(5);
                    }
                });
    }

    /// The backend goes and another comes, under load: nothing fails, nothing stays behind.
    @ParameterizedTest
    @EnumSource
    public void survivesTheReplacementOfItsBackend(ContractPlatform platform) throws Exception {
        run(
                platform,
                (lab, guest, classes) -> {
                    Instance device = attach(lab, guest, 0);
                    try (Load load = new Load(device)) {
                        for (int round = 0; round < 3; round++) {
                            load.progress(5);
                            guest.closeBackends();
                            guest.openBackends(classes);
                        }
                        load.progress(5);
                    }
                });
    }

    /// Unplugged under load: what is under way ends, whether it is answered or refused.
    @ParameterizedTest
    @EnumSource
    public void isUnpluggedUnderLoad(ContractPlatform platform) throws Exception {
        run(
                platform,
                (lab, guest, classes) -> {
                    for (int round = 0; round < 3; round++) {
                        Instance device = attach(lab, guest, 0);
                        Load load = new Load(device);
                        load.progress(5);
                        lab.detach(paths(lab, guest, 0));
                        load.awaitEnded();
                        nothingLeft(guest);
                    }
                });
    }

    /// The folders are removed under load, without a word before.
    @ParameterizedTest
    @EnumSource
    public void isRemovedByForceUnderLoad(ContractPlatform platform) throws Exception {
        run(
                platform,
                (lab, guest, classes) -> {
                    for (int round = 0; round < 3; round++) {
                        Instance device = attach(lab, guest, 0);
                        Load load = new Load(device);
                        load.progress(5);
                        lab.toolstack.removeDevice(paths(lab, guest, 0));
                        load.awaitEnded();
                        nothingLeft(guest);
                    }
                });
    }

    // Hostile peers.

    private interface Attack {
        void run(ContractLab lab, RawFrontend front, DevicePaths paths, SplittableRandom random)
                throws Exception;
    }

    /// Plays an attack of one guest, while a neighbour works; afterwards the attacker's device can
    /// be unplugged, and nothing is left of it.
    private void attack(ContractPlatform platform, Attack attack) throws Exception {
        if (entryBytes() == 0) {
            return;
        }
        long seed = Long.getLong("splitring.seed", System.nanoTime());
        try {
            run(
                    platform,
                    (lab, neighbour, classes) -> {
                        Instance good = attach(lab, neighbour, 0);
                        ContractGuest hostile = lab.guest(2);
                        hostile.openBackends(classes);
                        DevicePaths paths = paths(lab, hostile, 1);
                        create(lab, paths);
                        try (Load load = new Load(good);
                                RawFrontend front =
                                        RawFrontend.connect(lab, hostile, paths, entryBytes())) {
                            attack.run(lab, front, paths, new SplittableRandom(seed));
                            load.progress(5);
                            front.state("5");
                            front.state("6");
                            lab.awaitState(paths.backend(), "6");
                        }
                        lab.detach(paths);
                        workOnce(good);
                    });
        } catch (AssertionError e) {
            throw new AssertionError(e.getMessage() + " (splitring.seed=" + seed + ")", e);
        }
    }

    private MemorySegment request(SplittableRandom random, RawFrontend front, int id) {
        MemorySegment slot =
                MemorySegment.ofArray(new long[(entryBytes() + 7) / 8]).asSlice(0, entryBytes());
        writeRequest(slot, id, front.someGref(random));
        return slot;
    }

    /// A request of which up to three bytes were changed.
    private MemorySegment edited(SplittableRandom random, RawFrontend front, int id) {
        MemorySegment honest = request(random, front, id);
        while (true) {
            MemorySegment slot = MemorySegment.ofArray(honest.toArray(ValueLayout.JAVA_BYTE));
            int edits = random.nextInt(4);
            for (int edit = 0; edit < edits; edit++) {
                long at = random.nextInt(entryBytes());
                slot.set(ValueLayout.JAVA_BYTE, at, (byte) random.nextInt());
            }
            if (!front.namesRing(slot, honest)) {
                return slot;
            }
        }
    }

    /// Impossible indices: the device is closed with an error.
    @ParameterizedTest
    @EnumSource
    public void impossibleIndicesCloseTheDevice(ContractPlatform platform) throws Exception {
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

    /// Sizes, references and operations that make no sense are answered one by one: the device goes
    /// on.
    @ParameterizedTest
    @EnumSource
    public void everyRequestIsAnsweredWhateverIsInIt(ContractPlatform platform) throws Exception {
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

    /// Bytes of requests that change all the time: each is answered once, the device goes on.
    @ParameterizedTest
    @EnumSource
    public void bytesThatChangeAreReadOnce(ContractPlatform platform) throws Exception {
        attack(
                platform,
                (lab, front, paths, random) -> {
                    int published = 0;
                    for (int word = 0; word + 4 <= entryBytes() && word < 32; word += 4) {
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

    /// A frontend that never takes an answer holds up nobody, and can be unplugged.
    @ParameterizedTest
    @EnumSource
    public void aSilentFrontendHoldsUpNobody(ContractPlatform platform) throws Exception {
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

    /// Events without a reason.
    @ParameterizedTest
    @EnumSource
    public void aStormOfEventsHoldsUpNobody(ContractPlatform platform) throws Exception {
        attack(platform, (lab, front, paths, random) -> front.ring.kick(20_000));
    }

    /// Anything at all in the ring.
    @ParameterizedTest
    @EnumSource
    public void anythingInTheRingHarmsNobody(ContractPlatform platform) throws Exception {
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
}
