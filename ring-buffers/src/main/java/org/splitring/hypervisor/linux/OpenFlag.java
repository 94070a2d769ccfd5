package org.splitring.hypervisor.linux;

/// How to open a file. Without [#READ_WRITE] a file is opened for reading only; every file is
/// close-on-exec.
public enum OpenFlag {
    READ_WRITE(0x2, 0x2),
    CREATE(0x40, 0x40),
    /// With [#CREATE]: fails when the file exists.
    EXCLUSIVE(0x80, 0x80),
    TRUNCATE(0x200, 0x200),
    /// Opening a pipe or a device does not wait.
    NON_BLOCKING(0x800, 0x800),
    /// Every write is stable when it returns.
    DSYNC(0x1000, 0x1000),
    /// Past the page cache. One of the few numbers that differ between machines.
    DIRECT(0x4000, 0x10000),
    /// A symbolic link as the last part of the path is refused. Differs between machines too.
    NO_FOLLOW(0x20000, 0x8000),
    /// Anything but a folder is refused. Differs between machines too.
    FOLDER(0x10000, 0x4000);

    private static final boolean AARCH64 = System.getProperty("os.arch").equals("aarch64");

    private final int x86;
    private final int arm;

    OpenFlag(int x86, int arm) {
        this.x86 = x86;
        this.arm = arm;
    }

    int value() {
        return AARCH64 ? arm : x86;
    }
}
