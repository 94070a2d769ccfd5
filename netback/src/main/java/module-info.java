import org.splitring.netback.VifBackendDriver;
import org.splitring.xenbus.device.BackendDriver;

/// Network backend: serves one vif per frontend as a port of a virtual network. The SPI finds its
/// driver.
module org.splitring.netback {
    requires transitive org.splitring.xenbus;
    requires transitive org.splitring.bridge; // where a vif is plugged in
    requires org.slf4j;

    exports org.splitring.netback;

    provides BackendDriver with
            VifBackendDriver;
}
