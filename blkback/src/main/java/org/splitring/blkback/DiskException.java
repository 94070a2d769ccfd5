package org.splitring.blkback;

import java.io.IOException;

/// A disk cannot be opened, or was not closed in a good state. The message is one line for a
/// person: it names the image and what is wrong with it.
public final class DiskException extends IOException {
    private static final long serialVersionUID = 1L;

    public DiskException(String message) {
        super(message);
    }

    public DiskException(String message, IOException cause) {
        super(message, cause);
    }

    /// A text from outside as a message may show it: without control characters.
    public static String printable(String text) {
        return text.codePoints()
                .filter(c -> c != 0)
                .map(c -> Character.isISOControl(c) ? '?' : c)
                .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append)
                .toString();
    }
}
