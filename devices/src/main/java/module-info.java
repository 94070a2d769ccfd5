/// Xen's console and 9pfs, both halves of each; halves never see each other.
module org.splitring.devices {
    requires transitive org.splitring.xenbus;
    requires io.netty.common; // a map of ints without boxes
    requires org.slf4j;

    exports org.splitring.p9.back;
}
