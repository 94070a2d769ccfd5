package org.example.vrng;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.splitring.xenbus.FrontendHooks;
import org.splitring.xenbus.device.DeviceException;
import org.splitring.xenbus.device.FrontendContext;
import org.splitring.xenbus.device.RingAnswers;
import org.splitring.xenbus.device.RingFrontend;

/// One entropy source of a guest: asks for a page at a time, whenever a user wants to read.
final class VrngFrontend implements RingAnswers<VrngFrontend.Fill> {
    private static final int PAGES = 8;

    private final FrontendContext context;
    private final RingFrontend<Fill> ring;
    private final BlockingQueue<Integer> freePages = new ArrayBlockingQueue<>(PAGES);

    /// A page that is to be filled.
    record Fill(int page, CompletableFuture<byte[]> bytes) {}

    VrngFrontend(FrontendContext context) throws DeviceException {
        this.context = context;
        ring = new RingFrontend<>(context, VrngProtocol.RING, this, PAGES, PAGES);
        for (int page = 0; page < PAGES; page++) {
            freePages.add(page);
        }
        context.expose(context.socket(".sock"), this::serve);
    }

    FrontendHooks hooks() {
        return ring;
    }

    private void serve(InputStream in, OutputStream out) throws IOException, InterruptedException {
        while (true) {
            out.write(read());
        }
    }

    /// Waits for a page full of random bytes. Any thread but the loop.
    byte[] read() throws IOException, InterruptedException {
        Integer page = freePages.take();
        try {
            CompletableFuture<byte[]> bytes = new CompletableFuture<>();
            context.loop().execute(() -> ring.submit(new Fill(page, bytes)));
            return bytes.get();
        } catch (ExecutionException e) {
            throw new IOException(e.getCause());
        } finally {
            freePages.add(page);
        }
    }

    @Override
    public void write(Fill request, int id, MemorySegment slot) {
        VrngProtocol.REQUEST_ID.set(slot, id);
        VrngProtocol.REQUEST_GREF.set(slot, ring.gref(request.page()));
        VrngProtocol.REQUEST_SIZE.set(slot, VrngProtocol.MAX_BYTES);
    }

    @Override
    public long id(MemorySegment response) {
        return Integer.toUnsignedLong((int) VrngProtocol.RESPONSE_ID.get(response));
    }

    @Override
    public void answered(Fill request, MemorySegment response) {
        if ((int) VrngProtocol.RESPONSE_STATUS.get(response) != VrngProtocol.MAX_BYTES) {
            failed(request, "the backend refused");
            return;
        }
        request.bytes().complete(ring.page(request.page()).toArray(ValueLayout.JAVA_BYTE));
    }

    @Override
    public void failed(Fill request, String reason) {
        request.bytes().completeExceptionally(new IOException(reason));
    }
}
