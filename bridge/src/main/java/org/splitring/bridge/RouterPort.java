package org.splitring.bridge;

/// What a router keeps of one port. The network's loop.
final class RouterPort {
    final PortLink link;
    final int index;
    final String name;

    /// Changes with the router's settings.
    RouterSide side;

    /// For ICMP errors and resets to this port.
    final TokenBucket errors;

    /// For questions that this port makes the router ask, each of which may go to many ports.
    final TokenBucket questions;

    /// For DHCP requests.
    final TokenBucket requests;

    /// For DNS questions.
    final TokenBucket queries;

    /// DNS questions that are under way upstream.
    int asking;

    RouterPort(PortLink link, RouterSide side, int errorsPerSecond, long nowNanos) {
        this.link = link;
        this.side = side;
        index = link.index;
        name = link.settings().name();
        errors = new TokenBucket(errorsPerSecond, errorsPerSecond, nowNanos);
        questions = new TokenBucket(64, 64, nowNanos);
        requests = new TokenBucket(32, 32, nowNanos);
        queries = new TokenBucket(256, 256, nowNanos);
    }
}
