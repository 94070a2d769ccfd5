package org.splitring.blkback;

import org.jspecify.annotations.Nullable;

/// Requests that wait, in order; linked through [DiskRequest#next], so that none costs anything.
final class RequestLine {
    private @Nullable DiskRequest first;
    private @Nullable DiskRequest last;

    boolean isEmpty() {
        return first == null;
    }

    /// @param request in no list now
    void add(DiskRequest request) {
        DiskRequest before = last;
        if (before == null) {
            first = request;
        } else {
            before.next = request;
        }
        last = request;
    }

    DiskRequest remove() {
        DiskRequest request = first;
        if (request == null) {
            throw new IllegalStateException("nobody waits");
        }
        first = request.next;
        if (first == null) {
            last = null;
        }
        request.next = null;
        return request;
    }
}
