package org.splitring.testkit;

import java.lang.foreign.MemorySegment;
import java.util.zip.CRC32C;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.hypervisor.linux.Mapping;
import org.splitring.hypervisor.linux.Memfd;
import org.splitring.ring.BackRing;

/// A backend's process that polls a ring in a memfd and takes checksums of what lies there, until
/// its owner shrinks it: with the argument `sealed` it is sealed first, with `unsealed` it is not.
/// (Which access kills a JVM depends on how it was compiled: some end in an `InternalError`, others
/// in the middle of machine code that no handler knows. A checksum is one of the latter.)
final class TruncatedMemoryMain {
    private static final int WARM_UP = 20_000;

    private TruncatedMemoryMain() {}

    public static void main(String[] args) throws LinuxException {
        int fd = Memfd.create("ring", 4096);
        if (args[0].equals("sealed")) {
            Memfd.addSeals(fd, Memfd.F_SEAL_SHRINK | Memfd.F_SEAL_GROW | Memfd.F_SEAL_SEAL);
        }
        Mapping mapping = Mapping.of(fd, 4096);
        MemorySegment memory = mapping.segment();
        BackRing ring = BackRing.attach(memory, 112, 0);
        long sum = 0;
        for (int i = 0; i < WARM_UP; i++) {
            sum += poll(ring, memory);
        }
        try {
            Memfd.resize(fd, 0);
            System.out.println("shrunk");
        } catch (LinuxException e) {
            System.out.println("refused");
        }
        for (int i = 0; i < WARM_UP; i++) {
            try {
                sum += poll(ring, memory);
            } catch (InternalError e) {
                // The JVM's own answer where it has one; a backend that trusted in it goes on.
                sum++;
            }
        }
        System.out.println("alive " + sum);
    }

    private static long poll(BackRing ring, MemorySegment memory) {
        CRC32C checksum = new CRC32C();
        checksum.update(memory.asByteBuffer());
        return ring.unconsumedRequests() + checksum.getValue();
    }
}
