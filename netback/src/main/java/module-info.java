/// Network backend: serves one vif per frontend as a port of a virtual network.
module org.splitring.netback {
    requires transitive org.splitring.xenbus;
    requires transitive org.splitring.bridge; // where a vif is plugged in
    requires org.slf4j;

    exports org.splitring.netback;
}
