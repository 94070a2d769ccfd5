package org.splitring.console.front;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.ByteArrayOutputStream;
import java.io.PipedInputStream;
import java.io.PipedOutputStream;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.devices.DeviceLab;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.ring.ByteRingReader;
import org.splitring.ring.ConsoleRing;
import org.splitring.wire.ConsoleRingLayout;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.FrontendHooks;
import org.splitring.xenbus.Keys;

/// The frontend with one backend after the other, each of which takes as much as the test says.
@Timeout(30)
class ConsoleFrontendTest {
    private static final DevicePaths CONSOLE = DeviceLab.paths("console", 0);

    @TempDir private Path dir;
    private DeviceLab lab;
    private ForeignPages pages;
    private ConsoleFrontend frontend;
    private PipedOutputStream program;

    /// A backend that looks at the page when it is told to.
    private final class Backend {
        private final FrontendHooks.Connection connection;
        private final MemorySegment page;
        private final ByteRingReader reader;
        private final EventChannel port;

        Backend() throws Exception {
            Keys keys = new Keys(lab.control, CONSOLE.backend());
            connection = frontend.prepare(lab.guest, CONSOLE, keys, broken -> {});
            connection.publish(lab.control, CONSOLE.frontend());
            String gref = lab.control.read(CONSOLE.frontend() + "/ring-ref").orElseThrow();
            page = pages.mapContiguous(new int[] {Integer.parseInt(gref)});
            reader = ConsoleRing.backend(page).reader();
            String number = lab.control.read(CONSOLE.frontend() + "/port").orElseThrow();
            port =
                    lab.hypervisor
                            .driverDomain(DomId.ZERO)
                            .eventChannels()
                            .bindInterdomain(DeviceLab.GUEST, Integer.parseInt(number));
            connection.connected(keys);
        }

        String take(int count) {
            await().atMost(10, TimeUnit.SECONDS).until(() -> reader.readableBytes() >= count);
            byte[] bytes = new byte[count];
            assertEquals(count, reader.read(MemorySegment.ofArray(bytes), 0, count));
            port.send(); // there is room again
            return new String(bytes, StandardCharsets.US_ASCII);
        }

        void awaitPrinted(int count) {
            await().atMost(10, TimeUnit.SECONDS).until(() -> reader.readableBytes() == count);
        }

        void leave() {
            pages.unmapContiguous(page);
            port.close();
            connection.close(Runnable::run, () -> {});
        }
    }

    @BeforeEach
    void open() throws Exception {
        lab = new DeviceLab(dir);
        pages = lab.hypervisor.driverDomain(DomId.ZERO).foreignPages(DeviceLab.GUEST, 8);
        frontend = new ConsoleFrontend(lab.loops.next());
        program = new PipedOutputStream();
        PipedInputStream printed = new PipedInputStream(program, 1 << 16);
        Thread.ofVirtual()
                .start(
                        () -> {
                            try {
                                frontend.serve(printed, new ByteArrayOutputStream());
                            } catch (Exception e) {
                                // the console has ended
                            }
                        });
    }

    @AfterEach
    void close() throws Exception {
        program.close();
        frontend.ended("test");
        pages.close();
        lab.close();
    }

    private void print(String text) throws Exception {
        program.write(text.getBytes(StandardCharsets.US_ASCII));
        program.flush();
    }

    /// A guest that was suspended with something on the page never showed it.
    @Test
    void whatNobodyHadTakenIsPrintedAgainBeforeAnythingElse() throws Exception {
        Backend first = new Backend();
        print("one two");
        first.awaitPrinted(7);
        assertEquals("one ", first.take(4));
        first.leave();
        print(" three");
        Backend second = new Backend();
        assertEquals("two three", second.take(9));
        second.leave();
        Backend third = new Backend();
        print("four");
        assertEquals("four", third.take(4));
        third.leave();
    }

    /// What waits for room when the backend leaves goes on with the next one where it stood.
    @Test
    void aLongTextGoesOnWhereItStoodWhenTheBackendLeft() throws Exception {
        String text = "0123456789".repeat(ConsoleRingLayout.OUT_SIZE_BYTES / 2);
        Backend first = new Backend();
        print(text);
        first.awaitPrinted(ConsoleRingLayout.OUT_SIZE_BYTES);
        StringBuilder taken = new StringBuilder(first.take(1001));
        first.awaitPrinted(ConsoleRingLayout.OUT_SIZE_BYTES);
        first.leave();
        Backend second = new Backend();
        while (taken.length() < text.length()) {
            int left = Math.min(1000, text.length() - taken.length());
            taken.append(second.take(left));
        }
        assertEquals(text, taken.toString());
        second.leave();
    }
}
