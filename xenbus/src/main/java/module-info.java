/// The store, the handshake and what every device shares.
module org.splitring.xenbus {
    requires transitive org.splitring.ringbuffers; // DomId appears in our API
    requires transitive io.netty.transport; // connections of guests are served on an event loop
    requires transitive io.netty.common;
    requires io.netty.buffer;
    requires io.netty.transport.classes.epoll;
    requires io.netty.transport.unix.common;
    requires org.slf4j;

    exports org.splitring.xenbus;
    exports org.splitring.xenbus.store;
}
