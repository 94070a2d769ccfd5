package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.splitring.blkfront.VbdFrontendOptions;
import org.splitring.xenbus.FrontendOptions;

/// A frontend in a domain that cannot take grants back works on backends that keep pages mapped,
/// and on those that do not.
@Timeout(60)
class LastingGrantsTest {
    private static final int DISK = 4 << 20;

    private final VbdLab lab = new VbdLab();
    private final LastingGuest guest = LastingGuest.of(lab.guest);

    @AfterEach
    void close() {
        lab.close();
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void whatIsWrittenIsRead(boolean persistent) throws Exception {
        MemoryStore store = new MemoryStore(DISK);
        DiskImage image = DiskImage.of(store, DiskMode.WRITEBACK, Runnable::run);
        VbdFeatures features = persistent ? VbdFeatures.ALL : VbdFeatures.NONE;
        byte[] data = new byte[1 << 20];
        new Random(1).nextBytes(data);
        byte[] read = new byte[data.length];
        try (ServedVbd _ = lab.backend(image, ServedVbd.LIFECYCLE, features);
                ConnectedVbd front =
                        ConnectedVbd.connect(
                                guest,
                                lab.guestStore,
                                VbdLab.XVDA,
                                lab.frontLoop,
                                VbdFrontendOptions.DEFAULT.withBufferBytes(2 << 20),
                                FrontendOptions.DEFAULT)) {
            for (int round = 0; round < 3; round++) {
                assertEquals(0, VbdLab.write(front, round * 4096L, data));
                assertEquals(0, VbdLab.read(front, round * 4096L, read));
                assertArrayEquals(data, read);
            }
        }
    }
}
