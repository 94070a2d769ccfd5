package org.splitring.xenbus.store;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.io.BufferedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.zip.CRC32;
import java.util.zip.CheckedOutputStream;
import org.splitring.hypervisor.DomId;

/// A store in a file: nodes with owners and rights, and which domains exist. A server writes it and
/// its successor reads it; watches and transactions end with their connections.
///
/// Lines of ASCII, so that it can be looked at:
///
///     splitring-store 1 GENERATION
///     domain 7
///     node / n0 VALUE
///     node /local/domain/7/name n0,r7 guest%20one
///     end LINES CRC32
///
/// Each node comes after the one above it, and siblings in the order of their making. In values
/// everything but printable ASCII is `%` and two hexadecimal digits, and so are `%` and the space.
/// `LINES` counts the lines before the last, and the checksum covers their bytes.
///
/// Both ways it is all or nothing: the file is replaced when its successor is on stable storage,
/// and one with anything wrong in it is refused as a whole.
public final class StoreDump {
    private static final String MAGIC = "splitring-store";
    private static final String VERSION = "1";
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
        for (DomId domain : snapshot.introduced()) {
            line(checked, "domain " + domain);
            lines[0]++;
        }
        IOException[] failure = new IOException[1];
        NodeWalk.walk(
                snapshot.root(),
                (path, node) -> {
                    try {
                        line(checked, "node " + path + " " + rights(node) + " " + escaped(node));
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

    private static String rights(Node node) {
        List<String> texts = new ArrayList<>();
        node.permissions().forEach(permission -> texts.add(permission.toString()));
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

    /// Reads a store, with the usual limits of guests.
    ///
    /// @throws IOException when the file cannot be read, or is not exactly what [#write] left: the
    ///     message names file, line, and what is wrong there
    public static StoreTree load(Path file) throws IOException {
        return load(file, StoreLimits.DEFAULT);
    }

    /// Reads a store.
    ///
    /// @param limits of each guest
    /// @throws IOException as for the other one
    public static StoreTree load(Path file, StoreLimits limits) throws IOException {
        if (Files.size(file) > MAX_BYTES) {
            throw new IOException("store dump " + file + " is longer than " + MAX_BYTES + " bytes");
        }
        return new StoreTree(limits, new Reader(file, Files.readAllBytes(file)).read());
    }

    /// Reads one file.
    private static final class Reader {
        private final Path file;
        private final byte[] bytes;
        private int position;
        private int lineNumber;
        private long generation;

        Reader(Path file, byte[] bytes) {
            this.file = file;
            this.bytes = bytes;
        }

        StoreSnapshot read() throws IOException {
            String[] head = fields(3);
            if (!head[0].equals(MAGIC)) {
                throw bad("does not begin with " + MAGIC);
            }
            if (!head[1].equals(VERSION)) {
                throw bad("is of version " + head[1] + ", this program reads " + VERSION);
            }
            generation = number(head[2]);
            Set<DomId> introduced = new HashSet<>();
            Draft draft = new Draft(Node.emptyRoot(), () -> ++generation);
            boolean rooted = false;
            while (true) {
                int lineStart = position;
                String line = line();
                String[] fields = line.split(" ", -1);
                if (fields[0].equals("end")) {
                    end(fields, lineStart);
                    break;
                } else if (fields[0].equals("domain") && fields.length == 2) {
                    introduced.add(domain(fields[1]));
                } else if (fields[0].equals("node") && fields.length == 4) {
                    rooted |= fields[1].equals("/");
                    node(draft, fields);
                } else {
                    throw bad("is none of domain, node and end with their fields");
                }
            }
            if (!rooted) {
                throw bad("comes before any node /");
            }
            return new StoreSnapshot(0, generation, draft.root(), Set.copyOf(introduced));
        }

        private void node(Draft draft, String[] fields) throws IOException {
            StorePath path;
            try {
                path = StorePath.node(fields[1], DomId.ZERO);
            } catch (StoreException e) {
                throw bad("has a path that is none: " + e.getMessage());
            }
            if (!fields[1].startsWith("/")) {
                throw bad("has a relative path: " + path);
            }
            int missing = draft.missing(path);
            if (missing > 1) {
                throw bad("comes before the node above " + path);
            }
            if (missing == 0 && !path.root()) {
                throw bad("is the second of " + path);
            }
            List<Permission> permissions = new ArrayList<>();
            for (String text : fields[2].split(",", -1)) {
                permissions.add(
                        Permission.parse(text)
                                .orElseThrow(() -> bad("has strange rights: " + text)));
            }
            draft.apply(new Change.Write(path, value(fields[3]), DomId.ZERO));
            draft.apply(new Change.SetPermissions(path, List.copyOf(permissions)));
        }

        private byte[] value(String escaped) throws IOException {
            ByteArrayOutputStream value = new ByteArrayOutputStream(escaped.length());
            for (int i = 0; i < escaped.length(); i++) {
                char c = escaped.charAt(i);
                if (c != '%') {
                    if (c <= ' ' || c > '~') {
                        throw bad("has a value with character " + (int) c);
                    }
                    value.write(c);
                    continue;
                }
                int high = i + 2 < escaped.length() ? hex(escaped.charAt(i + 1)) : -1;
                int low = i + 2 < escaped.length() ? hex(escaped.charAt(i + 2)) : -1;
                if (high < 0 || low < 0) {
                    throw bad("has a value with a strange % in it");
                }
                value.write(high << 4 | low);
                i += 2;
            }
            return value.toByteArray();
        }

        private static int hex(char digit) {
            return digit <= '~' && !Character.isLowerCase(digit) ? Character.digit(digit, 16) : -1;
        }

        /// The last line: nothing may follow, and all before it must be as it was written.
        private void end(String[] fields, int lineStart) throws IOException {
            if (fields.length != 3) {
                throw bad("is no end with its two fields");
            }
            if (position != bytes.length) {
                throw bad("is the end, but bytes follow");
            }
            if (number(fields[1]) != lineNumber - 1) {
                throw bad("says " + fields[1] + " lines come before it");
            }
            CRC32 crc = new CRC32();
            crc.update(ByteBuffer.wrap(bytes, 0, lineStart));
            String found = String.format(Locale.ROOT, "%08x", crc.getValue());
            if (!found.equals(fields[2])) {
                throw bad("has checksum " + fields[2] + ", but the lines above have " + found);
            }
        }

        private DomId domain(String text) throws IOException {
            long number = number(text);
            if (number == 0 || number >= DomId.FIRST_RESERVED) {
                throw bad("names domain " + number);
            }
            return new DomId((int) number);
        }

        private long number(String text) throws IOException {
            if (!text.matches("0|[1-9][0-9]{0,17}")) {
                throw bad("has \"" + text + "\" where a number belongs");
            }
            return Long.parseLong(text);
        }

        private String[] fields(int count) throws IOException {
            String[] fields = line().split(" ", -1);
            if (fields.length != count) {
                throw bad("does not begin with " + MAGIC);
            }
            return fields;
        }

        private String line() throws IOException {
            lineNumber++;
            int end = position;
            while (end < bytes.length && bytes[end] != '\n') {
                end++;
            }
            if (end == bytes.length) {
                throw bad("is cut off: the file was not written to its end");
            }
            String line = new String(bytes, position, end - position, ISO_8859_1);
            position = end + 1;
            return line;
        }

        private IOException bad(String what) {
            return new IOException("store dump " + file + ": line " + lineNumber + " " + what);
        }
    }
}
