/// The virtual switch: frames and ports, no rings.
module org.splitring.bridge {
    requires transitive org.jspecify; // @Nullable is in our signatures
    requires org.slf4j;
    requires io.netty.buffer;
    requires io.netty.codec; // what the DNS codec throws
    requires io.netty.codec.dns;
    requires io.netty.common;
    requires transitive io.netty.transport; // ports are given the network's event loop
    requires io.netty.transport.classes.epoll;
    requires io.netty.transport.unix.common;

    exports org.splitring.bridge;
    exports org.splitring.bridge.port; // ports over sockets
}
