/// Network backend.
module org.splitring.netback {
    requires transitive org.splitring.xenbus;
    requires transitive org.splitring.bridge;
}
