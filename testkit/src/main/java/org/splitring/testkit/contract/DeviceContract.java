package org.splitring.testkit.contract;

import java.lang.foreign.MemorySegment;
import java.lang.reflect.Constructor;
import java.nio.file.Path;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.splitring.xenbus.FrontendHooks;
import org.splitring.xenbus.device.BackendDriver;
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
    private volatile @Nullable Path files;

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

    /// A folder for what the device's halves and its users keep in files: empty at the begin of a
    /// test, the same in all its processes, and deleted at its end.
    protected final Path files() {
        Path folder = files;
        if (folder == null) {
            throw new IllegalStateException("there are no files before a test has begun");
        }
        return folder;
    }

    void useFiles(Path folder) {
        files = folder;
    }

    /// The contract of that class, in a process of its own.
    static DeviceContract make(String className, Path files) throws ReflectiveOperationException {
        Constructor<?> constructor = Class.forName(className).getDeclaredConstructor();
        constructor.setAccessible(true);
        DeviceContract contract = (DeviceContract) constructor.newInstance();
        contract.useFiles(files);
        return contract;
    }

    /// A device that is connected.
    ///
    /// @param hooks what the frontend driver made
    /// @param sockets folder in which devices show themselves
    /// @param device its number
    public record Instance(FrontendHooks hooks, Path sockets, int device) {}

    private LifecycleChecks lifecycle() {
        return new LifecycleChecks(new ContractRun(this));
    }

    private HostileFrontendChecks frontends() {
        return new HostileFrontendChecks(new ContractRun(this));
    }

    private HostileBackendChecks backends() {
        return new HostileBackendChecks(new ContractRun(this));
    }

    private KillChecks kills() {
        return new KillChecks(new ContractRun(this));
    }

    // States and lifecycle.

    /// A device connects, works, and leaves nothing behind; so does the next one of its number.
    @ParameterizedTest
    @EnumSource
    public void connectsWorksAndLeavesNothing(ContractPlatform platform) throws Exception {
        lifecycle().connectsWorksAndLeavesNothing(platform);
    }

    /// A frontend that closes while `online` is 1 may come back, as often as it likes.
    @ParameterizedTest
    @EnumSource
    public void reconnectsAsOftenAsTheGuestLikes(ContractPlatform platform) throws Exception {
        lifecycle().reconnectsAsOftenAsTheGuestLikes(platform);
    }

    /// Every state, legal or not, and what is none, each after each other: the backend ends in
    /// InitWait when the frontend starts anew, and serves it.
    @ParameterizedTest
    @EnumSource
    public void theBackendBearsEveryOrderOfTheFrontendsStates(ContractPlatform platform)
            throws Exception {
        lifecycle().theBackendBearsEveryOrderOfTheFrontendsStates(platform);
    }

    /// Whatever state the backend writes, and in which order: the frontend waits, or leaves, and
    /// gives everything back when the device is removed.
    @ParameterizedTest
    @EnumSource
    public void theFrontendBearsEveryStateOfTheBackend(ContractPlatform platform) throws Exception {
        lifecycle().theFrontendBearsEveryStateOfTheBackend(platform);
    }

    /// The guest is suspended under load and resumed with a new connection to its store: what was
    /// outstanding is done, nothing fails.
    @ParameterizedTest
    @EnumSource(names = "LOCAL") // attached, the process is killed instead
    public void survivesSuspendAndResume(ContractPlatform platform) throws Exception {
        lifecycle().survivesSuspendAndResume(platform);
    }

    /// The backend goes and another comes, under load: nothing fails, nothing stays behind.
    @ParameterizedTest
    @EnumSource
    public void survivesTheReplacementOfItsBackend(ContractPlatform platform) throws Exception {
        lifecycle().survivesTheReplacementOfItsBackend(platform);
    }

    /// Unplugged under load: what is under way ends, whether it is answered or refused.
    @ParameterizedTest
    @EnumSource
    public void isUnpluggedUnderLoad(ContractPlatform platform) throws Exception {
        lifecycle().isUnpluggedUnderLoad(platform);
    }

    /// The folders are removed under load, without a word before.
    @ParameterizedTest
    @EnumSource
    public void isRemovedByForceUnderLoad(ContractPlatform platform) throws Exception {
        lifecycle().isRemovedByForceUnderLoad(platform);
    }

    // Either half dies.

    /// A guest that is killed with -9 under load: the backend notices, and gives everything back;
    /// its neighbours do not notice. The guest is a process of its own.
    @Test
    public void bearsTheDeathOfItsGuest() throws Exception {
        kills().bearsTheDeathOfItsGuest();
    }

    /// A driver domain that is killed with -9 under load: the frontend connects to the one that
    /// takes its place, nothing that was asked fails, and nothing stays behind. The driver domain
    /// is a process of its own.
    @Test
    public void bearsTheDeathOfItsDriverDomain() throws Exception {
        kills().bearsTheDeathOfItsDriverDomain();
    }

    // A hostile guest.

    /// Impossible indices: the device is closed with an error.
    @ParameterizedTest
    @EnumSource
    public void impossibleIndicesCloseTheDevice(ContractPlatform platform) throws Exception {
        frontends().impossibleIndicesCloseTheDevice(platform);
    }

    /// Sizes, references and operations that make no sense are answered one by one: the device goes
    /// on.
    @ParameterizedTest
    @EnumSource
    public void everyRequestIsAnsweredWhateverIsInIt(ContractPlatform platform) throws Exception {
        frontends().everyRequestIsAnsweredWhateverIsInIt(platform);
    }

    /// Bytes of requests that change all the time: each is answered once, the device goes on.
    @ParameterizedTest
    @EnumSource
    public void bytesThatChangeAreReadOnce(ContractPlatform platform) throws Exception {
        frontends().bytesThatChangeAreReadOnce(platform);
    }

    /// A frontend that never takes an answer holds up nobody, and can be unplugged.
    @ParameterizedTest
    @EnumSource
    public void aSilentFrontendHoldsUpNobody(ContractPlatform platform) throws Exception {
        frontends().aSilentFrontendHoldsUpNobody(platform);
    }

    /// Events without a reason.
    @ParameterizedTest
    @EnumSource
    public void aStormOfEventsHoldsUpNobody(ContractPlatform platform) throws Exception {
        frontends().aStormOfEventsHoldsUpNobody(platform);
    }

    /// Anything at all in the ring.
    @ParameterizedTest
    @EnumSource
    public void anythingInTheRingHarmsNobody(ContractPlatform platform) throws Exception {
        frontends().anythingInTheRingHarmsNobody(platform);
    }

    /// Keys that make no sense: the device is closed, and its error node names the key and the
    /// value.
    @ParameterizedTest
    @EnumSource
    public void keysThatMakeNoSenseAreNamed(ContractPlatform platform) throws Exception {
        frontends().keysThatMakeNoSense(platform);
    }

    // A hostile backend.

    /// Impossible indices: the frontend closes the device with an error, and every request is
    /// refused.
    @ParameterizedTest
    @EnumSource
    public void impossibleIndicesOfTheBackendCloseTheDevice(ContractPlatform platform)
            throws Exception {
        backends().impossibleIndices(platform);
    }

    /// Answers that nobody asked for, twice the same, sizes and states that make no sense.
    @ParameterizedTest
    @EnumSource
    public void theFrontendBearsAnyAnswer(ContractPlatform platform) throws Exception {
        backends().anyAnswers(platform);
    }

    /// Bytes of answers that change all the time.
    @ParameterizedTest
    @EnumSource
    public void theFrontendBearsAnswersThatChange(ContractPlatform platform) throws Exception {
        backends().changingBytes(platform);
    }

    /// A backend that never answers: when the device is unplugged its requests are refused.
    @ParameterizedTest
    @EnumSource
    public void aSilentBackendHoldsUpNobody(ContractPlatform platform) throws Exception {
        backends().silence(platform);
    }

    /// Events without a reason, and properties that change all the time.
    @ParameterizedTest
    @EnumSource
    public void aStormOfTheBackendHoldsUpNobody(ContractPlatform platform) throws Exception {
        backends().storms(platform);
    }

    /// Anything at all in the ring.
    @ParameterizedTest
    @EnumSource
    public void anythingInTheRingHarmsNoFrontend(ContractPlatform platform) throws Exception {
        backends().anythingInTheRing(platform);
    }

    /// Pages that a backend still has mapped when the device is gone are put aside until it lets
    /// go.
    @ParameterizedTest
    @EnumSource
    public void pagesThatABackendKeepsAreNotUsedAgain(ContractPlatform platform) throws Exception {
        backends().pagesThatAreKept(platform);
    }
}
