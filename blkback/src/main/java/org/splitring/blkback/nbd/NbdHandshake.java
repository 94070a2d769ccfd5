package org.splitring.blkback.nbd;

import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import org.splitring.blkback.DiskException;
import org.splitring.hypervisor.linux.IoVector;

/// The client's side of the newstyle handshake: chooses an export with `GO`, or with `EXPORT_NAME`
/// where the server does not know `GO`. Structured replies are not asked for, so every answer is a
/// simple one.
///
///     server   NBDMAGIC, IHAVEOPT, flags (u16)
///     client   flags (u32)
///     client   IHAVEOPT, option (u32), length (u32), data
///     server   0003e889045565a9, option (u32), type (u32), length (u32), data     any number of
// them
final class NbdHandshake {
    private static final int ZEROES = 124;

    /// Of replies to one option, and of the data of one: more than any needs.
    private static final int MAX_REPLIES = 64;

    private static final int MAX_DATA_BYTES = 16 << 10;
    private static final int MAX_MESSAGE_CHARS = 200;

    private final NbdConnection connection;
    private final NbdConnection.Patience patience;
    private final MemorySegment data;
    private final IoVector vector = new IoVector(1);

    private long size;
    private int flags;
    private boolean hasExport;
    private int[] blockSizes = {};

    private NbdHandshake(
            NbdConnection connection, NbdConnection.Patience patience, MemorySegment data) {
        this.connection = connection;
        this.patience = patience;
        this.data = data;
    }

    /// Comes to an agreement, or throws.
    ///
    /// @throws NbdRefusal when another try would end the same way
    /// @throws IOException when the connection ended, or the time is up
    static NbdExport agree(NbdConnection connection, String export, long endNanos)
            throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            NbdConnection.Patience patience = NbdConnection.until(endNanos, "the handshake");
            return new NbdHandshake(connection, patience, arena.allocate(MAX_DATA_BYTES, 8))
                    .agree(export);
        }
    }

    private NbdExport agree(String export) throws IOException {
        receive(8);
        if (data.get(NbdConnection.U64, 0) != NbdProtocol.NBDMAGIC) {
            throw new NbdRefusal("whoever listens there is no NBD server");
        }
        receive(8);
        long style = data.get(NbdConnection.U64, 0);
        if (style != NbdProtocol.IHAVEOPT) {
            throw new NbdRefusal(
                    style == NbdProtocol.OLDSTYLE_MAGIC
                            ? "the server speaks the oldstyle protocol, which has no exports"
                            : "whoever listens there is no NBD server");
        }
        receive(2);
        int offered = Short.toUnsignedInt(data.get(NbdConnection.U16, 0));
        boolean fixed = (offered & NbdProtocol.FLAG_FIXED_NEWSTYLE) != 0;
        boolean noZeroes = (offered & NbdProtocol.FLAG_NO_ZEROES) != 0;
        data.set(
                NbdConnection.U32,
                0,
                offered & (NbdProtocol.FLAG_FIXED_NEWSTYLE | NbdProtocol.FLAG_NO_ZEROES));
        send(4);
        byte[] name = export.getBytes(StandardCharsets.UTF_8);
        if (!fixed || !go(name, export)) {
            exportName(name, export, noZeroes);
        }
        return NbdExport.of(size, flags, blockSizes);
    }

    /// @return `false` when the server does not know the option
    private boolean go(byte[] name, String export) throws IOException {
        int length = 4 + name.length + 2 + 2;
        option(NbdProtocol.OPT_GO, length);
        data.set(NbdConnection.U32, 16, name.length);
        MemorySegment.copy(name, 0, data, ValueLayout.JAVA_BYTE, 20, name.length);
        data.set(NbdConnection.U16, 20L + name.length, (short) 1);
        data.set(NbdConnection.U16, 22L + name.length, (short) NbdProtocol.INFO_BLOCK_SIZE);
        send(16 + length);
        for (int i = 0; i < MAX_REPLIES; i++) {
            receive(20);
            if (data.get(NbdConnection.U64, 0) != NbdProtocol.OPTION_REPLY_MAGIC
                    || data.get(NbdConnection.U32, 8) != NbdProtocol.OPT_GO) {
                throw new NbdRefusal("the server's answer to option GO is none");
            }
            int type = data.get(NbdConnection.U32, 12);
            int bytes = data.get(NbdConnection.U32, 16);
            if (bytes < 0 || bytes > MAX_DATA_BYTES) {
                throw new NbdRefusal(
                        "the server's answer to option GO has "
                                + Integer.toUnsignedString(bytes)
                                + " bytes, at most "
                                + MAX_DATA_BYTES
                                + " are taken");
            }
            receive(bytes);
            if (type == NbdProtocol.REP_ERR_UNSUP) {
                return false;
            }
            if (type < 0) {
                throw refusal(type, bytes, export);
            }
            if (type == NbdProtocol.REP_ACK) {
                if (!hasExport) {
                    throw new NbdRefusal("the server agrees and does not say how large it is");
                }
                return true;
            }
            if (type == NbdProtocol.REP_INFO) {
                info(bytes);
            } else {
                throw new NbdRefusal("the server answers option GO with type " + type);
            }
        }
        throw new NbdRefusal("the server answers option GO without end");
    }

    private void info(int bytes) throws NbdRefusal {
        int kind = bytes < 2 ? -1 : Short.toUnsignedInt(data.get(NbdConnection.U16, 0));
        if (kind == NbdProtocol.INFO_EXPORT && bytes == 12) {
            size = data.get(NbdConnection.U64, 2);
            flags = Short.toUnsignedInt(data.get(NbdConnection.U16, 10));
            hasExport = true;
        } else if (kind == NbdProtocol.INFO_BLOCK_SIZE && bytes == 14) {
            blockSizes =
                    new int[] {
                        data.get(NbdConnection.U32, 2),
                        data.get(NbdConnection.U32, 6),
                        data.get(NbdConnection.U32, 10)
                    };
        } else if (kind < 0
                || kind == NbdProtocol.INFO_EXPORT
                || kind == NbdProtocol.INFO_BLOCK_SIZE) {
            throw new NbdRefusal("the server sent information of " + bytes + " bytes");
        }
    }

    /// What an error of the server means. A server that is ending comes back, perhaps.
    private IOException refusal(int type, int bytes, String export) {
        int length = Math.min(bytes, MAX_MESSAGE_CHARS);
        byte[] message = data.asSlice(0, length).toArray(ValueLayout.JAVA_BYTE);
        String said = DiskException.printable(new String(message, StandardCharsets.UTF_8));
        String words = said.isEmpty() ? "" : " (\"" + said + "\")";
        String quoted = "export \"" + DiskException.printable(export) + "\"";
        return switch (type - NbdProtocol.REP_ERR) {
            case 2 -> new NbdRefusal("the server's rules forbid " + quoted + words);
            case 5 -> new NbdRefusal("the server wants TLS, which is not supported" + words);
            case 6 -> new NbdRefusal("the server has no " + quoted + words);
            case 7 -> new IOException("the server is shutting down" + words);
            case 8 -> new NbdRefusal("the server wants other block sizes" + words);
            default ->
                    new NbdRefusal(
                            "the server refuses "
                                    + quoted
                                    + " with error "
                                    + (type - NbdProtocol.REP_ERR)
                                    + words);
        };
    }

    private void exportName(byte[] name, String export, boolean noZeroes) throws IOException {
        option(NbdProtocol.OPT_EXPORT_NAME, name.length);
        MemorySegment.copy(name, 0, data, ValueLayout.JAVA_BYTE, 16, name.length);
        send(16 + name.length);
        try {
            receive(10);
        } catch (EOFException e) { // there is no other way to say so
            throw new EOFException(
                    "the server closed the connection when it was asked for export \""
                            + DiskException.printable(export)
                            + "\"");
        }
        size = data.get(NbdConnection.U64, 0);
        flags = Short.toUnsignedInt(data.get(NbdConnection.U16, 8));
        if (!noZeroes) {
            receive(ZEROES);
        }
    }

    private void option(int option, int length) {
        data.set(NbdConnection.U64, 0, NbdProtocol.IHAVEOPT);
        data.set(NbdConnection.U32, 8, option);
        data.set(NbdConnection.U32, 12, length);
    }

    private void send(int bytes) throws IOException {
        vector.clear();
        vector.add(data, 0, bytes);
        connection.sendAll(vector, patience);
    }

    private void receive(int bytes) throws IOException {
        vector.clear();
        vector.add(data, 0, bytes);
        connection.receiveAll(vector, patience);
    }
}
