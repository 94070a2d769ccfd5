import org.splitring.blkback.VbdBackendDriver;
import org.splitring.xenbus.device.BackendDriver;

/// Block backend: serves one vbd per frontend from a disk. The SPI finds its driver.
module org.splitring.blkback {
    requires transitive org.splitring.xenbus;
    requires org.slf4j;

    exports org.splitring.blkback;
    exports org.splitring.blkback.nbd; // the numbers of the protocol, for a server too
    exports org.splitring.blkback.image; // what a disk is made of, and the work on images at rest

    provides BackendDriver with
            VbdBackendDriver;
}
