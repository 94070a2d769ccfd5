/// The store, the handshake and what every device shares.
module org.splitring.xenbus {
    requires transitive org.splitring.ringbuffers; // DomId appears in our API
    requires org.slf4j;

    exports org.splitring.xenbus;
    exports org.splitring.xenbus.store;
}
