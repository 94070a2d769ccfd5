package org.splitring.blkback;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.BeforeAll;
import org.splitring.blkfront.VbdFrontend;
import org.splitring.blkfront.VbdFrontendDriver;
import org.splitring.testkit.contract.DeviceContract;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;
import org.splitring.xenbus.device.BackendDriver;
import org.splitring.xenbus.device.FrontendDriver;

/// A vbd keeps the contract of devices. A piece of work writes the block that its thread alone has,
/// and reads it back.
public class VbdContractTest extends DeviceContract {
    private static final int BLOCK_BYTES = 16 << 10;
    private static final int BLOCKS = 64;
    private static final BlkifLayout LAYOUT = BlkifLayout.X86_64;

    private final AtomicInteger threads = new AtomicInteger();
    private final ThreadLocal<Integer> block =
            ThreadLocal.withInitial(() -> threads.getAndIncrement() % BLOCKS);
    private final AtomicInteger turn = new AtomicInteger();

    /// Each test waits until no thread is left.
    @BeforeAll
    static void endIdleThreadsSoon() {
        StorageWait.endIdleAfter(50);
    }

    @Override
    protected BackendDriver backendDriver() {
        return new VbdBackendDriver();
    }

    @Override
    protected FrontendDriver frontendDriver() {
        return new VbdFrontendDriver();
    }

    @Override
    protected Map<String, String> backendParameters(int device) throws IOException {
        Path image = files().resolve("disk" + device + ".img");
        if (Files.notExists(image)) {
            Files.write(image, new byte[BLOCKS * BLOCK_BYTES]);
        }
        return Map.of("params", image.toString(), "mode", "w", "dev", "xvda");
    }

    @Override
    protected void work(Instance device) throws IOException {
        VbdFrontend disk = (VbdFrontend) device.hooks();
        long offset = (long) block.get() * BLOCK_BYTES;
        byte[] written = new byte[BLOCK_BYTES];
        Arrays.fill(written, (byte) turn.incrementAndGet());
        byte[] read = new byte[BLOCK_BYTES];
        check("write", VbdLab.write(disk, offset, written));
        check("read", VbdLab.read(disk, offset, read));
        if (!Arrays.equals(written, read)) {
            throw new AssertionError("block at " + offset + " is not as it was written");
        }
    }

    private static void check(String what, int status) throws IOException {
        if (status != 0) {
            throw new IOException(what + " was answered " + status);
        }
    }

    @Override
    protected int entryBytes() {
        return LAYOUT.entrySizeBytes();
    }

    @Override
    protected void writeRequest(MemorySegment slot, int id, int gref) {
        LAYOUT.writeRequest(slot, 0, BlkifOp.READ, 1, 0, id, 8);
        BlkifLayout.writeSegment(slot, LAYOUT.segmentOffset(0, 0), gref, 0, 7);
    }
}
