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
}
