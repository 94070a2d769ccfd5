package org.splitring.xenbus.store;

import java.util.Objects;
import java.util.Optional;
import org.splitring.hypervisor.DomId;

/// One entry of a node's rights.
///
/// In the list of a node the first entry names the owner, who may do everything, and gives the
/// access of every domain that no later entry names.
///
/// Source: Xen `docs/misc/xenstore.txt`, GET_PERMS and SET_PERMS.
public record Permission(Access access, DomId domain) {
    /// What a domain may do with a node; the letters are those of the wire.
    public enum Access {
        NONE('n', false, false),
        READ('r', true, false),
        WRITE('w', false, true),
        BOTH('b', true, true);

        private final char letter;
        private final boolean reads;
        private final boolean writes;

        Access(char letter, boolean reads, boolean writes) {
            this.letter = letter;
            this.reads = reads;
            this.writes = writes;
        }

        public boolean reads() {
            return reads;
        }

        public boolean writes() {
            return writes;
        }
    }

    public Permission {
        Objects.requireNonNull(access);
        Objects.requireNonNull(domain);
    }

    /// No access: as the first entry, a private node of `domain`.
    public static Permission none(DomId domain) {
        return new Permission(Access.NONE, domain);
    }

    public static Permission read(DomId domain) {
        return new Permission(Access.READ, domain);
    }

    /// The wire form, such as `r7`; nothing when the text is not one.
    public static Optional<Permission> parse(String text) {
        if (text.length() < 2 || text.length() > 6) {
            return Optional.empty();
        }
        int domid = 0;
        for (int i = 1; i < text.length(); i++) {
            char digit = text.charAt(i);
            if (digit < '0' || digit > '9') {
                return Optional.empty();
            }
            domid = domid * 10 + (digit - '0');
        }
        if (domid >= DomId.FIRST_RESERVED) {
            return Optional.empty();
        }
        for (Access access : Access.values()) {
            if (access.letter == text.charAt(0)) {
                return Optional.of(new Permission(access, new DomId(domid)));
            }
        }
        return Optional.empty();
    }

    /// The wire form, such as `r7`.
    @Override
    public String toString() {
        return access.letter + domain.toString();
    }
}
