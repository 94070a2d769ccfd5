package org.splitring.hypervisor.linux;

/// What the kernel says about an open file.
///
/// @param mode type and permission bits (`st_mode`)
/// @param sizeBytes length; 0 for a block device, see [VectoredFile#sizeBytes]
/// @param allocatedBytes how much of it has storage
/// @param blockSizeBytes unit of I/O; for a file of huge pages the size of a page
/// @param deviceMajor device that it lies on
/// @param deviceMinor device that it lies on
/// @param inode number of the file on its device
public record FileStatus(
        int mode,
        long sizeBytes,
        long allocatedBytes,
        int blockSizeBytes,
        int deviceMajor,
        int deviceMinor,
        long inode) {
    private static final int S_IFMT = 0xF000;

    /// A plain file, a memfd included.
    public boolean isRegular() {
        return (mode & S_IFMT) == 0x8000;
    }

    public boolean isFolder() {
        return (mode & S_IFMT) == 0x4000;
    }

    public boolean isBlockDevice() {
        return (mode & S_IFMT) == 0x6000;
    }

    /// What kind of file this is, in words.
    public String kind() {
        return switch (mode & S_IFMT) {
            case 0x8000 -> "a regular file";
            case 0x4000 -> "a folder";
            case 0x6000 -> "a block device";
            case 0x2000 -> "a character device";
            case 0x1000 -> "a pipe";
            case 0xC000 -> "a socket";
            default -> "a file without a type";
        };
    }
}
