package org.splitring.xenbus.store;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.zip.CRC32;
import java.util.zip.CheckedOutputStream;
import org.jspecify.annotations.Nullable;

/// A store in a file: nodes with owners and rights, and which domains exist. A server writes it and
/// its successor reads it; watches and transactions end with their connections.
///
/// Lines of ASCII, so that it can be looked at:
///
///     splitring-store 1 GENERATION
///     limits QUOTA=NUMBER ...
///     domain 7 features=7 target=8 QUOTA=NUMBER ...
///     special @releaseDomain n0,r7
///     node / n0 VALUE
///     node /local/domain/7/name n0,r7 guest%20one
///     end LINES CRC32
///
/// Lines are in this order. Each node comes after the one above it, and siblings in the order of
/// their making. In values
/// everything but printable ASCII is `%` and two hexadecimal digits, and so are `%` and the space.
/// `LINES` counts the lines before the last, and the checksum covers their bytes.
///
/// Both ways it is all or nothing: the file is replaced when its successor is on stable storage,
/// and one with anything wrong in it is refused as a whole.
public final class StoreDump {
    static final String MAGIC = "splitring-store";
    static final String VERSION = "1";
    private static final char[] HEX = "0123456789ABCDEF".toCharArray();
    private static final long MAX_BYTES = 1L << 30;

    private StoreDump() {}

    /// Writes the store as it is now: into a file beside, made durable, then renamed.
    ///
    /// @throws IOException with the path in its message; what was there is as it was
    public static void write(StoreTree tree, Path file) throws IOException {
        write(tree.snapshot(), file);
    }

    static void write(StoreSnapshot snapshot, Path file) throws IOException {
        Path absolute = file.toAbsolutePath();
        Path fresh = absolute.resolveSibling(absolute.getFileName() + ".new");
        try {
            Files.deleteIfExists(fresh);
            try (FileChannel channel =
                    FileChannel.open(
                            fresh,
                            Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
                            PosixFilePermissions.asFileAttribute(
                                    PosixFilePermissions.fromString("rw-------")))) {
                OutputStream out =
                        new BufferedOutputStream(Channels.newOutputStream(channel), 1 << 16);
                write(snapshot, out);
                out.flush();
                channel.force(true);
            }
            Files.move(fresh, absolute, StandardCopyOption.ATOMIC_MOVE);
            try (FileChannel folder =
                    FileChannel.open(absolute.resolveSibling(""), StandardOpenOption.READ)) {
                folder.force(true); // the name is as durable as the contents
            }
        } catch (IOException e) {
            throw new IOException("store dump " + file + " cannot be written: " + e, e);
        }
    }

    private static void write(StoreSnapshot snapshot, OutputStream out) throws IOException {
        CRC32 crc = new CRC32();
        CheckedOutputStream checked = new CheckedOutputStream(out, crc);
        line(checked, MAGIC + " " + VERSION + " " + snapshot.generation());
        long[] lines = {1};
        line(checked, "limits" + differing(snapshot.limits(), StoreLimits.DEFAULT));
        lines[0]++;
        for (StoreSnapshot.KnownDomain domain : snapshot.domains()) {
            line(checked, domainLine(domain));
            lines[0]++;
        }
        for (Map.Entry<String, List<Permission>> special : snapshot.specials().entrySet()) {
            line(checked, "special " + special.getKey() + " " + rights(special.getValue()));
            lines[0]++;
        }
        IOException[] failure = new IOException[1];
        NodeWalk.walk(
                snapshot.root(),
                node -> {
                    try {
                        line(
                                checked,
                                "node "
                                        + node.place().path()
                                        + " "
                                        + rights(node.permissions())
                                        + " "
                                        + escaped(node));
                        lines[0]++;
                        return true;
                    } catch (IOException e) {
                        failure[0] = e;
                        return false;
                    }
                });
        if (failure[0] != null) {
            throw failure[0];
        }
        line(out, String.format(Locale.ROOT, "end %d %08x", lines[0], crc.getValue()));
    }

    private static void line(OutputStream out, String text) throws IOException {
        out.write(text.getBytes(ISO_8859_1));
        out.write('\n');
    }

    private static String domainLine(StoreSnapshot.KnownDomain domain) {
        StringBuilder line = new StringBuilder("domain " + domain.domain());
        line.append(" features=").append(domain.features());
        if (domain.target() != null) {
            line.append(" target=").append(domain.target());
        }
        if (domain.limits() != null) {
            line.append(differing(domain.limits(), null));
        }
        return line.toString();
    }

    private static String differing(StoreLimits limits, @Nullable StoreLimits usual) {
        StringBuilder text = new StringBuilder();
        for (Quota quota : Quota.values()) {
            if (usual == null || usual.get(quota) != limits.get(quota)) {
                text.append(' ').append(quota.wireName()).append('=').append(limits.get(quota));
            }
        }
        return text.toString();
    }

    private static String rights(List<Permission> permissions) {
        List<String> texts = new ArrayList<>();
        permissions.forEach(permission -> texts.add(permission.toString()));
        return String.join(",", texts);
    }

    private static String escaped(Node node) {
        StringBuilder text = new StringBuilder(node.value().length);
        for (byte b : node.value()) {
            if (b > ' ' && b <= '~' && b != '%') {
                text.append((char) b);
            } else {
                text.append('%').append(HEX[(b >> 4) & 15]).append(HEX[b & 15]);
            }
        }
        return text.toString();
    }

    /// Reads a store.
    ///
    /// @throws IOException when the file cannot be read, or is not exactly what [#write] left: the
    ///     message names file, line, and what is wrong there
    public static StoreTree load(Path file) throws IOException {
        if (Files.size(file) > MAX_BYTES) {
            throw new IOException("store dump " + file + " is longer than " + MAX_BYTES + " bytes");
        }
        return new StoreTree(
                new StoreDumpReader(file, Files.readAllBytes(file)).read(), System::nanoTime);
    }
}
