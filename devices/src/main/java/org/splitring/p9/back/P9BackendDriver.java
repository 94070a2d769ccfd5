package org.splitring.p9.back;

import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.xenbus.BackendHooks;
import org.splitring.xenbus.device.BackendContext;
import org.splitring.xenbus.device.BackendDriver;
import org.splitring.xenbus.device.DeviceException;

/// Makes backends of 9pfs. Parameters, as xl's `p9=` has them:
///
/// - `path`: the folder that is offered
/// - `security_model`: `none`, which is what this server does (see [P9Session])
/// - `mode`: `w`, or `r` for a folder that is not changed
public final class P9BackendDriver implements BackendDriver {
    /// For the service loader.
    public P9BackendDriver() {}

    @Override
    public String deviceClass() {
        return "9pfs";
    }

    @Override
    public Set<String> parameters() {
        return Set.of("path", "security_model", "mode");
    }

    @Override
    public BackendHooks create(BackendContext context) throws DeviceException {
        SharedFolder folder = open(context);
        context.onEnd(folder);
        return new P9Backend(context, folder, P9Limits.DEFAULT);
    }

    private static SharedFolder open(BackendContext context) throws DeviceException {
        String path = context.parameter("path").orElse("");
        if (!Path.of(path).isAbsolute()) {
            throw new DeviceException(
                    "9pfs: path is \"" + path + "\": give the folder to share, from the root on");
        }
        oneOf(context, "security_model", List.of("none"));
        boolean readOnly = oneOf(context, "mode", List.of("w", "r")).equals("r");
        try {
            return new SharedFolder(Path.of(path), readOnly);
        } catch (LinuxException e) {
            throw new DeviceException("9pfs: path cannot be shared: " + e.getMessage(), e);
        }
    }

    private static String oneOf(BackendContext context, String name, List<String> allowed)
            throws DeviceException {
        String value = context.parameter(name).orElse(allowed.getFirst());
        if (!allowed.contains(value)) {
            throw new DeviceException(
                    "9pfs: %s is \"%s\": expected %s"
                            .formatted(name, value, String.join(" or ", allowed)));
        }
        return value;
    }
}
