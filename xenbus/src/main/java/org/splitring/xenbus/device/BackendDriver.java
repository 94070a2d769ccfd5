package org.splitring.xenbus.device;

import java.util.Set;
import org.splitring.xenbus.BackendHooks;

/// The backend half of a class of devices. Made once by [java.util.ServiceLoader] with its public
/// constructor without arguments; holds no state of devices.
public interface BackendDriver {
    /// Name of the class, as in the store: `vbd`. Letters, digits, `-` and `_`.
    String deviceClass();

    /// Keys that whoever attaches a device may give, and that stand in the backend's folder:
    /// `params`. The guest may read them there, and cannot write them.
    default Set<String> parameters() {
        return Set.of();
    }

    /// Makes the backend of one device, which the toolstack has just made in the store. What must
    /// be given back at its end is registered with [BackendContext#onEnd] at once.
    ///
    /// @throws DeviceException when there cannot be such a device: the message names the parameter
    ///     and what to do
    BackendHooks create(BackendContext context) throws DeviceException;
}
