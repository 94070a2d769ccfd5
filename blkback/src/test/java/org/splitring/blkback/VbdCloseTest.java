package org.splitring.blkback;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.xenbus.BackendOptions;
import org.splitring.xenbus.XenbusState;

/// Closing waits for a frontend that is using the ring, and for no other. The deadline here is far
/// beyond what a test may take.
@Timeout(60)
class VbdCloseTest {
    private static final Duration DEADLINE = Duration.ofMinutes(5);
    private static final long SOON_SECONDS = 20;

    private final VbdLab lab = new VbdLab();
    private final DiskImage disk =
            DiskImage.of(new MemoryStore(1 << 20), DiskMode.WRITEBACK, Runnable::run);
    private final ServedVbd back = lab.backend(disk, BackendOptions.DEFAULT.withDeadline(DEADLINE));
    private final RawFrontend front;

    VbdCloseTest() throws Exception {
        front = new RawFrontend(lab);
    }

    @BeforeEach
    void connected() throws Exception {
        front.goodNodes();
        front.state(3);
        await().until(() -> back.state() == XenbusState.CONNECTED);
    }

    @AfterEach
    void nothingIsLeft() {
        assertEquals(0, lab.hypervisor.mappedTotal());
        front.close();
        lab.close();
    }

    private void assertClosesSoon() throws Exception {
        CompletableFuture<Void> closing = CompletableFuture.runAsync(back::close);
        closing.get(SOON_SECONDS, TimeUnit.SECONDS);
        assertEquals(XenbusState.CLOSED, back.state());
    }

    @Test
    void afterTheFrontendWasSaidToBeGone() throws Exception {
        back.frontendGone();
        assertClosesSoon();
        assertClosesSoon(); // and any number of times
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 5, 6})
    void whenTheFrontendHasLetGo(int state) throws Exception {
        front.state(state);
        assertClosesSoon();
    }

    @Test
    void whenTheFrontendsFolderIsRemoved() throws Exception {
        lab.toolstack.remove(lab.paths.frontend());
        assertClosesSoon();
    }

    @Test
    void whenBothFoldersAreRemoved() throws Exception {
        lab.toolstack.remove(lab.paths.frontend());
        lab.toolstack.remove(lab.paths.backend());
        assertClosesSoon();
        // A closed device does not bring its folder back.
        assertTrue(lab.toolstack.read(lab.paths.backend() + "/state").isEmpty());
    }

    @ParameterizedTest
    @ValueSource(strings = {"1", "5", "6", "removed"})
    void whenTheFrontendLetsGoWhileWeWait(String state) throws Exception {
        CompletableFuture<Void> closing = CompletableFuture.runAsync(back::close);
        await().until(() -> back.state() == XenbusState.CLOSING);
        assertTrue(!closing.isDone(), "the frontend is using its ring");
        if (state.equals("removed")) {
            lab.toolstack.remove(lab.paths.frontend());
        } else {
            front.state(Integer.parseInt(state));
        }
        closing.get(SOON_SECONDS, TimeUnit.SECONDS);
        assertEquals(XenbusState.CLOSED, back.state());
    }

    @Test
    void whenTheFrontendIsSaidToBeGoneWhileWeWait() throws Exception {
        CompletableFuture<Void> closing = CompletableFuture.runAsync(back::close);
        await().until(() -> back.state() == XenbusState.CLOSING);
        back.frontendGone();
        closing.get(SOON_SECONDS, TimeUnit.SECONDS);
    }

    @Test
    void beforeAnyFrontendConnected() throws Exception {
        front.state(6);
        await().until(() -> back.state() == XenbusState.CLOSED);
        front.state(1);
        await().until(() -> back.state() == XenbusState.INIT_WAIT);
        assertClosesSoon();
    }
}
