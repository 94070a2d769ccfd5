package org.splitring.driverdomain.nbd;

/// Counters of one NBD server, written by its loop alone; other threads may see them a little late.
public final class NbdMetrics {
    int connections;
    long connectionsRefused;
    long handshakesRefused;
    long handshakesTimedOut;
    long stalled;
    long requests;
    long requestsRefused;

    NbdMetrics() {}

    /// Clients connected now.
    public int connections() {
        return connections;
    }

    /// Clients cut off because too many were there.
    public long connectionsRefused() {
        return connectionsRefused;
    }

    /// Handshakes that ended without an export.
    public long handshakesRefused() {
        return handshakesRefused;
    }

    public long handshakesTimedOut() {
        return handshakesTimedOut;
    }

    /// Clients cut off for their silence in the middle of a request.
    public long stalled() {
        return stalled;
    }

    public long requests() {
        return requests;
    }

    /// Requests answered with an error because of what they asked for.
    public long requestsRefused() {
        return requestsRefused;
    }
}
