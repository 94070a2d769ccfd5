package org.splitring.blkback.image;

import java.net.URI;
import java.net.URISyntaxException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.DiskException;
import org.splitring.hypervisor.linux.UnixSocket;

/// Names an export of an NBD server, by a URI or as QEMU does:
///
///     nbd://HOST[:PORT]/EXPORT                 nbd:HOST:PORT[:exportname=EXPORT]
///     nbd+unix:///EXPORT?socket=PATH           nbd:unix:PATH[:exportname=EXPORT]
///
/// A URI may say `x-reconnect=SECONDS` in its query: how long the disk waits for a server that is
/// gone before everything fails.
///
/// Source: the NBD project's `doc/uri.md`; QEMU's manual page, "NBD".
///
/// @param export may be empty, which is the server's default
/// @param reconnectSeconds 1 to 3600
public record NbdSource(Server server, String export, int reconnectSeconds) implements DiskSource {
    /// The port of NBD.
    public static final int DEFAULT_PORT = 10809;

    /// How long a disk waits for its server when nobody says otherwise.
    public static final int DEFAULT_RECONNECT_SECONDS = 30;

    private static final int MAX_RECONNECT_SECONDS = 3600;
    private static final int MAX_EXPORT_BYTES = 4096; // doc/proto.md
    private static final int MAX_HOST_CHARS = 255;
    private static final String EXPORT_NAME = ":exportname=";

    /// Where the server listens.
    public sealed interface Server {}

    /// A TCP port.
    ///
    /// @param host a name or an address, IPv6 without brackets
    public record Tcp(String host, int port) implements Server {
        /// As people write it.
        @Override
        public String toString() {
            return (host.indexOf(':') < 0 ? host : "[" + host + "]") + ":" + port;
        }
    }

    /// A Unix socket.
    ///
    /// @param path from the root on
    public record Unix(Path path) implements Server {
        /// The path.
        @Override
        public String toString() {
            return path.toString();
        }
    }

    /// Whether a text is meant to name an export: it begins with `nbd:`, `nbd+unix:` or one of
    /// their relatives with TLS.
    public static boolean isOne(String text) {
        return text.matches("(?s)nbds?(\\+[a-z]+)?:.*");
    }

    /// Reads a name in which the path of a socket is one from the root on.
    ///
    /// @throws DiskException when it is none; the message begins with the text, in quotes
    public static NbdSource parse(String text) throws DiskException {
        return new Text(text, null).parse();
    }

    /// As [#parse(String)].
    ///
    /// @param folder what the path of a socket is relative to
    public static NbdSource parse(String text, Path folder) throws DiskException {
        return new Text(text, folder).parse();
    }

    /// The URI, without what it says of reconnecting.
    @Override
    public String name() {
        String name = encoded(export);
        return switch (server) {
            case Tcp tcp ->
                    "nbd://"
                            + (tcp.port() == DEFAULT_PORT
                                    ? tcp.toString().substring(0, tcp.toString().lastIndexOf(':'))
                                    : tcp.toString())
                            + "/"
                            + name;
            case Unix unix -> "nbd+unix:///" + name + "?socket=" + encoded(unix.path().toString());
        };
    }

    @Override
    public String toString() {
        if (reconnectSeconds == DEFAULT_RECONNECT_SECONDS) {
            return name();
        }
        return name() + (server instanceof Unix ? "&" : "?") + "x-reconnect=" + reconnectSeconds;
    }

    private static String encoded(String text) {
        StringBuilder encoded = new StringBuilder();
        for (byte unit : text.getBytes(StandardCharsets.UTF_8)) {
            char c = (char) (unit & 0xFF);
            boolean plain =
                    (c >= 'a' && c <= 'z')
                            || (c >= 'A' && c <= 'Z')
                            || (c >= '0' && c <= '9')
                            || "-._~/".indexOf(c) >= 0;
            encoded.append(plain ? String.valueOf(c) : "%%%02X".formatted((int) c));
        }
        return encoded.toString();
    }

    /// One text that is read.
    private record Text(String text, @Nullable Path folder) {
        NbdSource parse() throws DiskException {
            if (text.startsWith("nbds:") || text.startsWith("nbds+")) {
                throw bad(
                        "TLS is not supported; nbdkit's plugin nbd can stand between, and its"
                                + " socket be named here");
            }
            if (text.startsWith("nbd://") || text.startsWith("nbd+unix:")) {
                return ofUri();
            }
            if (!text.startsWith("nbd:")) {
                throw bad("the transport is neither nbd: nor nbd+unix:");
            }
            String rest = text.substring("nbd:".length());
            int at = rest.indexOf(EXPORT_NAME);
            String export = at < 0 ? "" : rest.substring(at + EXPORT_NAME.length());
            String place = at < 0 ? rest : rest.substring(0, at);
            if (place.startsWith("unix:")) {
                return made(unix(place.substring("unix:".length())), export);
            }
            int colon = place.lastIndexOf(':');
            if (colon < 0 || (place.indexOf(':') != colon && !place.startsWith("["))) {
                throw bad("not of the form nbd:HOST:PORT[:exportname=NAME]");
            }
            String port = place.substring(colon + 1);
            return made(tcp(place.substring(0, colon), port), export);
        }

        private NbdSource made(Server server, String export) throws DiskException {
            return made(server, export, DEFAULT_RECONNECT_SECONDS);
        }

        private NbdSource made(Server server, String export, int seconds) throws DiskException {
            int bytes = export.getBytes(StandardCharsets.UTF_8).length;
            if (bytes > MAX_EXPORT_BYTES) {
                throw bad("the export's name has " + bytes + " bytes, at most 4096 are allowed");
            }
            if (export.indexOf('\0') >= 0) {
                throw bad("the export's name has a zero in it");
            }
            return new NbdSource(server, export, seconds);
        }

        private NbdSource ofUri() throws DiskException {
            URI uri;
            try {
                uri = new URI(text);
            } catch (URISyntaxException e) {
                throw bad("no URI: " + e.getReason());
            }
            String path = uri.getRawPath();
            if (uri.getRawFragment() != null || path == null) {
                throw bad("no URI of an export");
            }
            String socket = "";
            int seconds = DEFAULT_RECONNECT_SECONDS;
            String query = uri.getRawQuery();
            for (String each : query == null ? new String[0] : query.split("&", -1)) {
                int equals = each.indexOf('=');
                String key = equals < 0 ? each : each.substring(0, equals);
                String value = equals < 0 ? "" : decoded(each.substring(equals + 1));
                switch (key) {
                    case "socket" -> socket = value;
                    case "x-reconnect" -> seconds = seconds(value);
                    default ->
                            throw bad(
                                    "\"" + key + "\" is none of its keys, socket and x-reconnect");
                }
            }
            String export = decoded(path.startsWith("/") ? path.substring(1) : path);
            String authority = uri.getRawAuthority();
            if (text.startsWith("nbd+unix:")) {
                if (authority != null) {
                    throw bad("a server at a socket has no host; write nbd+unix:///EXPORT");
                }
                return made(unix(socket), export, seconds);
            }
            if (!socket.isEmpty()) {
                throw bad("a socket belongs to nbd+unix:///EXPORT?socket=PATH");
            }
            if (authority == null || authority.indexOf('@') >= 0) {
                throw bad(authority == null ? "the host is missing" : "user names have no use");
            }
            int colon = authority.lastIndexOf(':');
            boolean port = colon > authority.lastIndexOf(']');
            return made(
                    tcp(
                            port ? authority.substring(0, colon) : authority,
                            port ? authority.substring(colon + 1) : "" + DEFAULT_PORT),
                    export,
                    seconds);
        }

        private Unix unix(String name) throws DiskException {
            if (name.isEmpty()) {
                throw bad("the path of the socket is missing");
            }
            Path path;
            try {
                path = Path.of(name);
            } catch (InvalidPathException e) {
                throw bad("the socket is no path");
            }
            Path absolute =
                    folder == null ? path : folder.toAbsolutePath().resolve(path).normalize();
            if (!absolute.isAbsolute()) {
                throw bad("give the socket's path from the root on");
            }
            int bytes = absolute.toString().getBytes(StandardCharsets.UTF_8).length;
            if (bytes > UnixSocket.MAX_PATH_BYTES) {
                throw bad(
                        "the socket's path has "
                                + bytes
                                + " bytes, at most "
                                + UnixSocket.MAX_PATH_BYTES
                                + " are possible");
            }
            return new Unix(absolute);
        }

        private Tcp tcp(String host, String port) throws DiskException {
            boolean brackets = host.startsWith("[") && host.endsWith("]");
            String bare = brackets ? host.substring(1, host.length() - 1) : host;
            String allowed = brackets ? "[0-9A-Fa-f:.]+(%[0-9A-Za-z]+)?" : "[0-9A-Za-z._-]+";
            if (bare.length() > MAX_HOST_CHARS || !bare.matches(allowed)) {
                throw bad("no name or address of a host");
            }
            if (!port.matches("[0-9]{1,5}")
                    || Integer.parseInt(port) < 1
                    || Integer.parseInt(port) > 65535) {
                throw bad("the port is not between 1 and 65535");
            }
            return new Tcp(bare, Integer.parseInt(port));
        }

        private int seconds(String value) throws DiskException {
            if (!value.matches("[0-9]{1,4}")
                    || Integer.parseInt(value) < 1
                    || Integer.parseInt(value) > MAX_RECONNECT_SECONDS) {
                throw bad("x-reconnect is not between 1 and " + MAX_RECONNECT_SECONDS + " seconds");
            }
            return Integer.parseInt(value);
        }

        private String decoded(String part) throws DiskException {
            byte[] bytes = part.getBytes(StandardCharsets.UTF_8);
            ByteBuffer decoded = ByteBuffer.allocate(bytes.length);
            for (int i = 0; i < bytes.length; i++) {
                if (bytes[i] == '%') { // two digits follow: java.net.URI has looked
                    decoded.put(
                            (byte)
                                    Integer.parseInt(
                                            new String(bytes, i + 1, 2, StandardCharsets.US_ASCII),
                                            16));
                    i += 2;
                } else {
                    decoded.put(bytes[i]);
                }
            }
            try {
                return StandardCharsets.UTF_8.newDecoder().decode(decoded.flip()).toString();
            } catch (CharacterCodingException e) {
                throw bad("not UTF-8");
            }
        }

        private DiskException bad(String why) {
            return new DiskException("\"" + DiskException.printable(text) + "\": " + why);
        }
    }
}
