package org.splitring.driverdomain.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.code_intelligence.jazzer.junit.FuzzTest;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelOutboundHandlerAdapter;
import io.netty.channel.ChannelPromise;
import io.netty.channel.embedded.EmbeddedChannel;
import java.io.ByteArrayOutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.splitring.blkback.AllocationMap;
import org.splitring.blkfront.Completion;
import org.splitring.testkit.FuzzBytes;
import org.splitring.wire.BlkifStatus;

/// Any bytes from a client, in pieces of any size: options, then requests. Seen from the outside
/// only, bytes in and bytes out.
///
/// As long as what is sent are whole options and requests, each is answered once and in the form
/// that the protocol has for it; requests that the protocol allows succeed with the right data and
/// leave the right bytes on the disk, others fail and change nothing. After a piece of anything,
/// what is out of step is only bounded: nothing is thrown, and when the client has gone, all memory
/// that the disk has lent is back.
@SuppressWarnings({
    "FutureReturnValueIgnored", // the channel is looked at instead
    "ByteBufferBackingArray" // all of them are made here
})
class NbdFuzzTest {
    private static final int DISK_BYTES = 256 << 10;
    private static final int MOST_STEPS = 64;
    private static final long SIMPLE = Integer.toUnsignedLong(0x67446698);
    private static final int STRUCTURED = 0x668e33ef;
    private static final int FINAL_CHUNK = 1;

    @FuzzTest
    void everyRequestIsAnsweredOnceOrTheConnectionEnds(byte[] data) {
        new Client(new FuzzBytes(data)).run();
    }

    private static boolean isZero(byte[] bytes, int from, int size) {
        for (int i = from; i < from + size; i++) {
            if (bytes[i] != 0) {
                return false;
            }
        }
        return true;
    }

    private static final class Memory implements DiskBuffer {
        private final MemorySegment bytes;

        Memory(int sizeBytes) {
            bytes = Arena.global().allocate(sizeBytes, 4096);
        }

        @Override
        public MemorySegment bytes() {
            return bytes;
        }
    }

    // Made once: the fuzzer has one thread.
    private static final List<Memory> FREE_MEMORY = new ArrayList<>();

    /// A disk whose operations end when the test says so, in any order.
    private static final class Disk implements ExportedDisk {
        private final byte[] content = new byte[DISK_BYTES];
        private final List<DiskBuffer> lent = new ArrayList<>();
        private final ArrayDeque<Runnable> waiting = new ArrayDeque<>();
        private final boolean readOnly;
        private boolean atOnce;

        Disk(boolean readOnly) {
            this.readOnly = readOnly;
            for (int i = 0; i < DISK_BYTES; i++) {
                content[i] = (byte) (i / 512 + i);
            }
        }

        private void later(Runnable operation) {
            if (atOnce) {
                operation.run();
            } else {
                waiting.add(operation);
            }
        }

        private static void check(long offset, long sizeBytes) {
            assertTrue(
                    offset >= 0
                            && sizeBytes > 0
                            && offset <= DISK_BYTES - sizeBytes
                            && offset % 512 == 0
                            && sizeBytes % 512 == 0,
                    () -> "asks the disk for " + sizeBytes + " bytes at " + offset);
        }

        @Override
        public long sizeBytes() {
            return DISK_BYTES;
        }

        @Override
        public int blockSizeBytes() {
            return 512;
        }

        @Override
        public boolean readOnly() {
            return readOnly;
        }

        @Override
        public boolean flushes() {
            return true;
        }

        @Override
        public boolean discards() {
            return true;
        }

        @Override
        public boolean discardZeroes() {
            return true;
        }

        @Override
        public DiskBuffer acquire(int sizeBytes) {
            Memory memory = null;
            for (int i = FREE_MEMORY.size() - 1; i >= 0 && memory == null; i--) {
                if (FREE_MEMORY.get(i).bytes.byteSize() == sizeBytes) {
                    memory = FREE_MEMORY.remove(i);
                }
            }
            memory = memory == null ? new Memory(sizeBytes) : memory;
            memory.bytes.fill((byte) 0xCC); // is sent to nobody
            lent.add(memory);
            return memory;
        }

        @Override
        public void release(DiskBuffer buffer) {
            assertTrue(lent.remove(buffer), "given back twice");
            FREE_MEMORY.add((Memory) buffer);
        }

        @Override
        public void read(long offset, DiskBuffer buffer, int sizeBytes, Completion done) {
            check(offset, sizeBytes);
            later(
                    () -> {
                        assertTrue(lent.contains(buffer), "reads into memory given back");
                        MemorySegment.copy(
                                content,
                                (int) offset,
                                buffer.bytes(),
                                ValueLayout.JAVA_BYTE,
                                0,
                                sizeBytes);
                        done.done(BlkifStatus.OKAY);
                    });
        }

        @Override
        public void write(long offset, DiskBuffer buffer, int sizeBytes, Completion done) {
            check(offset, sizeBytes);
            assertFalse(readOnly, "writes to a read-only disk");
            later(
                    () -> {
                        assertTrue(lent.contains(buffer), "writes memory given back");
                        MemorySegment.copy(
                                buffer.bytes(),
                                ValueLayout.JAVA_BYTE,
                                0,
                                content,
                                (int) offset,
                                sizeBytes);
                        done.done(BlkifStatus.OKAY);
                    });
        }

        @Override
        public void discard(long offset, long sizeBytes, Completion done) {
            check(offset, sizeBytes);
            assertFalse(readOnly, "discards on a read-only disk");
            later(
                    () -> {
                        Arrays.fill(content, (int) offset, (int) (offset + sizeBytes), (byte) 0);
                        done.done(BlkifStatus.OKAY);
                    });
        }

        /// Blocks that read as zeros are holes.
        @Override
        public void describe(long offset, long sizeBytes, AllocationMap into, Completion done) {
            check(offset, sizeBytes);
            assertEquals(0, into.count(), "what was said before");
            later(
                    () -> {
                        for (long at = offset; at < offset + sizeBytes; at += 512) {
                            if (isZero(content, (int) at, 512)) {
                                into.addHole(512);
                            } else {
                                into.addData(512);
                            }
                        }
                        done.done(BlkifStatus.OKAY);
                    });
        }

        @Override
        public void flush(Completion done) {
            later(() -> done.done(BlkifStatus.OKAY));
        }
    }

    /// Takes what is sent at the moment when it is: the memory is the disk's and is used again.
    private static final class Wire extends ChannelOutboundHandlerAdapter {
        private final ByteArrayOutputStream sent = new ByteArrayOutputStream();

        @Override
        public void write(ChannelHandlerContext ctx, Object message, ChannelPromise promise) {
            ByteBuf bytes = (ByteBuf) message;
            byte[] copy = new byte[bytes.readableBytes()];
            bytes.readBytes(copy);
            bytes.release();
            sent.writeBytes(copy);
            ctx.write(Unpooled.EMPTY_BUFFER, promise);
        }

        ByteBuffer take() {
            ByteBuffer all = ByteBuffer.wrap(sent.toByteArray());
            sent.reset();
            return all;
        }
    }

    private static final class Client {
        private final FuzzBytes in;
        private final Disk disk;
        private final byte[] model;
        private final Wire wire = new Wire();
        private final EmbeddedChannel channel = new EmbeddedChannel();
        private final int pieces;
        private boolean zeroes;
        private boolean structured;
        private boolean allocation; // as long as there is no other option
        private boolean transmitting;
        private boolean inStep = true;
        private int extents; // of the last answer
        private long cookie = 0x0102030405060708L;

        Client(FuzzBytes in) {
            this.in = in;
            int kind = in.u8();
            disk = new Disk((kind & 1) != 0);
            disk.atOnce = (kind & 2) != 0;
            pieces = (kind & 4) == 0 ? Integer.MAX_VALUE : 1 + (kind >> 3);
            model = disk.content.clone();
            NbdServer server =
                    new NbdServer(
                            channel.eventLoop(),
                            List.of(
                                    new NbdExport("xvda", "a disk", disk),
                                    new NbdExport("xvdb", "", disk)),
                            NbdLimits.DEFAULT);
            channel.pipeline().addLast(wire, new NbdHandshake(server));
            channel.pipeline().fireChannelActive();
            settle();
            ByteBuffer greeting = wire.take();
            assertEquals(18, greeting.remaining());
            assertEquals(0x4e42444d41474943L, greeting.getLong());
            assertEquals(0x49484156454f5054L, greeting.getLong());
        }

        void run() {
            int flags = in.u8();
            if (flags < 0xF0) {
                zeroes = (flags & 2) == 0;
                send(ByteBuffer.allocate(4).putInt(flags & 3));
                assertTrue(channel.isOpen());
                if ((flags & 8) != 0) {
                    option(8, new byte[0]);
                    option(10, RawNbdClient.metaData("xvda", "base:allocation"));
                    allocation = true;
                }
                if ((flags & 4) == 0) {
                    option(7, go("xvda".getBytes(StandardCharsets.US_ASCII), 0));
                    assertTrue(transmitting, "GO with the name of an export");
                }
            } else {
                anything();
            }
            for (int step = 0; step < MOST_STEPS && in.hasMore() && channel.isOpen(); step++) {
                int kind = in.u8();
                if (kind >= 0xF0) {
                    anything();
                } else if (!inStep) {
                    disk.atOnce = (kind & 1) != 0;
                    settle();
                    anything();
                } else if (transmitting) {
                    request(kind);
                } else {
                    option(kind);
                }
            }
            end();
        }

        private void end() {
            settle();
            if (in.u8() % 2 == 0) {
                channel.pipeline().fireChannelInactive();
            }
            channel.close();
            settle();
            channel.checkException();
            assertEquals(0, disk.lent.size(), "buffers that the client still has");
            if (disk.readOnly) {
                assertEquals(-1, Arrays.mismatch(model, disk.content), "a read-only disk");
            }
            channel.finishAndReleaseAll();
        }

        /// Bytes without meaning: from here on nobody knows what is answered to what.
        private void anything() {
            inStep = false;
            send(ByteBuffer.wrap(in.take(1 + in.u8())));
            wire.take();
        }

        private void send(ByteBuffer bytes) {
            byte[] all = bytes.array();
            for (int at = 0; at < all.length && channel.isOpen(); at += pieces) {
                int size = Math.min(pieces, all.length - at);
                for (int tries = 0; !channel.config().isAutoRead(); tries++) {
                    assertTrue(tries < 1000, "does not read on, with nothing to wait for");
                    settle();
                }
                channel.writeInbound(Unpooled.copiedBuffer(all, at, size));
                channel.checkException();
                if (pieces == Integer.MAX_VALUE) {
                    break;
                }
            }
            settle();
        }

        /// Lets everything end that can.
        private void settle() {
            channel.runPendingTasks();
            while (!disk.waiting.isEmpty()) {
                (in.u8() % 2 == 0 ? disk.waiting.removeFirst() : disk.waiting.removeLast()).run();
                channel.runPendingTasks();
            }
            channel.checkException();
            assertTrue(disk.lent.size() <= 76, "more memory than one client may have");
        }

        // ---- options ---------------------------------------------------------------------------

        private static byte[] go(byte[] name, int requests) {
            ByteBuffer data = ByteBuffer.allocate(6 + name.length + 2 * requests);
            data.putInt(name.length).put(name).putShort((short) requests);
            for (int i = 0; i < requests; i++) {
                data.putShort((short) i);
            }
            return data.array();
        }

        private void option(int kind) {
            allocation = false;
            int number = new int[] {1, 2, 3, 6, 7, 8, 9, 10, 4, in.u8()}[kind % 10];
            byte[] name =
                    switch (in.choice(4)) {
                        case 0 -> "xvda".getBytes(StandardCharsets.US_ASCII);
                        case 1 -> "xvdb".getBytes(StandardCharsets.US_ASCII);
                        case 2 -> new byte[0];
                        default -> in.take(in.u8());
                    };
            byte[] data =
                    switch (in.choice(6)) {
                        case 0 -> new byte[0];
                        case 1 -> name;
                        case 2 -> go(name, in.u8());
                        case 3 -> Arrays.copyOf(go(name, 2), in.u8());
                        case 4 -> new byte[in.u16()];
                        default -> in.take(in.u8());
                    };
            option(number, data);
        }

        private void option(int number, byte[] data) {
            ByteBuffer option = ByteBuffer.allocate(16 + data.length);
            option.putLong(0x49484156454f5054L).putInt(number).putInt(data.length).put(data);
            send(option);
            ByteBuffer answer = wire.take();
            if (number == 1) {
                exportName(answer);
                return;
            }
            int type = 0;
            boolean over = false;
            while (answer.hasRemaining()) {
                assertFalse(over, "a reply behind the last one of option " + number);
                assertTrue(answer.remaining() >= 20, "a whole header");
                assertEquals(0x0003e889045565a9L, answer.getLong());
                assertEquals(number, answer.getInt());
                type = answer.getInt();
                int length = answer.getInt();
                assertTrue(length >= 0 && length <= answer.remaining(), "length of a reply");
                answer.position(answer.position() + length);
                over = type == 1 || type < 0;
            }
            assertTrue(over, "no answer to option " + number + " with " + data.length + " bytes");
            transmitting = number == 7 && type == 1;
            structured |= number == 8 && type == 1;
            // An ABORT that carries too much is refused as any other option.
            boolean aborted = number == 2 && type == 1;
            assertEquals(aborted, !channel.isOpen(), "closed after option " + number);
        }

        private void exportName(ByteBuffer answer) {
            if (!answer.hasRemaining()) {
                assertFalse(channel.isOpen(), "EXPORT_NAME has no other answer");
                return;
            }
            assertEquals(zeroes ? 134 : 10, answer.remaining());
            assertEquals(DISK_BYTES, answer.getLong());
            transmitting = true;
        }

        // ---- requests --------------------------------------------------------------------------

        private void request(int kind) {
            int type = new int[] {0, 1, 3, 4, 6, 0, 1, in.u8()}[kind & 7];
            int flags = (kind & 8) == 0 ? 0 : in.u8();
            long offset = (kind & 16) == 0 ? in.choice(200) * 512L : in.s64();
            int blocks = in.u8();
            long length = (kind & 32) == 0 ? (1 + blocks % 64) * 512L : blocks;
            if ((kind & 64) != 0) {
                length = blocks * 4096L; // up to four times the disk
            }
            if (type == 3 && (kind & 8) == 0) {
                offset = 0;
                length = 0;
            }
            byte[] payload = new byte[type == 1 ? (int) length : 0];
            Arrays.fill(payload, (byte) in.u8());
            ByteBuffer request = ByteBuffer.allocate(28 + payload.length);
            request.putInt(0x25609513).putShort((short) flags).putShort((short) type);
            request.putLong(++cookie).putLong(offset).putInt((int) length).put(payload);
            send(request);
            ByteBuffer answer = wire.take();
            if (type == 2) {
                assertFalse(channel.isOpen(), "DISC ends the connection");
                assertFalse(answer.hasRemaining());
                return;
            }
            boolean inRange = offset >= 0 && offset <= DISK_BYTES - length;
            boolean whole = length > 0 && ((offset | length) & 511) == 0;
            byte[] found = type == 0 ? new byte[(int) length] : new byte[0];
            int error = answer(answer, offset, type == 7 ? length : 0, found);
            assertTrue(channel.isOpen(), "the connection ended after " + type);
            switch (type) {
                case 0 -> {
                    if (flags == 0 && inRange && whole) {
                        assertEquals(0, error, "a READ that is allowed");
                    }
                    if (length > 0 && (!inRange || !whole)) {
                        assertNotEquals(0, error, "a READ that is not allowed");
                    }
                    if (error == 0 && length > 0) {
                        byte[] right =
                                Arrays.copyOfRange(model, (int) offset, (int) (offset + length));
                        assertEquals(-1, Arrays.mismatch(right, found), "data of a READ");
                    }
                }
                case 1, 4, 6 -> {
                    if (inRange && whole && !disk.readOnly && flags <= (type == 6 ? 3 : 1)) {
                        assertEquals(0, error, "a change that is allowed");
                    }
                    if (length > 0 && (!inRange || !whole || disk.readOnly)) {
                        assertNotEquals(0, error, "a change that is not allowed");
                    }
                    if (error == 0 && length > 0) {
                        byte fill = payload.length > 0 ? payload[0] : 0;
                        Arrays.fill(model, (int) offset, (int) (offset + length), fill);
                    }
                }
                case 3 -> {
                    if (flags == 0 && offset == 0 && length == 0) {
                        assertEquals(0, error, "a FLUSH");
                    }
                }
                case 7 -> {
                    if (allocation && inRange && whole && (flags & ~9) == 0) {
                        assertEquals(0, error, "a BLOCK_STATUS that is allowed");
                    }
                    if (!inRange || !whole) {
                        assertNotEquals(0, error, "a BLOCK_STATUS that is not allowed");
                    }
                    if (error == 0 && (flags & 8) != 0) {
                        assertEquals(1, extents, "extents where one was asked for");
                    }
                }
                default -> {}
            }
            assertEquals(
                    -1,
                    Arrays.mismatch(model, disk.content),
                    () -> "disk after type " + type + " with error " + error);
        }

        /// Reads one answer, of either form.
        ///
        /// @return its error
        private int answer(ByteBuffer answer, long offset, long range, byte[] data) {
            assertTrue(answer.remaining() >= 16, "no answer");
            if (Integer.toUnsignedLong(answer.getInt(answer.position())) == SIMPLE) {
                answer.getInt();
                int error = answer.getInt();
                assertEquals(cookie, answer.getLong());
                if (error == 0) {
                    assertEquals(data.length, answer.remaining(), "data of a READ");
                    answer.get(data);
                }
                assertFalse(answer.hasRemaining(), "more than one answer");
                return error;
            }
            assertTrue(structured, "a structured reply was not asked for");
            return chunks(answer, offset, range, data);
        }

        private int chunks(ByteBuffer answer, long offset, long range, byte[] data) {
            int error = 0;
            long covered = 0;
            boolean over = false;
            while (answer.hasRemaining()) {
                assertFalse(over, "a chunk behind the last one");
                assertEquals(STRUCTURED, answer.getInt());
                over = (answer.getShort() & FINAL_CHUNK) != 0;
                int type = Short.toUnsignedInt(answer.getShort());
                assertEquals(cookie, answer.getLong());
                int length = answer.getInt();
                assertTrue(length >= 0 && length <= answer.remaining(), "length of a chunk");
                int end = answer.position() + length;
                if (type == 1) { // data
                    int at = (int) (answer.getLong() - offset);
                    assertTrue(at >= 0 && at <= data.length - (length - 8), "place of data");
                    answer.get(data, at, length - 8);
                    covered += length - 8;
                } else if (type == 2) { // a hole: zeros
                    int at = (int) (answer.getLong() - offset);
                    int size = answer.getInt();
                    assertTrue(at >= 0 && size > 0 && at <= data.length - size, "place of a hole");
                    covered += size;
                } else if (type == 5) { // status of blocks
                    assertEquals(1, answer.getInt(), "the context");
                    extents(answer.slice(answer.position(), length - 4), offset, range);
                } else if (type >= 0x8000) {
                    error = answer.getInt();
                    assertNotEquals(0, error);
                }
                answer.position(end);
            }
            assertTrue(over, "no last chunk");
            if (error == 0) {
                assertEquals(data.length, covered, "bytes of a READ");
            }
            return error;
        }

        /// What is said to be a hole reads as zeros, and what is said to be data does not.
        private void extents(ByteBuffer all, long offset, long range) {
            assertTrue(all.hasRemaining() && all.remaining() % 8 == 0, "whole extents");
            extents = all.remaining() / 8;
            assertTrue(extents <= 64, extents + " extents");
            long at = offset;
            while (all.hasRemaining()) {
                long size = Integer.toUnsignedLong(all.getInt());
                assertTrue(size > 0 && size % 512 == 0, "size of an extent: " + size);
                assertTrue(at + size <= offset + range, "an extent behind what was asked for");
                int state = all.getInt();
                for (long block = at; block < at + size; block += 512) {
                    assertEquals(isZero(model, (int) block, 512) ? 3 : 0, state, "at " + block);
                }
                at += size;
            }
        }
    }
}
