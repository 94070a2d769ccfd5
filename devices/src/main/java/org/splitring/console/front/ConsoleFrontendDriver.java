package org.splitring.console.front;

import org.splitring.xenbus.FrontendHooks;
import org.splitring.xenbus.device.DeviceException;
import org.splitring.xenbus.device.FrontendContext;
import org.splitring.xenbus.device.FrontendDriver;

/// Makes frontends of consoles, each with a socket `consoleN.sock` for programs in the guest.
public final class ConsoleFrontendDriver implements FrontendDriver {
    /// For the service loader.
    public ConsoleFrontendDriver() {}

    @Override
    public String deviceClass() {
        return "console";
    }

    @Override
    public FrontendHooks create(FrontendContext context) throws DeviceException {
        ConsoleFrontend frontend = new ConsoleFrontend(context.loop());
        context.expose(context.socket(".sock"), frontend);
        return frontend;
    }
}
