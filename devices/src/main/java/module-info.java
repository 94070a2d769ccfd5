import org.splitring.console.back.ConsoleBackendDriver;
import org.splitring.console.front.ConsoleFrontendDriver;
import org.splitring.p9.back.P9BackendDriver;
import org.splitring.p9.front.P9FrontendDriver;
import org.splitring.xenbus.device.BackendDriver;
import org.splitring.xenbus.device.FrontendDriver;

/// Xen's console and 9pfs, both halves of each; halves never see each other. Nothing is exported:
/// the SPI finds the drivers.
module org.splitring.devices {
    requires org.splitring.xenbus;
    requires io.netty.common; // a map of ints without boxes
    requires org.slf4j;

    provides BackendDriver with
            ConsoleBackendDriver,
            P9BackendDriver;
    provides FrontendDriver with
            ConsoleFrontendDriver,
            P9FrontendDriver;
}
