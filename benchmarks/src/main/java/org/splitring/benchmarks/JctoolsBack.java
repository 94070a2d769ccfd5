package org.splitring.benchmarks;

import java.util.Queue;
import java.util.stream.Stream;
import org.jctools.queues.SpscArrayQueue;

/// The answering end on a pair of JCTools queues. A response object is used again a queue's length
/// later: by then the front has taken it, since it has sent a request in its place.
final class JctoolsBack extends EndSpacing implements RingBack {
    private final Queue<QueuedRequest> requests;
    private final Queue<QueuedResponse> responses;
    private final QueuedResponse[] pool;
    private final boolean blkif;
    private int next;

    JctoolsBack(
            SpscArrayQueue<QueuedRequest> requests,
            SpscArrayQueue<QueuedResponse> responses,
            int entrySizeBytes) {
        this.requests = requests;
        this.responses = responses;
        this.blkif = entrySizeBytes == BlkifWork.ENTRY_SIZE;
        this.pool =
                Stream.generate(QueuedResponse::new)
                        .limit(responses.capacity())
                        .toArray(QueuedResponse[]::new);
    }

    @Override
    public int serve(int limit) {
        int count = 0;
        while (count < limit) {
            QueuedRequest request = requests.poll();
            if (request == null) {
                break;
            }
            QueuedResponse response = pool[next++ & (pool.length - 1)];
            if (blkif) {
                response.answerBlkif(request);
            } else {
                response.answerNetifTx(request);
            }
            if (!responses.offer(response)) {
                throw new IllegalStateException("the queue of responses is full");
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
