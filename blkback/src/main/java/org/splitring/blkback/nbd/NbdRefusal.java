package org.splitring.blkback.nbd;

import java.io.IOException;

/// A server with which there is no going on: it breaks the protocol, refuses the export, or is not
/// the one that it was. Trying again is of no use.
final class NbdRefusal extends IOException {
    private static final long serialVersionUID = 1L;

    NbdRefusal(String message) {
        super(message);
    }
}
