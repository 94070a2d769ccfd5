package org.splitring.p9.front;

import java.nio.file.Path;
import java.util.Set;
import java.util.regex.Pattern;
import org.splitring.xenbus.FrontendHooks;
import org.splitring.xenbus.device.DeviceException;
import org.splitring.xenbus.device.FrontendContext;
import org.splitring.xenbus.device.FrontendDriver;

/// Makes frontends of 9pfs. Parameter: `tag`, what the guest knows the folder by.
public final class P9FrontendDriver implements FrontendDriver {
    private static final Pattern TAG = Pattern.compile("[A-Za-z0-9_][A-Za-z0-9_.-]{0,30}");

    /// For the service loader.
    public P9FrontendDriver() {}

    @Override
    public String deviceClass() {
        return "9pfs";
    }

    @Override
    public Set<String> parameters() {
        return Set.of("tag");
    }

    @Override
    public FrontendHooks create(FrontendContext context) throws DeviceException {
        String tag = context.parameter("tag").orElse("9pfs" + context.device());
        if (!TAG.matcher(tag).matches()) {
            throw new DeviceException(
                    "9pfs: tag is \"" + tag + "\": expected at most 31 letters, digits, _ . -");
        }
        P9Frontend frontend = new P9Frontend(context.loop());
        Path socket = context.socket(".9p").resolveSibling(tag + ".9p");
        context.expose(socket, frontend);
        return frontend;
    }
}
