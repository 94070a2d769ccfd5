package org.splitring.blkfront;

import java.util.Set;
import org.splitring.xenbus.FrontendHooks;
import org.splitring.xenbus.device.DeviceException;
import org.splitring.xenbus.device.FrontendContext;
import org.splitring.xenbus.device.FrontendDriver;

/// Makes frontends of vbds: [VbdFrontend]. What uses them is the guest program's [VbdUser].
/// Parameters, as xl's toolstack writes them: `virtual-device`, which is the device's number once
/// more, and `device-type`: `disk` or `cdrom`; what the
/// guest is told counts, and that is the backend's `info`.
public final class VbdFrontendDriver implements FrontendDriver {
    /// For the service loader.
    public VbdFrontendDriver() {}

    @Override
    public String deviceClass() {
        return "vbd";
    }

    @Override
    public Set<String> parameters() {
        return Set.of("virtual-device", "device-type");
    }

    @Override
    public FrontendHooks create(FrontendContext context) throws DeviceException {
        VbdUser user = context.service(VbdUser.class).orElse(new VbdUser() {});
        VbdFrontend frontend =
                VbdFrontend.create(context.device(), context.guest(), context.loop(), user);
        context.onEnd(() -> frontend.release().join());
        return frontend;
    }
}
