/// The store, the handshake and what every device shares.
module org.splitring.xenbus {
    requires transitive org.splitring.ringbuffers; // Domain and DeviceLoop appear in our API
    requires org.slf4j;
}
