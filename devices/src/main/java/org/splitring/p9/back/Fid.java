package org.splitring.p9.back;

import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.VectoredFile;

/// A guest's handle on a file: a path below the shared folder, looked up anew at each use, and once
/// it is open the open file itself.
final class Fid {
    /// Names with slashes between them; the folder itself is the empty path.
    String path;

    /// The file, or the folder, when it is open.
    @Nullable VectoredFile file;

    boolean folder;

    /// A synchronisation has failed: Linux forgets what was lost, so this file must not claim later
    /// that all is well.
    boolean failed;

    Fid(String path) {
        this.path = path;
    }

    /// The file that is open.
    VectoredFile opened() throws P9Exception {
        VectoredFile opened = file;
        if (opened == null) {
            throw new P9Exception(Errno.EBADF);
        }
        return opened;
    }

    static String child(String parent, String name) {
        return parent.isEmpty() ? name : parent + "/" + name;
    }

    static String parent(String path) {
        int slash = path.lastIndexOf('/');
        return slash < 0 ? "" : path.substring(0, slash);
    }

    static String name(String path) {
        return path.substring(path.lastIndexOf('/') + 1);
    }
}
