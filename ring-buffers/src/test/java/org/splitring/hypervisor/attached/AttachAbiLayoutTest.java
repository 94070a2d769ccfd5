package org.splitring.hypervisor.attached;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.hypervisor.linux.Fd;

/// The attach messages against `docs/abi.md`: offsets as literals, and the exchange in hex that the
/// document shows.
class AttachAbiLayoutTest {
    /// A line of the exchange: mark, then up to sixteen bytes in columns 6 to 55, then words.
    private static final Pattern LINE = Pattern.compile("^    ([><]?) +((?:[0-9a-f]{2} *){1,16})");
    private static final int WORDS_AT = 56;

    /// Descriptors with each reply.
    private static final int[] DESCRIPTORS = {1, 2, 0, 2, 0, 0, 0};

    @TempDir Path folder;

    private record Message(boolean sent, String hex) {}

    @Test
    void offsetsAreThoseOfTheDocument() {
        assertEquals(0, AttachMessage.TYPE_AT);
        assertEquals(4, AttachMessage.SEQ_AT);
        assertEquals(8, AttachMessage.STATUS_AT);
        assertEquals(12, AttachMessage.LENGTH_AT);
        assertEquals(16, AttachMessage.HEADER_BYTES);
        assertEquals(16, AttachMessage.MAGIC_AT);
        assertEquals(20, AttachMessage.VERSION_AT);
        assertEquals(24, AttachMessage.MEMORY_BYTES_AT);
        assertEquals(32, AttachMessage.TABLE_GFN_AT);
        assertEquals(36, AttachMessage.TABLE_FRAMES_AT);
        assertEquals(40, AttachMessage.XENSTORE_GFN_AT);
        assertEquals(44, AttachMessage.FLAGS_AT);
        assertEquals(48, AttachMessage.HELLO_REQUEST.byteSize());
        assertEquals(16, AttachMessage.REPLY_VERSION_AT);
        assertEquals(20, AttachMessage.REPLY_DOMID_AT);
        assertEquals(24, AttachMessage.REPLY_BACKEND_AT);
        assertEquals(28, AttachMessage.REPLY_MAX_PORTS_AT);
        assertEquals(32, AttachMessage.HELLO_REPLY.byteSize());
        assertEquals(16, AttachMessage.WORD0_AT);
        assertEquals(20, AttachMessage.WORD1_AT);
        assertEquals(24, AttachMessage.WORD2_AT);
    }

    @Test
    void exchangeInTheDocumentIsWhatReallyHappens() throws Exception {
        List<Message> messages = exchange();
        assertEquals(14, messages.size());
        try (AttachBed bed = new AttachBed(folder)) {
            bed.listen(7);
            try (RawGuest guest = new RawGuest(bed.path(7))) {
                for (int i = 0; i < messages.size(); i++) {
                    byte[] bytes = HexFormat.of().parseHex(messages.get(i).hex());
                    if (messages.get(i).sent()) {
                        for (int at = 0; at < bytes.length; at += 4) {
                            guest.u32(
                                    at,
                                    ByteBuffer.wrap(bytes)
                                            .order(ByteOrder.LITTLE_ENDIAN)
                                            .getInt(at));
                        }
                        if (i == 0) {
                            int fd = RawGuest.memory(1 << 20);
                            guest.send(bytes.length, fd);
                            Fd.close(fd);
                        } else {
                            guest.send(bytes.length);
                        }
                    } else {
                        assertTrue(guest.receive());
                        byte[] got =
                                guest.packet
                                        .data()
                                        .asSlice(0, guest.packet.sizeBytes())
                                        .toArray(ValueLayout.JAVA_BYTE);
                        assertArrayEquals(bytes, got, "message " + i);
                        assertEquals(DESCRIPTORS[i / 2], guest.packet.descriptorCount());
                        guest.packet.closeDescriptors();
                    }
                }
            }
        }
    }

    /// The hex lines of the document's last section.
    private static List<Message> exchange() throws IOException {
        List<Message> messages = new ArrayList<>();
        StringBuilder bytes = new StringBuilder();
        boolean inside = false;
        boolean sent = false;
        for (String line : Files.readAllLines(Path.of("../docs/abi.md"))) {
            inside |= line.startsWith("## 5. An exchange in hex");
            Matcher hex = LINE.matcher(line.substring(0, Math.min(line.length(), WORDS_AT)));
            if (!inside || !hex.find()) {
                continue;
            }
            String mark = hex.group(1);
            if (!mark.isEmpty()) {
                if (!bytes.isEmpty()) {
                    messages.add(new Message(sent, bytes.toString()));
                    bytes.setLength(0);
                }
                sent = mark.equals(">");
            }
            bytes.append(hex.group(2).replace(" ", ""));
        }
        messages.add(new Message(sent, bytes.toString()));
        return messages;
    }
}
