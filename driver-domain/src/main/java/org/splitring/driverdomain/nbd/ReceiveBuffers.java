package org.splitring.driverdomain.nbd;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.netty.channel.AdaptiveRecvByteBufAllocator;
import io.netty.channel.RecvByteBufAllocator;
import io.netty.util.UncheckedBooleanSupplier;
import org.jspecify.annotations.Nullable;

/// Where one client's socket reads into: guest pages while a large payload comes in, so that the
/// kernel's copy is the only one; ordinary buffers otherwise.
@SuppressWarnings("deprecation") // Netty means the name Handle to move, not what is done here
final class ReceiveBuffers implements RecvByteBufAllocator {
    /// So often a client's payload is read on before others of the loop have their turn.
    private static final int MOST_READS = 16;

    private final RecvByteBufAllocator ordinary =
            new AdaptiveRecvByteBufAllocator(512, 4096, 64 << 10);

    /// Set when the client enters the transmission phase.
    @Nullable NbdTransmission transmission;

    @Override
    public Handle newHandle() {
        return new PageHandle(ordinary.newHandle());
    }

    private final class PageHandle extends DelegatingHandle implements ExtendedHandle {
        private int readsInARow;

        PageHandle(Handle ordinary) {
            super(ordinary);
        }

        @Override
        public void readComplete() {
            readsInARow = 0;
            super.readComplete();
        }

        @Override
        public ByteBuf allocate(ByteBufAllocator allocator) {
            NbdTransmission client = transmission;
            if (client == null) {
                return super.allocate(allocator);
            }
            ByteBuf pages = client.directTarget();
            if (pages != null) {
                return pages;
            }
            int header = client.headerTarget();
            return header > 0 ? allocator.ioBuffer(header, header) : super.allocate(allocator);
        }

        @Override
        public boolean continueReading(UncheckedBooleanSupplier maybeMoreData) {
            NbdTransmission client = transmission;
            if (client != null && client.awaitsPayload() && ++readsInARow < MOST_READS) {
                return true;
            }
            return ((ExtendedHandle) delegate()).continueReading(maybeMoreData);
        }
    }
}
