package org.splitring.hypervisor.linux;

/// The calls of the kernel with which a [VectoredFile] moves bytes and makes them stable. The
/// kernel's own are [#KERNEL]; tests put something between that fails, is short, or forgets.
///
/// As the kernel, each returns a negative error number when it fails. Any thread.
public interface FileCalls {
    /// What the kernel does.
    FileCalls KERNEL = new KernelFileCalls(false);

    /// Reads once; the vector stays as it is.
    ///
    /// @return bytes read, perhaps fewer than asked; 0 at the end of the file
    long preadv2(int fd, IoVector into, long fileOffset, int flags);

    /// Writes once; the vector stays as it is.
    ///
    /// @return bytes written, perhaps fewer than asked
    long pwritev2(int fd, IoVector from, long fileOffset, int flags);

    int fdatasync(int fd);

    int fsync(int fd);

    int ftruncate(int fd, long sizeBytes);

    int fallocate(int fd, int mode, long offset, long sizeBytes);
}
