package org.splitring.xenbus.store;

import java.util.Optional;

/// Why the store refused. The names travel on the wire as they are.
///
/// Source: Xen `public/io/xs_wire.h`, `xsd_errors`.
public enum StoreError {
    EINVAL,
    EACCES,
    EEXIST,
    EISDIR,
    ENOENT,
    ENOMEM,
    ENOSPC,
    EIO,
    ENOTEMPTY,
    ENOSYS,
    EROFS,
    EBUSY,
    EAGAIN,
    EISCONN,
    E2BIG,
    EPERM;

    /// The error of that name, when the header has it.
    public static Optional<StoreError> byName(String name) {
        for (StoreError error : values()) {
            if (error.name().equals(name)) {
                return Optional.of(error);
            }
        }
        return Optional.empty();
    }
}
