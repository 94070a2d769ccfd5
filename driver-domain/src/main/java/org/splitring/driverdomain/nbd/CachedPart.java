package org.splitring.driverdomain.nbd;

import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.FileRegion;
import io.netty.util.AbstractReferenceCounted;
import java.io.IOException;
import java.nio.channels.WritableByteChannel;
import org.splitring.hypervisor.linux.CachedFile;

/// The data of one READ on its way from the page cache to the socket. Reused: as long as the socket
/// has it, it has one reference.
final class CachedPart extends AbstractReferenceCounted
        implements FileRegion, ChannelFutureListener {
    private final NbdTransmission transmission;
    private final CachedFile file;
    private final int socket;
    private long offset;
    private long sizeBytes;
    private long sentBytes;

    /// @param socket the client's
    CachedPart(NbdTransmission transmission, CachedFile file, int socket) {
        this.transmission = transmission;
        this.file = file;
        this.socket = socket;
    }

    /// Makes it a part of the disk, to be sent once.
    CachedPart of(long newOffset, long newSizeBytes) {
        setRefCnt(1);
        offset = newOffset;
        sizeBytes = newSizeBytes;
        sentBytes = 0;
        return this;
    }

    @Override
    public long position() {
        return offset;
    }

    @Override
    public long transferred() {
        return sentBytes;
    }

    @Override
    @Deprecated
    @SuppressWarnings("InlineMeSuggester") // as Netty's interface has it
    public long transfered() {
        return sentBytes;
    }

    @Override
    public long count() {
        return sizeBytes;
    }

    /// @param target not used: the socket's descriptor is known
    @Override
    public long transferTo(WritableByteChannel target, long position) throws IOException {
        long sent = file.send(socket, offset + position, sizeBytes - position);
        sentBytes += sent;
        return sent;
    }

    @Override
    public FileRegion retain() {
        super.retain();
        return this;
    }

    @Override
    public FileRegion retain(int increment) {
        super.retain(increment);
        return this;
    }

    @Override
    public FileRegion touch() {
        return this;
    }

    @Override
    public FileRegion touch(Object hint) {
        return this;
    }

    @Override
    protected void deallocate() {
        // The file is the disk's, and this is used again.
    }

    @Override
    public void operationComplete(ChannelFuture future) {
        transmission.partSent(this);
    }
}
