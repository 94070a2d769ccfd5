package org.splitring.devices;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannel;
import org.splitring.ring.ByteRingEnd;
import org.splitring.ring.ConsoleRing;
import org.splitring.ring.FlexRing;
import org.splitring.wire.ConsoleRingLayout;
import org.splitring.wire.FlexRingLayout;
import org.splitring.wire.P9Message;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.XenbusState;
import org.splitring.xenbus.device.GrantedPages;

/// A guest that writes what it likes into keys, pages and rings of 9pfs and the console: its device
/// closes with a message that names the value, and the device beside it goes on.
@Timeout(60)
class HostileStreamsTest {
    private static final ValueLayout.OfInt U32 =
            ValueLayout.JAVA_INT.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final DevicePaths P9 = DeviceLab.paths("9pfs", 0);
    private static final DevicePaths CONSOLE = DeviceLab.paths("console", 0);
    private static final int ORDER = 2;

    @TempDir private Path dir;
    private DeviceLab lab;
    private GrantedPages pages;
    private EventChannel port;

    @BeforeEach
    void open() throws Exception {
        lab = new DeviceLab(dir);
        pages = GrantedPages.grant(lab.guest, DomId.ZERO, 1 + (1 << ORDER), false);
        port = lab.guest.eventChannels().allocUnbound(DomId.ZERO);
        MemorySegment index = index();
        index.set(U32, FlexRingLayout.RING_ORDER, ORDER);
        for (int i = 1; i < pages.count(); i++) {
            index.set(U32, FlexRingLayout.REF + 4L * (i - 1), pages.gref(i));
        }
    }

    @AfterEach
    void close() {
        lab.close();
    }

    private MemorySegment index() {
        return pages.memory().asSlice(0, 4096);
    }

    private Map<String, String> p9Keys() {
        Map<String, String> keys = new HashMap<>();
        keys.put("version", "1");
        keys.put("num-rings", "1");
        keys.put("ring-ref0", Integer.toString(pages.gref(0)));
        keys.put("event-channel-0", Integer.toString(port.port()));
        return keys;
    }

    private Map<String, String> consoleKeys() {
        Map<String, String> keys = new HashMap<>();
        keys.put("ring-ref", Integer.toString(pages.gref(0)));
        keys.put("port", Integer.toString(port.port()));
        return keys;
    }

    /// Makes the device and publishes the keys, as a frontend would.
    private void publish(DevicePaths paths, Map<String, String> keys) throws Exception {
        lab.toolstack.createDevice(
                paths,
                Map.of(),
                paths.type().equals("9pfs")
                        ? Map.of("path", dir.toString())
                        : Map.of("log", dir.resolve("log").toString()));
        await().atMost(10, TimeUnit.SECONDS)
                .until(() -> lab.state(paths.backend()) == XenbusState.INIT_WAIT);
        lab.guestStore.transaction(
                transaction -> {
                    for (Map.Entry<String, String> key : keys.entrySet()) {
                        transaction.write(paths.frontend() + "/" + key.getKey(), key.getValue());
                    }
                    transaction.write(paths.frontend() + "/state", "3");
                });
    }

    private ByteRingEnd connectP9() throws Exception {
        publish(P9, p9Keys());
        await().atMost(10, TimeUnit.SECONDS)
                .until(() -> lab.state(P9.backend()) == XenbusState.CONNECTED);
        return FlexRing.frontend(index(), pages.memory().asSlice(4096), ORDER);
    }

    private ByteRingEnd connectConsole() throws Exception {
        publish(CONSOLE, consoleKeys());
        await().atMost(10, TimeUnit.SECONDS)
                .until(() -> lab.state(CONSOLE.backend()) == XenbusState.CONNECTED);
        return ConsoleRing.frontend(index());
    }

    /// The backend has closed, says why, and has let go of every page.
    private void assertRefused(DevicePaths paths, String... words) throws Exception {
        await().atMost(10, TimeUnit.SECONDS)
                .until(() -> lab.state(paths.backend()) == XenbusState.CLOSING);
        String said = lab.control.read(paths.backendError()).orElse("nothing");
        for (String word : words) {
            assertTrue(said.contains(word), said);
        }
        lab.guestStore.write(paths.frontend() + "/state", "6");
        await().atMost(10, TimeUnit.SECONDS)
                .until(() -> lab.state(paths.backend()) == XenbusState.CLOSED);
        pages.close();
        port.close();
        lab.awaitNothingGranted();
    }

    @Test
    void h010_nonsenseKeysOf9pfsAreNamed() throws Exception {
        Map<String, String> wrong =
                Map.of(
                        "version", "2",
                        "num-rings", "2147483648",
                        "ring-ref0", "1junk",
                        "event-channel-0", "-1");
        int device = 0;
        for (Map.Entry<String, String> entry : wrong.entrySet()) {
            DevicePaths paths = DeviceLab.paths("9pfs", device++);
            Map<String, String> keys = p9Keys();
            keys.put(entry.getKey(), entry.getValue());
            publish(paths, keys);
            await().atMost(10, TimeUnit.SECONDS)
                    .until(() -> lab.state(paths.backend()) == XenbusState.CLOSING);
            String said = lab.control.read(paths.backendError()).orElse("nothing");
            assertTrue(said.contains(entry.getKey()) && said.contains(entry.getValue()), said);
        }
    }

    @Test
    void h010_aRingOrderThatWasNotOfferedIsRefused() throws Exception {
        for (int order : new int[] {31, 0, -1, 10, 7}) {
            index().set(U32, FlexRingLayout.RING_ORDER, order);
            DevicePaths paths = DeviceLab.paths("9pfs", order & 0xFF);
            publish(paths, p9Keys());
            await().atMost(10, TimeUnit.SECONDS)
                    .until(() -> lab.state(paths.backend()) == XenbusState.CLOSING);
            String said = lab.control.read(paths.backendError()).orElse("nothing");
            assertTrue(said.contains("ring_order " + Integer.toUnsignedString(order)), said);
        }
    }

    @Test
    void h010_referencesThatWereNotGrantedAreRefused() throws Exception {
        index().set(U32, FlexRingLayout.REF + 4, 4000);
        publish(P9, p9Keys());
        assertRefused(P9);
    }

    @Test
    void h002_impossibleIndicesOf9pfsCloseIt() throws Exception {
        connectP9();
        index().set(U32, FlexRingLayout.OUT_PROD, 1 << 30);
        port.send();
        assertRefused(P9, "ring", "index");
    }

    @Test
    void h002_impossibleIndicesOfTheConsoleCloseIt() throws Exception {
        connectConsole();
        index().set(U32, ConsoleRingLayout.OUT_PROD, 2049);
        port.send();
        assertRefused(CONSOLE, "ring", "index");
    }

    @Test
    void messagesOfImpossibleSizeClose9pfs() throws Exception {
        int device = 0;
        for (int size : new int[] {0, 6, -1, 1 << 30}) {
            DevicePaths paths = DeviceLab.paths("9pfs", device++);
            EventChannel own = lab.guest.eventChannels().allocUnbound(DomId.ZERO);
            index().asSlice(0, 128).fill((byte) 0);
            Map<String, String> keys = p9Keys();
            keys.put("event-channel-0", Integer.toString(own.port()));
            publish(paths, keys);
            await().atMost(10, TimeUnit.SECONDS)
                    .until(() -> lab.state(paths.backend()) == XenbusState.CONNECTED);
            ByteRingEnd ring = FlexRing.frontend(index(), pages.memory().asSlice(4096), ORDER);
            write(ring, own, header(size, P9Message.TVERSION));
            await().atMost(10, TimeUnit.SECONDS)
                    .until(() -> lab.state(paths.backend()) == XenbusState.CLOSING);
            String said = lab.control.read(paths.backendError()).orElse("nothing");
            assertTrue(said.contains("message of " + Integer.toUnsignedString(size)), said);
        }
    }

    private static byte[] header(int size, int type) {
        byte[] bytes = new byte[P9Message.HEADER_BYTES];
        MemorySegment view = MemorySegment.ofArray(bytes);
        view.set(ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN), 0, size);
        bytes[P9Message.TYPE] = (byte) type;
        return bytes;
    }

    private static void write(ByteRingEnd ring, EventChannel port, byte[] bytes) {
        assertEquals(
                bytes.length, ring.writer().write(MemorySegment.ofArray(bytes), 0, bytes.length));
        port.send();
    }

    /// A guest that never takes a reply: its own device waits, without memory, and goes when told.
    @Test
    void repliesThatNobodyTakesStopOnlyTheirDevice() throws Exception {
        ByteRingEnd ring = connectP9();
        byte[] clunk = new byte[11];
        System.arraycopy(header(11, P9Message.TCLUNK), 0, clunk, 0, P9Message.HEADER_BYTES);
        await().atMost(10, TimeUnit.SECONDS)
                .until(
                        () -> {
                            // until both directions are full: replies of 11 bytes, and requests
                            while (ring.writer().writableBytes() >= clunk.length) {
                                write(ring, port, clunk);
                            }
                            int full = FlexRingLayout.ringSizeBytes(ORDER);
                            return ring.reader().readableBytes() > full - clunk.length;
                        });
        port.close();
        port = lab.guest.eventChannels().allocUnbound(DomId.ZERO);
        GrantedPages first = pages;
        pages = GrantedPages.grant(lab.guest, DomId.ZERO, 1, false);
        ByteRingEnd console = connectConsole(); // beside it
        write(console, port, "beside".getBytes(StandardCharsets.US_ASCII));
        await().atMost(10, TimeUnit.SECONDS)
                .until(
                        () ->
                                Files.exists(dir.resolve("log"))
                                        && Files.readString(dir.resolve("log")).equals("beside"));
        lab.toolstack.unplug(P9);
        await().atMost(10, TimeUnit.SECONDS)
                .until(() -> lab.state(P9.backend()) == XenbusState.CLOSING);
        lab.guestStore.write(P9.frontend() + "/state", "6");
        await().atMost(10, TimeUnit.SECONDS)
                .until(() -> lab.state(P9.backend()) == XenbusState.CLOSED);
        lab.guestStore.write(CONSOLE.frontend() + "/state", "6");
        first.close();
        assertEquals(0, lab.guest.grants().quarantinedCount());
    }
}
