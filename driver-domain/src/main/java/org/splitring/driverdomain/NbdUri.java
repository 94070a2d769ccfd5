package org.splitring.driverdomain;

import java.nio.file.Path;

/// Addresses of our exports, as NBD's clients take them.
final class NbdUri {
    private NbdUri() {}

    /// Of the export on a Unix socket that has no name, fit for a shell between `'`.
    static String of(Path socket) {
        return of(socket, "");
    }

    /// @param export its name
    static String of(Path socket, String export) {
        return "nbd+unix:///" + escaped(export) + "?socket=" + path(socket);
    }

    /// @param port of the loopback address
    /// @param tls whether its clients have to begin with TLS
    static String of(int port, boolean tls, String export) {
        return (tls ? "nbds" : "nbd") + "://localhost:" + port + "/" + escaped(export);
    }

    private static String path(Path path) {
        return path.toUri().getRawPath().replace("'", "%27");
    }

    private static String escaped(String name) {
        return name.isEmpty() ? "" : path(Path.of("/" + name)).substring(1);
    }
}
