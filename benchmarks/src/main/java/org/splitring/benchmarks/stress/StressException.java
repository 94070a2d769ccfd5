package org.splitring.benchmarks.stress;

import java.io.IOException;

/// A run cannot begin, or cannot go on: the message is one line that says what and where.
final class StressException extends IOException {
    private static final long serialVersionUID = 1;

    StressException(String message) {
        super(message);
    }

    StressException(String message, Throwable cause) {
        super(message, cause);
    }
}
