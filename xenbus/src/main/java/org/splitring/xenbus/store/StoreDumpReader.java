package org.splitring.xenbus.store;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.zip.CRC32;
import org.splitring.hypervisor.DomId;

/// Reads one file of [StoreDump]. Used once.
final class StoreDumpReader {
    private final Path file;
    private final byte[] bytes;
    private int position;
    private int lineNumber;
    private long generation;

    StoreDumpReader(Path file, byte[] bytes) {
        this.file = file;
        this.bytes = bytes;
    }

    StoreSnapshot read() throws IOException {
        String[] head = fields(3);
        if (!head[0].equals(StoreDump.MAGIC)) {
            throw bad("does not begin with " + StoreDump.MAGIC);
        }
        if (!head[1].equals(StoreDump.VERSION)) {
            throw bad("is of version " + head[1] + ", this program reads " + StoreDump.VERSION);
        }
        generation = number(head[2]);
        StoreLimits limits = StoreLimits.DEFAULT;
        List<StoreSnapshot.KnownDomain> domains = new ArrayList<>();
        Map<String, List<Permission>> specials = new HashMap<>();
        Draft draft = new Draft(Node.emptyRoot(), () -> ++generation, DomId.ZERO);
        boolean rooted = false;
        while (true) {
            int lineStart = position;
            String[] fields = line().split(" ", -1);
            switch (fields[0]) {
                case "limits" -> limits = limits(fields, 1, limits);
                case "domain" -> domains.add(known(fields));
                case "special" -> {
                    requireFields(fields, 3);
                    specials.put(fields[1], rights(fields[2]));
                }
                case "node" -> {
                    requireFields(fields, 4);
                    rooted |= fields[1].equals("/");
                    node(draft, fields);
                }
                case "end" -> {
                    end(fields, lineStart);
                    if (!rooted) {
                        throw bad("comes before any node /");
                    }
                    return new StoreSnapshot(
                            0, generation, draft.root(), limits, domains, specials);
                }
                default -> throw bad("is none of limits, domain, special, node and end");
            }
        }
    }

    private void requireFields(String[] fields, int count) throws IOException {
        if (fields.length != count) {
            throw bad("has " + fields.length + " fields, not " + count);
        }
    }

    private StoreSnapshot.KnownDomain known(String[] fields) throws IOException {
        if (fields.length < 3 || !fields[2].startsWith("features=")) {
            throw bad("is a domain without number and features");
        }
        int features = (int) number(fields[2].substring("features=".length()));
        int next = 3;
        DomId target = null;
        if (fields.length > next && fields[next].startsWith("target=")) {
            target = new DomId((int) domain(fields[next++].substring("target=".length()), 0));
        }
        StoreLimits own = fields.length > next ? limits(fields, next, StoreLimits.DEFAULT) : null;
        DomId self = new DomId((int) domain(fields[1], 1));
        return new StoreSnapshot.KnownDomain(self, features, own, target);
    }

    private StoreLimits limits(String[] fields, int from, StoreLimits usual) throws IOException {
        StoreLimits limits = usual;
        for (int i = from; i < fields.length; i++) {
            int equals = fields[i].indexOf('=');
            String name = fields[i].substring(0, Math.max(0, equals));
            Quota quota = Quota.byName(name).orElse(null);
            if (quota == null) {
                throw bad("has a strange quota: " + fields[i]);
            }
            limits = limits.with(quota, (int) number(fields[i].substring(equals + 1)));
        }
        return limits;
    }

    private List<Permission> rights(String field) throws IOException {
        List<Permission> permissions = new ArrayList<>();
        for (String text : field.split(",", -1)) {
            permissions.add(
                    Permission.parse(text).orElseThrow(() -> bad("has strange rights: " + text)));
        }
        return List.copyOf(permissions);
    }

    private void node(Draft draft, String[] fields) throws IOException {
        StorePath path;
        try {
            path = StorePath.node(fields[1], DomId.ZERO, 0);
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
        List<Permission> permissions = rights(fields[2]);
        draft.apply(new Change.Write(path, value(fields[3])));
        draft.apply(new Change.SetPermissions(path, permissions));
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

    private long domain(String text, int least) throws IOException {
        long number = number(text);
        if (number < least || number >= DomId.FIRST_RESERVED) {
            throw bad("names domain " + number);
        }
        return number;
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
            throw bad("does not begin with " + StoreDump.MAGIC);
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
