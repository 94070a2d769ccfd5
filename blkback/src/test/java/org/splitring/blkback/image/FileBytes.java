package org.splitring.blkback.image;

import java.io.IOException;
import org.splitring.blkback.BlockStore;
import org.splitring.hypervisor.linux.IoVector;

/// The bytes of a file as a disk.
final class FileBytes implements BlockStore {
    private final ImageFile file;
    private final long sizeBytes;

    FileBytes(ImageFile file) throws IOException {
        this.file = file;
        this.sizeBytes = file.sizeBytes();
    }

    @Override
    public String name() {
        return file.name();
    }

    @Override
    public long sizeBytes() {
        return sizeBytes;
    }

    @Override
    public boolean readOnly() {
        return file.readOnly();
    }

    @Override
    public long read(IoVector into, long offsetBytes) throws IOException {
        return file.read(into, offsetBytes);
    }

    @Override
    public long readNoWait(IoVector into, long offsetBytes) throws IOException {
        return file.readNoWait(into, offsetBytes);
    }

    @Override
    public void write(IoVector from, long offsetBytes) throws IOException {
        file.write(from, offsetBytes);
    }

    @Override
    public long writeNoWait(IoVector from, long offsetBytes) throws IOException {
        return file.writeNoWait(from, offsetBytes);
    }

    @Override
    public void sync() throws IOException {
        file.sync();
    }

    @Override
    public void close() {
        file.close();
    }
}
