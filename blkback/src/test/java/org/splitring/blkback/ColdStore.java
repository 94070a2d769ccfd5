package org.splitring.blkback;

import java.io.IOException;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.linux.VectoredFile;

/// A file of which nothing is ever in the page cache, so that every transfer has to wait. What is
/// left to the kernel goes to a file of the test's choice; what a thread does is counted.
class ColdStore implements BlockStore {
    final AtomicInteger byThreads = new AtomicInteger();

    /// Happens when a request is checked and has yet to be done.
    volatile Runnable beforeTransfer = () -> {};

    private final FileStore file;
    private final @Nullable VectoredFile plain;

    /// @param plain where the kernel reads and writes
    ColdStore(FileStore file, @Nullable VectoredFile plain) {
        this.file = file;
        this.plain = plain;
    }

    @Override
    public String name() {
        return file.name();
    }

    @Override
    public long sizeBytes() {
        return file.sizeBytes();
    }

    @Override
    public boolean readOnly() {
        return false;
    }

    @Override
    public long read(IoVector into, long offsetBytes) throws IOException {
        byThreads.incrementAndGet();
        return file.read(into, offsetBytes);
    }

    @Override
    public long readNoWait(IoVector into, long offsetBytes) {
        return WOULD_BLOCK;
    }

    @Override
    public void write(IoVector from, long offsetBytes) throws IOException {
        byThreads.incrementAndGet();
        file.write(from, offsetBytes);
    }

    @Override
    public long writeNoWait(IoVector from, long offsetBytes) {
        return WOULD_BLOCK;
    }

    @Override
    public @Nullable VectoredFile plainFile(boolean write) {
        beforeTransfer.run();
        return plain;
    }

    @Override
    public void sync() throws IOException {
        file.sync();
    }

    @Override
    public void resize(long newSizeBytes) throws IOException {
        file.resize(newSizeBytes);
    }

    @Override
    public void close() {
        file.close();
    }
}
