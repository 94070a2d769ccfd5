package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.blkfront.VbdFrontendDriver;
import org.splitring.hypervisor.DomId;
import org.splitring.xenbus.BackendOptions;
import org.splitring.xenbus.Timers;
import org.splitring.xenbus.device.BackendBus;
import org.splitring.xenbus.device.BackendHost;
import org.splitring.xenbus.device.DeviceClasses;
import org.splitring.xenbus.device.HostServices;
import org.splitring.xenbus.store.Store;

/// How a backend comes to its image, and what it makes of its nodes. The control plane runs in the
/// test's thread, so that a test sees whether it waits.
@Timeout(60)
class VbdBackendDriverTest {
    private static final int DISK = 1 << 20;

    @TempDir Path folder;

    private final VbdLab lab = new VbdLab();
    private final PumpedLoop loop = new PumpedLoop();
    private final Control control = new Control();
    private final Store store = lab.tree.connection(DomId.ZERO, control);
    private final DiskImages images = new DiskImages();
    private Path image = Path.of("");
    private @Nullable BackendBus bus;

    private static final class Control implements Executor {
        private final ArrayDeque<Runnable> tasks = new ArrayDeque<>();

        @Override
        public synchronized void execute(Runnable task) {
            tasks.add(task);
        }

        synchronized @Nullable Runnable next() {
            return tasks.poll();
        }
    }

    @BeforeEach
    void makeImage() throws Exception {
        image = Files.write(folder.resolve("disk.img"), new byte[DISK]);
        node("params", image.toString());
    }

    @AfterEach
    void nothingIsLeft() throws Exception {
        if (bus != null) {
            var gone = bus.guestGone();
            loop.pumpUntil(
                    () -> {
                        runControl();
                        return gone.isDone();
                    });
        }
        DiskImage.open(image, DiskMode.WRITEBACK).close();
        store.close();
        lab.close();
    }

    private void node(String name, String value) throws Exception {
        lab.toolstack.write(lab.paths.backend() + "/" + name, value);
    }

    private String node(String name) throws Exception {
        return lab.toolstack.read(lab.paths.backend() + "/" + name).orElse("");
    }

    private void runControl() {
        for (Runnable task = control.next(); task != null; task = control.next()) {
            task.run();
        }
    }

    private void settle() {
        for (int i = 0; i < 3; i++) {
            runControl();
            loop.pump();
        }
    }

    private void open() throws Exception {
        bus =
                BackendBus.open(
                        new BackendHost(
                                lab.driver,
                                store,
                                () -> loop,
                                control,
                                Timers.of(loop),
                                new SimpleMeterRegistry(),
                                HostServices.NONE.with(
                                        VbdHost.class,
                                        new VbdHost(
                                                images,
                                                VbdBackendOptions.of(weight -> Runnable::run)))),
                        VbdLab.GUEST,
                        DeviceClasses.of(new VbdBackendDriver(), new VbdFrontendDriver()),
                        BackendOptions.DEFAULT);
        settle();
    }

    private String error() throws Exception {
        return lab.toolstack.read(lab.paths.backendError()).orElse("");
    }

    /// Opens the device while somebody else has the image, in a thread that is to be interrupted
    /// where it waits.
    private String errorOfALockedImage() throws Exception {
        try (DiskImage other = DiskImage.open(image, DiskMode.WRITEBACK)) {
            assertTrue(other.failure().isEmpty());
            Thread.currentThread().interrupt();
            open();
            assertTrue(Thread.interrupted(), "whoever is interrupted stays so");
        }
        return error();
    }

    @Test
    void anImageThatIsInUseIsRefusedAtOnce() throws Exception {
        String error = errorOfALockedImage();
        assertTrue(error.contains("in use"), error);
    }

    @Test
    void aConnectedBackendWaitsForItsPredecessorsEnd() throws Exception {
        node("state", "4");
        String error = errorOfALockedImage();
        assertTrue(error.contains("interrupted while it was waited for"), error);
    }

    @Test
    void whatThePredecessorLeavesIsTaken() throws Exception {
        node("state", "4");
        DiskImage predecessor = DiskImage.open(image, DiskMode.WRITEBACK);
        Thread tester = Thread.currentThread();
        AtomicBoolean over = new AtomicBoolean();
        Thread end =
                Thread.ofPlatform()
                        .start(
                                () -> {
                                    while (tester.getState() != Thread.State.TIMED_WAITING
                                            && !over.get()) {
                                        Thread.onSpinWait();
                                    }
                                    close(predecessor);
                                });
        open();
        over.set(true);
        end.join();
        assertEquals("", error());
        assertThrows(DiskException.class, () -> DiskImage.open(image, DiskMode.WRITEBACK).close());
    }

    private static void close(DiskImage image) {
        try {
            image.close();
        } catch (DiskException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void discardIsOfferedUnlessTheToolstackForbidsIt() throws Exception {
        open();
        assertEquals("1", node("feature-discard"));
    }

    @Test
    void discardThatTheToolstackForbidsIsNotOffered() throws Exception {
        node("discard-enable", "0");
        open();
        assertEquals("0", node("feature-discard"));
        assertEquals("", node("discard-granularity"));
    }

    @Test
    void aReadOnlyDiskOffersNoDiscard() throws Exception {
        node("mode", "r");
        open();
        assertEquals("0", node("feature-discard"));
    }

    @Test
    void aNodeThatIsWrongIsNamed() throws Exception {
        node("discard-enable", "yes");
        open();
        assertEquals("", node("feature-discard"));
        assertTrue(error().contains("discard-enable is \"yes\""), error());
    }
}
