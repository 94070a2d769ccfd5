package org.splitring.xenbus.store;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.Arrays;
import org.awaitility.Awaitility;
import org.splitring.hypervisor.XenstorePage;

/// One end of a xenstore page in hands that do what they like, with the offsets of `docs/abi.md`
/// written out. Indices are kept here, and go wherever a test says.
final class RawStorePage {
    static final int REQ_CONS = 2048;
    static final int REQ_PROD = 2052;
    static final int RSP_CONS = 2056;
    static final int RSP_PROD = 2060;
    static final int FEATURES = 2064;
    static final int CONNECTION = 2068;
    static final int ERROR = 2072;

    static final int READ = 2;
    static final int WATCH = 4;
    static final int TRANSACTION_START = 6;
    static final int WRITE = 11;
    static final int EVENT = 15;
    static final int FAILED = 16;

    private static final VarHandle WORD =
            ValueLayout.JAVA_INT
                    .withOrder(ByteOrder.LITTLE_ENDIAN)
                    .varHandle()
                    .withInvokeExactBehavior();

    /// A message that came back.
    record Answer(int type, int requestId, String text) {}

    final MemorySegment memory;
    private final XenstorePage page;
    private int reqProd;
    private int rspCons;

    RawStorePage(XenstorePage guestEnd) {
        page = guestEnd;
        memory = guestEnd.memory();
    }

    int word(int offset) {
        return (int) WORD.getAcquire(memory, (long) offset);
    }

    void word(int offset, int value) {
        WORD.setRelease(memory, (long) offset, value);
    }

    void kick() {
        page.channel().send();
    }

    static void await(java.util.concurrent.Callable<Boolean> condition) {
        Awaitility.await()
                .atMost(Duration.ofSeconds(10))
                .pollInterval(Duration.ofMillis(1))
                .until(condition);
    }

    static byte[] message(int type, int id, int transaction, String payload) {
        byte[] text = payload.getBytes(ISO_8859_1);
        return header(type, id, transaction, text.length).put(text).array();
    }

    private static ByteBuffer header(int type, int id, int transaction, int length) {
        return ByteBuffer.allocate(16 + length)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putInt(type)
                .putInt(id)
                .putInt(transaction)
                .putInt(length);
    }

    /// A header alone, which says that more follows.
    static byte[] headerSaying(int type, int length) {
        return header(type, 1, 0, 0).putInt(12, length).array();
    }

    /// Free bytes in the req ring.
    int room() {
        return 1024 - (reqProd - word(REQ_CONS));
    }

    /// Puts as many of the bytes as there is room for into the ring, and tells the store.
    ///
    /// @return how many
    int offer(byte[] bytes) {
        int count = Math.clamp(room(), 0, bytes.length);
        for (int i = 0; i < count; i++) {
            memory.set(ValueLayout.JAVA_BYTE, reqProd++ & 1023, bytes[i]);
        }
        word(REQ_PROD, reqProd);
        kick();
        return count;
    }

    void send(byte[] bytes) {
        int[] at = {0};
        await(
                () -> {
                    at[0] += offer(Arrays.copyOfRange(bytes, at[0], bytes.length));
                    return at[0] == bytes.length;
                });
    }

    private byte[] receive(int count) {
        byte[] got = new byte[count];
        int[] at = {0};
        await(
                () -> {
                    int queued = word(RSP_PROD) - rspCons;
                    for (; queued > 0 && at[0] < count; queued--) {
                        got[at[0]++] = memory.get(ValueLayout.JAVA_BYTE, 1024 + (rspCons++ & 1023));
                    }
                    word(RSP_CONS, rspCons);
                    kick();
                    return at[0] == count;
                });
        return got;
    }

    Answer receive() {
        ByteBuffer header = ByteBuffer.wrap(receive(16)).order(ByteOrder.LITTLE_ENDIAN);
        byte[] payload = receive(header.getInt(12));
        return new Answer(header.getInt(0), header.getInt(4), new String(payload, ISO_8859_1));
    }

    Answer call(int type, int transaction, String payload) {
        send(message(type, 77, transaction, payload));
        return receive();
    }

    /// Asks to start anew, and waits until that is done.
    void reconnect() {
        word(CONNECTION, 1);
        kick();
        await(() -> word(CONNECTION) == 0);
        reqProd = 0;
        rspCons = 0;
    }
}
