/// Shared memory, grants, event channels, rings and wire layouts: what a hypervisor gives and what
/// both halves of a split driver share.
module org.splitring.ringbuffers {
    requires transitive org.jspecify; // @NullMarked on every package
    requires transitive org.slf4j; // RateLimitedLog writes to a logger of its caller
    requires transitive io.netty.transport; // NettyDeviceLoop shares its event loop with sockets
    requires transitive io.netty.common;
    requires transitive io.netty.transport.classes.epoll; // FdWatch is a handle of its loop
    requires transitive io.netty.transport.unix.common; // and shows its descriptor

    exports org.splitring.hypervisor;
    exports org.splitring.hypervisor.attached;
    exports org.splitring.hypervisor.linux;
    exports org.splitring.hypervisor.local;
    exports org.splitring.hypervisor.xen;
    exports org.splitring.ring;
    exports org.splitring.wire;
}
