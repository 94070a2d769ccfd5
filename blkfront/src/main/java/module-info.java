import org.splitring.blkfront.VbdFrontendDriver;
import org.splitring.xenbus.device.FrontendDriver;

/// Block frontend: one virtual block device inside a guest. The SPI finds its driver.
module org.splitring.blkfront {
    requires transitive org.splitring.xenbus;
    requires org.slf4j;

    exports org.splitring.blkfront;

    provides FrontendDriver with
            VbdFrontendDriver;
}
