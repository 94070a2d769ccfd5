package org.splitring.benchmarks;

import org.agrona.MutableDirectBuffer;
import org.agrona.concurrent.MessageHandler;
import org.agrona.concurrent.UnsafeBuffer;
import org.agrona.concurrent.ringbuffer.OneToOneRingBuffer;

/// The requesting end on a pair of Agrona rings: one for requests, one for responses.
final class AgronaFront extends EndSpacing implements RingFront {
    private final OneToOneRingBuffer requests;
    private final OneToOneRingBuffer responses;
    private final AgronaWork work;
    private final UnsafeBuffer response;
    private final int capacity;
    private final MessageHandler onResponse = this::onResponse;
    private int nextId = 1;
    private int expectedId = 1;

    AgronaFront(AgronaRings rings) {
        this.requests = rings.requests();
        this.responses = rings.responses();
        this.work = rings.work();
        this.capacity = rings.capacity();
        this.response = new UnsafeBuffer(new byte[work.responseSizeBytes()]);
    }

    @Override
    public int capacity() {
        return capacity;
    }

    @Override
    public boolean send(int count) {
        for (int i = 0; i < count; i++) {
            int index = requests.tryClaim(1, work.entrySizeBytes());
            if (index < 0) {
                throw new IllegalStateException("the ring of requests is full");
            }
            work.fill(requests.buffer(), index, nextId++);
            requests.commit(index);
        }
        return false;
    }

    @Override
    public int receive() {
        return responses.read(onResponse, capacity);
    }

    private void onResponse(int type, MutableDirectBuffer buffer, int index, int sizeBytes) {
        response.putBytes(0, buffer, index, sizeBytes);
        if (!work.isAnswerTo(response, expectedId++)) {
            throw new IllegalStateException("wrong response to request " + (expectedId - 1));
        }
    }

    @Override
    public boolean finalCheck() {
        throw new UnsupportedOperationException("these rings have no event indices");
    }
}
