package org.splitring.benchmarks;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.splitring.xenbus.device.DeviceNotes;
import org.splitring.xenbus.device.NoteFolder;

/// Where the backends of a worker note what they have begun: in files on tmpfs, which go with the
/// worker, or in memory that nobody would find.
record WorkerNotes(DeviceNotes notes, Cleaning cleaning) implements AutoCloseable {
    private static final Path TMPFS = Path.of("/dev/shm");

    @FunctionalInterface
    interface Cleaning {
        void run() throws IOException;
    }

    static WorkerNotes none() {
        return new WorkerNotes(DeviceNotes.NONE, () -> {});
    }

    static WorkerNotes kept() throws IOException {
        Path folder = Files.createTempDirectory(TMPFS, "splitring-bench");
        NoteFolder notes = NoteFolder.open(folder);
        return new WorkerNotes(
                notes,
                () -> {
                    notes.close();
                    Bed.delete(folder);
                });
    }

    @Override
    public void close() throws IOException {
        cleaning.run();
    }
}
