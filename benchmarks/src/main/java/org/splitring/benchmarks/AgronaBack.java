package org.splitring.benchmarks;

import org.agrona.MutableDirectBuffer;
import org.agrona.concurrent.MessageHandler;
import org.agrona.concurrent.UnsafeBuffer;
import org.agrona.concurrent.ringbuffer.OneToOneRingBuffer;

/// The answering end on a pair of Agrona rings.
final class AgronaBack extends EndSpacing implements RingBack {
    private final OneToOneRingBuffer requests;
    private final OneToOneRingBuffer responses;
    private final AgronaWork work;
    private final UnsafeBuffer request;
    private final MessageHandler onRequest = this::onRequest;

    AgronaBack(AgronaRings rings) {
        this.requests = rings.requests();
        this.responses = rings.responses();
        this.work = rings.work();
        this.request = new UnsafeBuffer(new byte[work.entrySizeBytes()]);
    }

    @Override
    public int serve(int limit) {
        return requests.read(onRequest, limit);
    }

    private void onRequest(int type, MutableDirectBuffer buffer, int index, int sizeBytes) {
        request.putBytes(0, buffer, index, sizeBytes);
        int answer = responses.tryClaim(1, work.responseSizeBytes());
        if (answer < 0) {
            throw new IllegalStateException("the ring of responses is full");
        }
        work.answer(request, responses.buffer(), answer);
        responses.commit(answer);
    }

    @Override
    public boolean finalCheck() {
        throw new UnsupportedOperationException("these rings have no event indices");
    }
}
