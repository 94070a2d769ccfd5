import org.splitring.blkback.VbdBackendDriver;
import org.splitring.xenbus.device.BackendDriver;

/// Block backend: serves one vbd per frontend from a disk. The SPI finds its driver.
module org.splitring.blkback {
    requires transitive org.splitring.xenbus;
    requires org.slf4j;

    exports org.splitring.blkback;

    provides BackendDriver with
            VbdBackendDriver;
}
