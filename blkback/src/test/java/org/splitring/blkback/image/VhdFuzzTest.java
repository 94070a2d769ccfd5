package org.splitring.blkback.image;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.code_intelligence.jazzer.junit.FuzzTest;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Optional;
import java.util.UUID;
import org.splitring.testkit.FuzzBytes;

/// VHDs that were changed anywhere, with more thought in footer, header and table, and mostly with
/// checksums that are right: see [FuzzedDisk].
class VhdFuzzTest {
    private static final int BLOCK = 4096;
    private static final int BLOCKS = 16;
    private static final int SIZE = BLOCK * BLOCKS;
    private static final int HEADER_AT = 512;
    private static final int TABLE_AT = HEADER_AT + 1024;
    private static final int DATA_AT = TABLE_AT + 512;
    private static final int MOST_BYTES = 64 << 20;

    private static final byte[] CONTENTS = new byte[SIZE];
    private static final byte[] DYNAMIC = dynamic();
    private static final byte[] FIXED = fixed();

    @FuzzTest
    void anImageIsServedOrRefusedByName(byte[] data) throws IOException {
        FuzzBytes in = new FuzzBytes(data);
        int kind = in.u8();
        boolean isDynamic = kind % 3 != 0;
        byte[] sample = isDynamic ? DYNAMIC : FIXED;
        long length = (kind & 0x40) == 0 ? 0 : 1L << 30;
        int cut = (kind & 0x20) == 0 ? 0 : in.u16();
        int footer = sample.length - 512;
        int[] hotspots = {
            16,
            18,
            20,
            28,
            40,
            48,
            50,
            54,
            56,
            58,
            60,
            62,
            84,
            HEADER_AT,
            HEADER_AT + 16,
            HEADER_AT + 20,
            HEADER_AT + 24,
            HEADER_AT + 28,
            HEADER_AT + 32,
            HEADER_AT + 34,
            TABLE_AT,
            TABLE_AT + 2,
            TABLE_AT + 4,
            TABLE_AT + 8,
            TABLE_AT + 12,
            TABLE_AT + 60,
            footer,
            footer + 12,
            footer + 16,
            footer + 22,
            footer + 28,
            footer + 48,
            footer + 54,
            footer + 56,
            footer + 60,
            footer + 63,
            DATA_AT,
            DATA_AT + 8
        };
        byte[] image = FuzzedDisk.patched(sample, in, hotspots);
        boolean sound = length == 0 && Arrays.equals(image, sample);
        if (!sound && (kind & 0x10) == 0) {
            sign(image, footer, 512, 64);
            if (isDynamic) {
                sign(image, 0, 512, 64);
                sign(image, HEADER_AT, 1024, 36);
            }
        }
        if (cut > 0) {
            image = Arrays.copyOf(image, Math.max(0, image.length - cut));
            sound = false;
        }
        SparseFile file = new SparseFile(image, length, MOST_BYTES);
        new FuzzedDisk(in, file, BLOCK)
                .run(
                        opened -> {
                            VhdStore store = VhdStore.open(opened);
                            assertTrue(store.details().length() > 4);
                            assertTrue(store.report().damageCount() == 0);
                            return store;
                        },
                        sound ? Optional.of(CONTENTS.clone()) : Optional.empty());
    }

    private static void sign(byte[] image, int at, int length, int checksumAt) {
        byte[] part = Arrays.copyOfRange(image, at, at + length);
        ByteBuffer.wrap(image).putInt(at + checksumAt, VhdFooter.checksum(part, checksumAt));
    }

    /// Small blocks, every second one there, and in each every second sector in its bitmap.
    private static byte[] dynamic() {
        byte[] footer = VhdFooter.make(SIZE, VhdFooter.DYNAMIC, new UUID(1, 2), 3);
        VhdHeader header = new VhdHeader(TABLE_AT, BLOCKS, BLOCK);
        int place = header.bitmapBytes() + BLOCK;
        ByteBuffer image = ByteBuffer.allocate(DATA_AT + BLOCKS / 2 * place + 512);
        image.put(0, footer).put(HEADER_AT, header.make()).put(image.capacity() - 512, footer);
        for (int i = 0; i < 128; i++) {
            image.putInt(TABLE_AT + 4 * i, VhdHeader.NOWHERE);
        }
        for (int i = 0; i < BLOCKS; i += 2) {
            int at = DATA_AT + i / 2 * place;
            image.putInt(TABLE_AT + 4 * i, at / 512);
            image.put(at, (byte) 0xAA);
            for (int sector = 0; sector < BLOCK / 512; sector += 2) {
                byte[] bytes = new byte[512];
                Arrays.fill(bytes, (byte) (i * 8 + sector + 1));
                image.put(at + header.bitmapBytes() + sector * 512, bytes);
                System.arraycopy(bytes, 0, CONTENTS, i * BLOCK + sector * 512, 512);
            }
        }
        return image.array();
    }

    private static byte[] fixed() {
        byte[] image = Arrays.copyOf(CONTENTS, SIZE + 512);
        byte[] footer = VhdFooter.make(SIZE, VhdFooter.FIXED, new UUID(1, 2), 3);
        System.arraycopy(footer, 0, image, SIZE, 512);
        return image;
    }
}
