package org.splitring.testkit.contract;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Map;
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
}
