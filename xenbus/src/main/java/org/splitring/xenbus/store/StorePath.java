package org.splitring.xenbus.store;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.splitring.hypervisor.DomId;

/// A checked path in canonical form.
///
/// @param text absolute path, or a special name that starts with `@`
/// @param parts names from the root on; none for `/`; one that no node can have for a special name
/// @param cut how many characters of `text` a watch leaves out of its events, because the path was
///     given relative to the domain's folder
record StorePath(String text, List<String> parts, int cut) {
    static final StorePath ROOT = new StorePath("/", List.of(), 0);
    static final int MAX_ABSOLUTE = 3072;
    static final int MAX_RELATIVE = 2048;
    private static final String DOMAINS = "/local/domain/";

    /// Checks a path of a node.
    ///
    /// Rules of Xen's `docs/misc/xenstore.txt`: letters, digits, `-/_@`; no `//`; no `/` at the end
    /// but in `/` itself. Lengths are checked after the prefix was added, so that no node is made
    /// that nobody can name again; in a domain's folder a guest's limit is that of relative paths.
    ///
    /// @param mostOfGuest characters after the domain's folder, for a guest; 0 for no limit
    static StorePath node(String given, DomId self, int mostOfGuest) throws StoreException {
        boolean relative = !given.startsWith("/");
        String prefix = relative ? DOMAINS + self + "/" : "";
        String text = prefix + given;
        if (given.isEmpty()
                || (relative && given.length() > MAX_RELATIVE)
                || text.length() > MAX_ABSOLUTE
                || !isWellFormed(text)
                || (!self.equals(DomId.ZERO)
                        && mostOfGuest != 0
                        && text.length() - domainPrefix(text) > mostOfGuest)) {
            throw new StoreException(StoreError.EINVAL, "path " + shown(given));
        }
        if (given.startsWith("@")) {
            throw new StoreException(
                    StoreError.EINVAL, "special name is not a node: " + shown(given));
        }
        return new StorePath(text, split(text), prefix.length());
    }

    /// The parts of a canonical path.
    static List<String> split(String text) {
        if (text.length() == 1) {
            return List.of();
        }
        int count = 0;
        for (int i = 0; i < text.length(); i++) {
            if (text.charAt(i) == '/') {
                count++;
            }
        }
        String[] parts = new String[count];
        int start = 1;
        for (int i = 0; i < count; i++) {
            int end = text.indexOf('/', start);
            parts[i] = text.substring(start, end < 0 ? text.length() : end);
            start = end + 1;
        }
        return List.of(parts);
    }

    /// Checks a path to watch: a node, or a special name such as `@releaseDomain`. Names that
    /// nothing ever happens to are not refused.
    static StorePath watched(String given, DomId self, int mostOfGuest) throws StoreException {
        if (!given.startsWith("@")) {
            return node(given, self, mostOfGuest);
        }
        if (given.length() > MAX_RELATIVE) {
            throw new StoreException(StoreError.EINVAL, "path " + shown(given));
        }
        int slash = given.indexOf('/');
        return slash < 0
                ? special(given)
                : special(given.substring(0, slash)).belowSpecial(given.substring(slash + 1));
    }

    /// A special name. One part with a slash in it: a name that no node can have.
    static StorePath special(String name) {
        return new StorePath(name, List.of("/" + name), 0);
    }

    /// A special name for one domain: `@releaseDomain/7`.
    StorePath belowSpecial(String domain) {
        return new StorePath(text + "/" + domain, List.of(parts.getFirst(), domain), 0);
    }

    /// The path as an absolute one, or a special name, unchecked.
    static String absolute(String given, DomId self) {
        return given.startsWith("/") || given.startsWith("@")
                ? given
                : DOMAINS + self + "/" + given;
    }

    boolean special() {
        return text.startsWith("@");
    }

    /// The last part; of the root the empty name.
    String name() {
        return root() ? "" : parts.getLast();
    }

    boolean root() {
        return parts.isEmpty();
    }

    /// The node `levels` above this one.
    StorePath above(int levels) {
        List<String> left = parts.subList(0, parts.size() - levels);
        return new StorePath("/" + String.join("/", left), left, 0);
    }

    /// The node below this one that the names lead to.
    StorePath below(Collection<String> names) {
        if (names.isEmpty()) {
            return this;
        }
        List<String> longer = new ArrayList<>(parts.size() + names.size());
        longer.addAll(parts);
        longer.addAll(names);
        return new StorePath((root() ? "/" : text + "/") + String.join("/", names), longer, 0);
    }

    /// The text of an event for a watch on this path.
    String event(StorePath changed) {
        return cut <= changed.text.length() ? changed.text.substring(cut) : changed.text;
    }

    private static int domainPrefix(String text) {
        if (!text.startsWith(DOMAINS)) {
            return 0;
        }
        int end = text.indexOf('/', DOMAINS.length());
        return end < 0 ? 0 : end + 1;
    }

    /// Allowed characters, no empty part, and no `/` at the end but in `/` itself.
    private static boolean isWellFormed(String text) {
        char before = 0;
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            boolean allowed =
                    (c >= 'a' && c <= 'z')
                            || (c >= 'A' && c <= 'Z')
                            || (c >= '0' && c <= '9')
                            || c == '-'
                            || (c == '/' && before != '/')
                            || c == '_'
                            || c == '@';
            if (!allowed) {
                return false;
            }
            before = c;
        }
        return before != '/' || text.length() == 1;
    }

    /// A hostile path for a message: printable and short.
    static String shown(String given) {
        StringBuilder text = new StringBuilder("\"");
        for (int i = 0; i < Math.min(given.length(), 80); i++) {
            char c = given.charAt(i);
            text.append(c >= ' ' && c <= '~' ? c : '?');
        }
        return text.append('"')
                .append(" of ")
                .append(given.length())
                .append(" characters")
                .toString();
    }

    @Override
    public String toString() {
        return text;
    }
}
