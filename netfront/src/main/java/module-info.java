/// Network frontend.
module org.splitring.netfront {
    requires transitive org.splitring.xenbus;
}
