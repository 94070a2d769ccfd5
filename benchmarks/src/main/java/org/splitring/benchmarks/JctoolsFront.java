package org.splitring.benchmarks;

import java.util.Queue;
import java.util.stream.Stream;
import org.jctools.queues.SpscArrayQueue;

/// The requesting end on a pair of JCTools queues, which carry references: the objects are made
/// once and used again when their response has come.
final class JctoolsFront extends EndSpacing implements RingFront {
    private final Queue<QueuedRequest> requests;
    private final Queue<QueuedResponse> responses;
    private final QueuedRequest[] pool;
    private final boolean blkif;
    private int nextId = 1;
    private int expectedId = 1;

    JctoolsFront(
            SpscArrayQueue<QueuedRequest> requests,
            SpscArrayQueue<QueuedResponse> responses,
            int entrySizeBytes) {
        this.requests = requests;
        this.responses = responses;
        this.blkif = entrySizeBytes == BlkifWork.ENTRY_SIZE;
        this.pool =
                Stream.generate(QueuedRequest::new)
                        .limit(requests.capacity())
                        .toArray(QueuedRequest[]::new);
    }

    @Override
    public int capacity() {
        return pool.length;
    }

    @Override
    public boolean send(int count) {
        for (int i = 0; i < count; i++) {
            int id = nextId++;
            QueuedRequest request = pool[id & (pool.length - 1)];
            if (blkif) {
                request.fillBlkif(id);
            } else {
                request.fillNetifTx(id);
            }
            if (!requests.offer(request)) {
                throw new IllegalStateException("the queue of requests is full");
            }
        }
        return false;
    }

    @Override
    public int receive() {
        int count = 0;
        for (QueuedResponse r = responses.poll(); r != null; r = responses.poll()) {
            int id = expectedId++;
            if (r.id != (blkif ? id : (short) id) || r.operation != 0 || r.status != 0) {
                throw new IllegalStateException("wrong response to request " + id);
            }
            count++;
        }
        return count;
    }

    @Override
    public boolean finalCheck() {
        throw new UnsupportedOperationException("these queues have no event indices");
    }
}
