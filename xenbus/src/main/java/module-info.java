/// The store, the handshake and what every device shares.
module org.splitring.xenbus {
    requires transitive org.splitring.ringbuffers; // DomId appears in our API
    requires transitive io.netty.transport; // connections of guests are served on an event loop
    requires transitive io.netty.common;
    requires transitive micrometer.core; // drivers count with its meters
    requires io.netty.buffer;
    requires io.netty.transport.classes.epoll;
    requires io.netty.transport.unix.common;
    requires org.slf4j;

    exports org.splitring.xenbus;
    exports org.splitring.xenbus.device;
    exports org.splitring.xenbus.store;

    uses org.splitring.xenbus.device.BackendDriver;
    uses org.splitring.xenbus.device.FrontendDriver;
}
