package org.splitring.p9.back;

import static org.splitring.p9.back.P9Exception.check;

import java.nio.file.Path;
import org.splitring.hypervisor.linux.ConfinedFolder;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.Fd;
import org.splitring.hypervisor.linux.FileAttributes;
import org.splitring.hypervisor.linux.FolderEntry;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.hypervisor.linux.VectoredFile;

/// The folder that is offered, and what is done to the files in it.
///
/// Every operation resolves its path anew from the folder, in the kernel, which does not leave it
/// (see [ConfinedFolder]); then it acts on what was found, by descriptor. So if somebody moves a
/// part of the tree out of the folder meanwhile, the operation is done as if it had come just
/// before that, and the next one finds nothing. Only regular files and folders are opened: a pipe
/// or a device would act by being opened.
///
/// Any thread, one at a time.
final class SharedFolder implements AutoCloseable {
    private static final int WRITE_ONLY = 1;
    private static final int O_CREAT_MODE = 0777;
    private static final int EXCLUSIVE = 0x80;

    /// Flags of `open` that are the same in 9P2000.L and on all machines: access mode, `O_TRUNC`,
    /// `O_APPEND`, `O_DSYNC` and `O_SYNC`. Others mean nothing to this server.
    private static final int FLAGS = Fd.O_ACCMODE | 0x200 | 0x400 | 0x1000 | 0x101000;

    private static final int TRUNCATE = 0x200;

    /// Nothing is made deeper than this, so that people on the host can name it by its whole path.
    private static final int LONGEST_PATH = 3072;

    private final Path path;
    private final ConfinedFolder folder;
    private final boolean readOnly;
    private final long rootInode;

    /// Opens it.
    ///
    /// @param readOnly whether nothing in it may be changed
    /// @throws LinuxException when it cannot be opened
    SharedFolder(Path path, boolean readOnly) throws LinuxException {
        this.path = path;
        this.readOnly = readOnly;
        folder = ConfinedFolder.open(path);
        try {
            rootInode = attributes("").inode();
        } catch (P9Exception e) {
            folder.close();
            throw new LinuxException("statx " + path, e.errno());
        } catch (LinuxException e) {
            folder.close();
            throw e;
        }
    }

    long rootInode() {
        return rootInode;
    }

    FileAttributes.All attributes(String file) throws P9Exception, LinuxException {
        int reached = check(folder.reach(file));
        try {
            return FileAttributes.read(reached);
        } finally {
            Fd.close(reached);
        }
    }

    FileAttributes.All attributes(Fid file) throws P9Exception, LinuxException {
        int reached = reach(file);
        try {
            return FileAttributes.read(reached);
        } finally {
            Fd.close(reached);
        }
    }

    /// Opens a regular file or a folder.
    ///
    /// @param flags of `lopen`
    VectoredFile open(Fid file, int flags) throws P9Exception, LinuxException {
        int kept = flags & FLAGS;
        if (readOnly && ((kept & Fd.O_ACCMODE) != 0 || (kept & TRUNCATE) != 0)) {
            throw new P9Exception(Errno.EROFS);
        }
        int reached = reach(file);
        try {
            FileAttributes.All found = FileAttributes.read(reached);
            if (found.isFolder()) {
                if (kept != 0) {
                    throw new P9Exception(Errno.EISDIR);
                }
            } else if (found.isSymbolicLink()) {
                throw new P9Exception(Errno.ELOOP);
            } else if (!found.isRegular()) {
                throw new P9Exception(Errno.EPERM);
            }
            return adopt(check(ConfinedFolder.reopen(reached, kept)));
        } finally {
            Fd.close(reached);
        }
    }

    /// Makes a regular file and opens it; one that exists is opened unless the flags forbid.
    VectoredFile create(String parent, String name, int flags, int mode)
            throws P9Exception, LinuxException {
        checkWritable();
        int in = reachFor(parent, name);
        int made;
        try {
            made = FolderEntry.createFile(in, name, flags & FLAGS, mode & O_CREAT_MODE);
        } finally {
            Fd.close(in);
        }
        if (made == -Errno.EEXIST && (flags & EXCLUSIVE) == 0) {
            return open(new Fid(Fid.child(parent, name)), flags);
        }
        VectoredFile file = adopt(check(made));
        try {
            FileAttributes.setPermissions(file.fd(), mode & O_CREAT_MODE); // whatever our umask is
            return file;
        } catch (LinuxException e) {
            file.close();
            throw e;
        }
    }

    void makeFolder(String parent, String name, int mode) throws P9Exception, LinuxException {
        checkWritable();
        int in = reachFor(parent, name);
        try {
            check(FolderEntry.makeFolder(in, name, mode & O_CREAT_MODE));
        } finally {
            Fd.close(in);
        }
        int made = check(folder.reachFolder(Fid.child(parent, name)));
        try {
            FileAttributes.setPermissions(made, mode & O_CREAT_MODE);
        } finally {
            Fd.close(made);
        }
    }

    void makeSymbolicLink(String parent, String name, String target) throws P9Exception {
        checkWritable();
        int in = reachFor(parent, name);
        try {
            check(FolderEntry.makeSymbolicLink(in, name, target));
        } finally {
            Fd.close(in);
        }
    }

    void makeHardLink(String file, String parent, String name) throws P9Exception {
        checkWritable();
        checkNotRoot(file);
        int from = check(folder.reachFolder(Fid.parent(file)));
        try {
            int in = reachFor(parent, name);
            try {
                check(FolderEntry.makeHardLink(from, Fid.name(file), in, name));
            } finally {
                Fd.close(in);
            }
        } finally {
            Fd.close(from);
        }
    }

    void rename(String file, String parent, String name) throws P9Exception {
        checkWritable();
        checkNotRoot(file);
        int from = check(folder.reachFolder(Fid.parent(file)));
        try {
            int to = reachFor(parent, name);
            try {
                check(FolderEntry.rename(from, Fid.name(file), to, name));
            } finally {
                Fd.close(to);
            }
        } finally {
            Fd.close(from);
        }
    }

    void removeFile(String file) throws P9Exception {
        remove(file, false);
    }

    void removeFolder(String file) throws P9Exception {
        remove(file, true);
    }

    private void remove(String file, boolean isFolder) throws P9Exception {
        checkWritable();
        checkNotRoot(file);
        int in = check(folder.reachFolder(Fid.parent(file)));
        try {
            String name = Fid.name(file);
            check(isFolder ? FolderEntry.removeFolder(in, name) : FolderEntry.removeFile(in, name));
        } finally {
            Fd.close(in);
        }
    }

    String target(Fid link) throws P9Exception, LinuxException {
        int reached = reach(link);
        try {
            if (!FileAttributes.read(reached).isSymbolicLink()) {
                throw new P9Exception(Errno.EINVAL);
            }
            return FileAttributes.target(reached);
        } finally {
            Fd.close(reached);
        }
    }

    /// Sets permission bits. Those that give a program other rights than its user's are left out:
    /// the
    /// guest must not leave such a program on the host.
    void setPermissions(Fid file, int mode) throws P9Exception, LinuxException {
        checkWritable();
        int reached = reach(file);
        try {
            if (FileAttributes.read(reached).isSymbolicLink()) {
                throw new P9Exception(Errno.EOPNOTSUPP);
            }
            FileAttributes.setPermissions(reached, mode & O_CREAT_MODE);
        } finally {
            Fd.close(reached);
        }
    }

    void setTimes(Fid file, FileAttributes.Time accessed, FileAttributes.Time modified)
            throws P9Exception, LinuxException {
        checkWritable();
        int reached = reach(file);
        try {
            FileAttributes.setTimes(reached, accessed, modified);
        } finally {
            Fd.close(reached);
        }
    }

    void truncate(Fid file, long sizeBytes) throws P9Exception, LinuxException {
        try (VectoredFile opened = open(file, WRITE_ONLY)) {
            opened.truncate(sizeBytes);
        }
    }

    FileAttributes.FileSystem fileSystem(Fid file) throws P9Exception, LinuxException {
        int reached = reach(file);
        try {
            return FileAttributes.fileSystem(reached);
        } finally {
            Fd.close(reached);
        }
    }

    /// Opens the folder in which a new name is to be.
    private int reachFor(String parent, String name) throws P9Exception {
        if (Fid.child(parent, name).length() > LONGEST_PATH) {
            throw new P9Exception(Errno.ENAMETOOLONG);
        }
        return check(folder.reachFolder(parent));
    }

    /// An open file is itself; anything else is what its path leads to now.
    private int reach(Fid file) throws P9Exception, LinuxException {
        VectoredFile opened = file.file;
        return opened == null ? check(folder.reach(file.path)) : Fd.duplicate(opened.fd());
    }

    void checkWritable() throws P9Exception {
        if (readOnly) {
            throw new P9Exception(Errno.EROFS);
        }
    }

    private static void checkNotRoot(String file) throws P9Exception {
        if (file.isEmpty()) {
            throw new P9Exception(Errno.EBUSY);
        }
    }

    private VectoredFile adopt(int fd) {
        return VectoredFile.adopt(path, fd);
    }

    @Override
    public void close() {
        folder.close();
    }
}
