package org.splitring.blkback;

import java.io.IOException;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.linux.VectoredFile;

/// A store that can be let go of while nobody uses it, and be replaced by another: the image of a
/// disk that is paused. In between every transfer fails.
///
/// Any thread; [#release] and [#use] while nothing is under way.
final class SwitchedStore implements BlockStore {
    private volatile BlockStore now;

    SwitchedStore(BlockStore first) {
        now = first;
    }

    /// Closes the store; what was not made stable is lost.
    void release() {
        BlockStore before = now;
        now = new Released(before);
        before.close();
    }

    boolean isReleased() {
        return now instanceof Released;
    }

    /// Goes on with another store.
    void use(BlockStore next) {
        now = next;
    }

    @Override
    public String name() {
        return now.name();
    }

    @Override
    public long sizeBytes() {
        return now.sizeBytes();
    }

    @Override
    public boolean readOnly() {
        return now.readOnly();
    }

    @Override
    public long read(IoVector into, long offsetBytes) throws IOException {
        return now.read(into, offsetBytes);
    }

    @Override
    public long readNoWait(IoVector into, long offsetBytes) throws IOException {
        return now.readNoWait(into, offsetBytes);
    }

    @Override
    public void write(IoVector from, long offsetBytes) throws IOException {
        now.write(from, offsetBytes);
    }

    @Override
    public long writeNoWait(IoVector from, long offsetBytes) throws IOException {
        return now.writeNoWait(from, offsetBytes);
    }

    @Override
    public @Nullable VectoredFile plainFile(boolean write) {
        return now.plainFile(write);
    }

    @Override
    public boolean writesAlone() {
        return now.writesAlone();
    }

    @Override
    public void sync() throws IOException {
        now.sync();
    }

    @Override
    public int discardGranularityBytes() {
        return now.discardGranularityBytes();
    }

    @Override
    public boolean discardZeroes() {
        return now.discardZeroes();
    }

    @Override
    public void discard(long offsetBytes, long sizeBytes) throws IOException {
        now.discard(offsetBytes, sizeBytes);
    }

    @Override
    public void describe(long offsetBytes, long sizeBytes, AllocationMap into) throws IOException {
        now.describe(offsetBytes, sizeBytes, into);
    }

    @Override
    public void resize(long newSizeBytes) throws IOException {
        now.resize(newSizeBytes);
    }

    @Override
    public void close() {
        now.close();
    }

    /// What is known of a store that is closed.
    private record Released(
            String name,
            long sizeBytes,
            boolean readOnly,
            int discardGranularityBytes,
            boolean discardZeroes)
            implements BlockStore {
        Released(BlockStore before) {
            this(
                    before.name(),
                    before.sizeBytes(),
                    before.readOnly(),
                    before.discardGranularityBytes(),
                    before.discardZeroes());
        }

        private IOException refusal() {
            return new IOException(name + " is paused");
        }

        @Override
        public long read(IoVector into, long offsetBytes) throws IOException {
            throw refusal();
        }

        @Override
        public long readNoWait(IoVector into, long offsetBytes) throws IOException {
            throw refusal();
        }

        @Override
        public void write(IoVector from, long offsetBytes) throws IOException {
            throw refusal();
        }

        @Override
        public long writeNoWait(IoVector from, long offsetBytes) throws IOException {
            throw refusal();
        }

        @Override
        public void sync() {
            // everything was made stable before
        }

        @Override
        public void discard(long offsetBytes, long sizeBytes) throws IOException {
            throw refusal();
        }

        @Override
        public void describe(long offsetBytes, long sizeBytes, AllocationMap into)
                throws IOException {
            throw refusal();
        }

        @Override
        public void resize(long newSizeBytes) throws IOException {
            throw refusal();
        }

        @Override
        public void close() {
            // it is
        }
    }
}
