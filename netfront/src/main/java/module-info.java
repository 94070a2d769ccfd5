import org.splitring.netfront.VifFrontendDriver;
import org.splitring.xenbus.device.FrontendDriver;

/// Network frontend: a vif of a guest. The SPI finds its driver.
module org.splitring.netfront {
    requires transitive org.splitring.xenbus;
    requires transitive io.netty.transport; // VifChannel is a channel
    requires io.netty.buffer;
    requires io.netty.common;
    requires org.slf4j;

    exports org.splitring.netfront;

    provides FrontendDriver with
            VifFrontendDriver;
}
