package org.splitring.p9.back;

/// What comes over a ring is no 9P: where the next message starts cannot be known.
final class P9BrokenException extends Exception {
    private static final long serialVersionUID = 1L;

    P9BrokenException(String message) {
        super(message);
    }
}
