package org.example.vrng;

import org.splitring.xenbus.FrontendHooks;
import org.splitring.xenbus.device.DeviceException;
import org.splitring.xenbus.device.FrontendContext;
import org.splitring.xenbus.device.FrontendDriver;

/// The frontend half: its users read from `vrng0.sock`.
public final class VrngFrontendDriver implements FrontendDriver {
    @Override
    public String deviceClass() {
        return VrngProtocol.CLASS;
    }

    @Override
    public FrontendHooks create(FrontendContext context) throws DeviceException {
        return new VrngFrontend(context).hooks();
    }
}
