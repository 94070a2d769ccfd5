package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Executor;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.blkback.image.DiskSource;
import org.splitring.blkfront.VbdFrontendDriver;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;
import org.splitring.wire.BlkifStatus;
import org.splitring.xenbus.BackendHooks;
import org.splitring.xenbus.BackendOptions;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.Timers;
import org.splitring.xenbus.device.BackendBus;
import org.splitring.xenbus.device.BackendContext;
import org.splitring.xenbus.device.BackendDriver;
import org.splitring.xenbus.device.BackendHost;
import org.splitring.xenbus.device.DeviceClasses;
import org.splitring.xenbus.device.DeviceException;
import org.splitring.xenbus.device.HostServices;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;

/// A disk whose nodes `pause` and `resize` are written while its guest uses it. Loop, storage and
/// control plane run when the test says so.
@Timeout(60)
class VbdPausingTest {
    private static final DiskAccess WRITES = DiskAccess.READ_WRITE;
    private static final int DISK = 1 << 20;

    @TempDir Path folder;

    private final VbdLab lab = new VbdLab();
    private final PumpedLoop loop = new PumpedLoop();
    private final Control control = new Control();
    private final Store store = lab.tree.connection(DomId.ZERO, control); // hears on it as well
    private final Deque<Runnable> work = new ArrayDeque<>(); // that waits for storage
    private final List<String> heard = new ArrayList<>();
    private final DiskImages images =
            new DiskImages(
                    new ImageListener() {
                        @Override
                        public void opened(DevicePaths vbd, DiskSource opened) {
                            heard.add("opened " + opened.name());
                        }

                        @Override
                        public void closed(DevicePaths vbd, DiskSource closed) {
                            heard.add("closed " + closed.name());
                        }
                    });
    private final RawFrontend front;
    private Path image;
    private BackendBus bus;

    @SuppressWarnings("NullAway.Init") // by the driver
    private DiskImages.Hold hold;

    @SuppressWarnings("NullAway.Init")
    private VbdPausing pausing;

    @SuppressWarnings("NullAway.Init")
    private VbdResizing resizing;

    /// As many threads would run them: the task that came last may be the first.
    private static final class Control implements Executor {
        private final ArrayDeque<Runnable> tasks = new ArrayDeque<>();

        @Override
        public synchronized void execute(Runnable task) {
            tasks.addFirst(task);
        }

        synchronized boolean isBusy() {
            return !tasks.isEmpty();
        }

        synchronized @Nullable Runnable next() {
            return tasks.poll();
        }
    }

    /// As the program's, and makes what the test asks for pauses without the store.
    private final class Driver implements BackendDriver {
        private final VbdBackendDriver real = new VbdBackendDriver();

        @Override
        public String deviceClass() {
            return real.deviceClass();
        }

        @Override
        public Set<String> parameters() {
            return real.parameters();
        }

        @Override
        public BackendHooks create(BackendContext context) throws DeviceException {
            BackendHooks made = real.create(context);
            try {
                hold = images.hold(context.paths(), source(image), WRITES, DiskMode.WRITEBACK);
            } catch (DiskException e) {
                throw new AssertionError(e);
            }
            context.onEnd(hold);
            pausing = new VbdPausing(context, (VbdBackend) made, hold);
            resizing = new VbdResizing(context, hold.disk());
            return made;
        }
    }

    VbdPausingTest() throws Exception {
        front = new RawFrontend(lab);
    }

    @BeforeEach
    void connected() throws Exception {
        image = image("disk.img", 1, DISK);
        lab.toolstack.write(lab.paths.backend() + "/params", image.toString());
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
                                                VbdBackendOptions.of(weight -> work::add)))),
                        VbdLab.GUEST,
                        DeviceClasses.of(new Driver(), new VbdFrontendDriver()),
                        BackendOptions.DEFAULT);
        until("state", "2");
        front.goodNodes();
        front.state(3);
        until("state", "4");
        front.state(4);
        assertEquals(BlkifStatus.OKAY, read());
        assertEquals(1, page(0));
        settle();
        assertEquals("", node("pause-status"));
    }

    @AfterEach
    void nothingIsLeft() throws Exception {
        var gone = bus.guestGone();
        loop.pumpUntil(
                () -> {
                    everything();
                    return gone.isDone();
                });
        assertEquals(0, lab.hypervisor.mappedTotal());
        assertImageIsFree();
        store.close();
        front.close();
        lab.close();
    }

    private Path image(String name, int value, int sizeBytes) throws IOException {
        byte[] bytes = new byte[sizeBytes];
        Arrays.fill(bytes, (byte) value);
        return Files.write(folder.resolve(name), bytes);
    }

    private static DiskSource source(Path file) {
        return DiskSource.raw(file);
    }

    private void assertImageIsFree() throws DiskException {
        DiskImage.open(image, DiskMode.WRITEBACK).close();
    }

    private void assertImageIsHeld() {
        assertThrows(DiskException.class, this::assertImageIsFree);
    }

    private String node(String name) {
        try {
            return lab.toolstack.read(lab.paths.backend() + "/" + name).orElse("");
        } catch (StoreException e) {
            throw new AssertionError(e);
        }
    }

    private void write(String name, String value) throws StoreException {
        lab.toolstack.write(lab.paths.backend() + "/" + name, value);
    }

    /// Lets the control plane and the storage do all that they have been given.
    private void everything() {
        for (Runnable task = control.next(); task != null; task = control.next()) {
            task.run();
        }
        while (!work.isEmpty()) {
            work.remove().run();
        }
    }

    /// Until nobody has anything left to do.
    private void settle() {
        do {
            everything();
            loop.pump();
        } while (control.isBusy());
    }

    private void pumpUntil(BooleanSupplier done) {
        loop.pumpUntil(
                () -> {
                    everything();
                    return done.getAsBoolean();
                });
    }

    private void until(String name, String value) {
        pumpUntil(() -> node(name).equals(value));
    }

    private void look(String pause) {
        pausing.look(Optional.of(pause));
    }

    /// Lets the control plane do one thing.
    private void oneTask() {
        Objects.requireNonNull(control.next()).run();
    }

    private MemorySegment data() {
        return lab.guest.memory().pages(front.dataGfn, 1);
    }

    private byte page(int at) {
        return data().get(ValueLayout.JAVA_BYTE, at);
    }

    /// Puts a request on the ring, with an event. The loop does what it can about it.
    private void begin(int operation) {
        long slot = front.write(operation, 7, 0);
        if (operation == BlkifOp.DISCARD) {
            BlkifLayout.X86_64.writeDiscard(front.ring, slot, 0, 0, 7, 0, 8);
        }
        front.publish();
        front.port.send();
        loop.pump();
    }

    /// The status of the last request.
    private int answer() {
        pumpUntil(() -> front.responses() == front.published());
        long slot = 64 + (front.published() - 1 & 31) * 112L;
        return front.ring.get(ValueLayout.JAVA_SHORT, slot + 10);
    }

    private int read() {
        begin(BlkifOp.READ);
        return answer();
    }

    /// Begins a request that waits for storage until the test lets it.
    private void beginDiscard() {
        begin(BlkifOp.DISCARD);
        assertEquals(1, work.size());
    }

    private void assertStaysPaused() {
        int before = front.responses();
        begin(BlkifOp.READ);
        settle();
        assertEquals(before, front.responses());
    }

    @Test
    void whatCameMeanwhileIsServedWithoutAnotherEvent() throws Exception {
        write("pause", "1");
        until("pause-status", "paused");
        assertImageIsFree();
        data().fill((byte) 0);
        assertStaysPaused();
        write("pause", "0");
        until("pause-status", "running");
        assertEquals(BlkifStatus.OKAY, answer());
        assertEquals(1, page(0));
        assertImageIsHeld();
    }

    @Test
    void whatWasBegunIsAnsweredBeforeTheImageIsClosed() throws Exception {
        beginDiscard();
        look("1");
        oneTask();
        loop.pump();
        assertNull(control.next(), "nothing is quiet");
        assertImageIsHeld();
        until("pause-status", "paused");
        assertEquals(BlkifStatus.OKAY, answer());
        assertImageIsFree();
        look("0");
        until("pause-status", "running");
    }

    @Test
    void sizesThatAreWishedShortlyAfterEachOtherAreMadeInTheirOrder() throws Exception {
        resizing.look(Optional.of(Integer.toString(2 * DISK)));
        resizing.look(Optional.of(""));
        resizing.look(Optional.of("many"));
        resizing.look(Optional.of(Integer.toString(3 * DISK)));
        settle();
        assertEquals("done " + 3 * DISK, node("resize-status"));
        assertEquals(3 * DISK, Files.size(image));
    }

    @Test
    void aWishIsTakenAwayWhenItWasTriedAndOneThatCameMeanwhileIsNot() throws Exception {
        write("resize", Integer.toString(2 * DISK));
        until("resize-status", "done " + 2 * DISK);
        until("sectors", Integer.toString(2 * DISK / 512)); // which the guest reads
        settle();
        assertEquals("", node("resize"));
        assertEquals(2 * DISK, Files.size(image));

        String later = Integer.toString(3 * DISK);
        resizing.look(Optional.of(Integer.toString(DISK)));
        Runnable first = Objects.requireNonNull(control.next());
        write("resize", later);
        first.run();
        settle();
        assertEquals("done " + later, node("resize-status"));
        assertEquals("", node("resize"));
        assertEquals(3 * DISK, Files.size(image));
    }

    @Test
    void aDiskIsPausedOnceHoweverOftenThatIsWished() {
        look("1");
        until("pause-status", "paused");
        look("1");
        assertStaysPaused();
        look("0");
        until("pause-status", "running");
        assertEquals(BlkifStatus.OKAY, answer());
        String name = source(image).name();
        assertEquals(List.of("opened " + name, "closed " + name, "opened " + name), heard);
    }

    /// Wishes came on threads of their own: of two in a row either could be the last.
    @Test
    void theLastWishIsTheOneThatCounts() {
        for (int i = 0; i < 3; i++) {
            look("0");
            look("1");
            until("pause-status", "paused");
            assertStaysPaused();
            look("1");
            look("0");
            until("pause-status", "running");
            assertEquals(BlkifStatus.OKAY, answer());
        }
    }

    @Test
    void aPauseThatIsTakenBackIsNoneWhenItBecomesQuiet() {
        look("1");
        until("pause-status", "paused");
        look("0");
        until("pause-status", "running");
        settle();
        beginDiscard();
        look("1");
        oneTask();
        loop.pump(); // no request begins any more
        look("0");
        work.remove().run();
        loop.pump(); // quiet: that is said behind the wish to go on
        everything();
        until("pause-status", "running");
        assertImageIsHeld();
        assertEquals(BlkifStatus.OKAY, read());
    }

    /// It closed the image under requests of a disk that had gone on in between.
    @Test
    void whatBecomesQuietIsNotTheNextPause() {
        beginDiscard();
        look("1");
        oneTask();
        loop.pump();
        look("0");
        look("1");
        work.remove().run();
        loop.pump(); // quiet: that is said behind both
        begin(BlkifOp.DISCARD);
        oneTask();
        loop.pump();
        assertEquals(1, work.size(), "it goes on");
        oneTask();
        oneTask();
        assertImageIsHeld();
        loop.pump();
        until("pause-status", "paused");
        assertEquals(BlkifStatus.OKAY, answer());
        look("0");
        until("pause-status", "running");
    }

    @Test
    void anotherImageTakesItsPlaceWithItsSize() throws Exception {
        look("1");
        until("pause-status", "paused");
        assertStaysPaused();
        write("params", folder.resolve("missing.img").toString());
        look("0");
        pumpUntil(() -> node("pause-status").contains("missing.img: no such file"));
        assertStaysPaused();
        image = image("other.img", 2, 2 * DISK);
        write("params", image.toString());
        look("0");
        until("pause-status", "running");
        until("sectors", Integer.toString(2 * DISK / 512));
        assertEquals(BlkifStatus.OKAY, answer());
        assertEquals(2, page(0));
        assertImageIsHeld();
    }

    @Test
    void whatCannotBeMadeStableStaysOpenAndPaused() {
        int failed = hold.disk().written(8, Errno.EIO);
        assertEquals(DiskImage.FAILED, failed);
        look("1");
        pumpUntil(() -> node("pause-status").startsWith("failed: "));
        assertImageIsHeld();
        assertStaysPaused();
        look("0");
        until("pause-status", "running");
        assertEquals(BlkifStatus.OKAY, answer());
    }

    @Test
    void aPausedDiskEndsWithItsGuest() throws Exception {
        look("1");
        until("pause-status", "paused");
        assertStaysPaused();
        assertImageIsFree();
    }
}
