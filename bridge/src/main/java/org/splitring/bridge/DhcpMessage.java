package org.splitring.bridge;

import java.nio.ByteBuffer;
import java.util.Arrays;

/// A DHCP request, read from the bytes that a guest sent (RFC 2131 §2, RFC 2132). Whatever they
/// are, reading ends and nothing outside them is read.
///
///     0  op, htype, hlen, hops     12 ciaddr    28 chaddr, 16 bytes
///     4  xid                       16 yiaddr    44 sname 64, file 128
///     8  secs, flags               20 siaddr   236 magic cookie
///                                  24 giaddr   240 options
final class DhcpMessage {
    static final int DISCOVER = 1;
    static final int OFFER = 2;
    static final int REQUEST = 3;
    static final int DECLINE = 4;
    static final int ACK = 5;
    static final int NAK = 6;
    static final int RELEASE = 7;
    static final int INFORM = 8;

    static final int COOKIE = 0x6382_5363;
    static final int OPTIONS_AT = 240;

    /// Most of a request that is read.
    static final int MAX_BYTES = 1500;

    private static final int REQUESTED_ADDRESS = 50;
    private static final int MESSAGE_TYPE = 53;
    private static final int SERVER = 54;
    private static final int CLIENT = 61;

    /// 0 when it is no DHCP request that makes sense.
    final int type;

    final int xid;
    final boolean broadcast;
    final int clientAddress;
    final int relayAddress;
    final long mac;

    /// Option 50, 0 when there is none.
    final int requestedAddress;

    /// Option 54, 0 when there is none.
    final int server;

    /// Option 61 as it came, to be sent back (RFC 6842); empty when there is none.
    final byte[] clientId;

    DhcpMessage(byte[] bytes) {
        ByteBuffer b = ByteBuffer.wrap(bytes);
        boolean good =
                bytes.length >= OPTIONS_AT
                        && b.getInt(0) >>> 8 == 0x01_0106
                        && b.getInt(236) == COOKIE;
        xid = good ? b.getInt(4) : 0;
        broadcast = good && b.getShort(10) < 0;
        clientAddress = good ? b.getInt(12) : 0;
        relayAddress = good ? b.getInt(24) : 0;
        mac = good ? b.getLong(26) & 0xFFFF_FFFF_FFFFL : 0;
        int foundType = 0;
        int foundAddress = 0;
        int foundServer = 0;
        byte[] foundClient = {};
        int at = OPTIONS_AT;
        while (good && at < bytes.length && (bytes[at] & 0xFF) != 255) {
            int code = bytes[at] & 0xFF;
            if (code == 0) {
                at++;
                continue;
            }
            int length = at + 1 < bytes.length ? bytes[at + 1] & 0xFF : bytes.length;
            if (at + 2 + length > bytes.length) {
                good = false;
                break;
            }
            if (code == MESSAGE_TYPE && length == 1) {
                foundType = bytes[at + 2];
            } else if (code == REQUESTED_ADDRESS && length == 4) {
                foundAddress = b.getInt(at + 2);
            } else if (code == SERVER && length == 4) {
                foundServer = b.getInt(at + 2);
            } else if (code == CLIENT) {
                foundClient = Arrays.copyOfRange(bytes, at + 2, at + 2 + length);
            }
            at += 2 + length;
        }
        type = good ? foundType : 0;
        requestedAddress = foundAddress;
        server = foundServer;
        clientId = foundClient;
    }
}
