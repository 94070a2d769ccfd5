package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// What the words of a note cost for each request, in processor time of this thread: all that the
/// queue stores there, in its order, and nothing else. The copy of the slot is not counted, which
/// is made without a note too. Run by name only.
@Timeout(120)
class NoteBenchmark {
    private static final int ENTRIES = 32;
    private static final int REQUESTS = 4_000_000;
    private static final int ROUNDS = 21;

    private int index;

    @Test
    void wordsOfARequest() throws Exception {
        QueueNote inMemory = note(Arena.global().allocate(QueueNote.sizeBytes(ENTRIES), 64));
        QueueNote inFile = note(file(QueueNote.sizeBytes(ENTRIES)));
        for (int batch : new int[] {1, 16}) {
            double[] memory = new double[ROUNDS];
            double[] file = new double[ROUNDS];
            for (int round = -3; round < ROUNDS; round++) { // compiled by then
                memory[Math.max(0, round)] = nanos(inMemory, batch);
                file[Math.max(0, round)] = nanos(inFile, batch);
            }
            print("memory", batch, memory);
            print("a file on tmpfs", batch, file);
            assertTrue(memory[ROUNDS / 2] < 1000 && file[ROUNDS / 2] < 1000);
        }
        assertEquals(0, inFile.settle());
        assertEquals(index, inFile.rspProd());
    }

    private static QueueNote note(MemorySegment memory) {
        return new QueueNote(memory, ENTRIES);
    }

    private static MemorySegment file(long sizeBytes) throws IOException {
        Path path = Files.createTempFile(Path.of("/dev/shm"), "splitring", ".note");
        try (FileChannel channel =
                FileChannel.open(path, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            var ignored = channel.write(ByteBuffer.allocate((int) sizeBytes));
            return channel.map(FileChannel.MapMode.READ_WRITE, 0, sizeBytes, Arena.global());
        } finally {
            Files.delete(path);
        }
    }

    private double nanos(QueueNote note, int batch) {
        var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        long begin = threads.getCurrentThreadCpuTime();
        for (int done = 0; done < REQUESTS; done += batch) {
            for (int i = 0; i < batch; i++) {
                note.taken(index + i & ENTRIES - 1, index + i);
            }
            for (int i = 0; i < batch; i++) {
                note.answered(index + i & ENTRIES - 1, index + i);
            }
            note.publishing(index + batch);
            for (int i = 0; i < batch; i++) {
                note.free(index + i & ENTRIES - 1);
            }
            index += batch;
        }
        return (threads.getCurrentThreadCpuTime() - begin) / (double) REQUESTS;
    }

    private static void print(String where, int batch, double[] nanos) {
        Arrays.sort(nanos);
        System.out.printf(
                "note in %s, batches of %d: %.2f ns for a request (%.2f-%.2f)%n",
                where, batch, nanos[ROUNDS / 2], nanos[0], nanos[ROUNDS - 1]);
    }
}
