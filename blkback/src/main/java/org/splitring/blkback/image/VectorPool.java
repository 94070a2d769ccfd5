package org.splitring.blkback.image;

import java.util.ArrayDeque;
import org.splitring.hypervisor.linux.IoVector;

/// Vectors for the parts into which stores cut requests: as many as there are requests at once.
///
/// Any thread.
final class VectorPool {
    private static final int PIECES = 1024;

    private final ArrayDeque<IoVector> idle = new ArrayDeque<>(); // guarded by this

    IoVector take() {
        synchronized (this) {
            IoVector vector = idle.poll();
            if (vector != null) {
                return vector;
            }
        }
        return new IoVector(PIECES);
    }

    void give(IoVector vector) {
        vector.clear();
        synchronized (this) {
            idle.push(vector);
        }
    }
}
