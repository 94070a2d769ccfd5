package org.splitring.xenbus.device;

import java.util.Set;
import org.splitring.xenbus.FrontendHooks;

/// The frontend half of a class of devices. Made once by [java.util.ServiceLoader] with its public
/// constructor without arguments; holds no state of devices.
public interface FrontendDriver {
    /// Name of the class, as in the store: `vbd`. Letters, digits, `-` and `_`.
    String deviceClass();

    /// Keys that whoever attaches a device may give, and that stand in the frontend's folder:
    /// `tag`.
    default Set<String> parameters() {
        return Set.of();
    }

    /// Makes the frontend of one device. What must be given back at its end is registered with
    /// [FrontendContext#onEnd] at once.
    ///
    /// @throws DeviceException when the guest cannot have such a device: the message says why
    FrontendHooks create(FrontendContext context) throws DeviceException;
}
