package org.splitring.driverdomain;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/// `--store`, which the commands take that run under Xen.
final class XenStoreOption {
    @Option(
            names = "--store",
            paramLabel = "PATH",
            description =
                    "Socket of xenstored, or /dev/xen/xenbus (default: /run/xenstored/socket where"
                            + " it is, else /dev/xen/xenbus).")
    private @Nullable Path path;

    XenStoreWay way() throws CommandException {
        Path given = path;
        return given == null ? XenStoreWay.find() : new XenStoreWay(given);
    }
}
