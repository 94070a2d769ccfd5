package org.splitring.hypervisor.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;

/// Makes, moves and removes entries of a folder that is open ([ConfinedFolder#reachFolder]).
///
/// A name is one part of a path, neither `.` nor `..` and without a slash: the caller has checked
/// that. Nothing here follows a symbolic link. Names are bytes, one in each `char`. Results are 0
/// or a descriptor, or `-errno`.
public final class FolderEntry {
    private static final int AT_REMOVEDIR = 0x200;
    private static final int O_CREAT_EXCL = 0xC0;

    private static final Native.Function OPENAT = Native.function("openat");
    private static final Native.Function MKDIRAT = Native.function("mkdirat");
    private static final Native.Function SYMLINKAT = Native.function("symlinkat");
    private static final Native.Function LINKAT = Native.function("linkat");
    private static final Native.Function RENAMEAT = Native.function("renameat");
    private static final Native.Function UNLINKAT = Native.function("unlinkat");

    private FolderEntry() {}

    /// Makes a regular file and opens it; `EEXIST` when there is anything of that name.
    ///
    /// @param flags access mode and further flags of `open`
    public static int createFile(int folder, String name, int flags, int permissions) {
        int all = flags | O_CREAT_EXCL | OpenFlag.NO_FOLLOW.value() | Fd.O_CLOEXEC;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = bytes(arena, name);
            return Native.retried(() -> OPENAT.callInt(folder, bytes.address(), all, permissions));
        }
    }

    public static int makeFolder(int folder, String name, int permissions) {
        try (Arena arena = Arena.ofConfined()) {
            return MKDIRAT.callInt(folder, bytes(arena, name).address(), permissions);
        }
    }

    /// Makes a symbolic link.
    ///
    /// @param target what the link says; it is not looked at
    public static int makeSymbolicLink(int folder, String name, String target) {
        try (Arena arena = Arena.ofConfined()) {
            return SYMLINKAT.callInt(
                    bytes(arena, target).address(), folder, bytes(arena, name).address());
        }
    }

    /// A second name for a file; of a symbolic link the link itself.
    public static int makeHardLink(int oldFolder, String oldName, int newFolder, String newName) {
        try (Arena arena = Arena.ofConfined()) {
            return LINKAT.callInt(
                    oldFolder,
                    bytes(arena, oldName).address(),
                    newFolder,
                    bytes(arena, newName).address(),
                    0);
        }
    }

    public static int rename(int oldFolder, String oldName, int newFolder, String newName) {
        try (Arena arena = Arena.ofConfined()) {
            return RENAMEAT.callInt(
                    oldFolder,
                    bytes(arena, oldName).address(),
                    newFolder,
                    bytes(arena, newName).address());
        }
    }

    /// Removes anything but a folder.
    public static int removeFile(int folder, String name) {
        return unlink(folder, name, 0);
    }

    /// Removes an empty folder.
    public static int removeFolder(int folder, String name) {
        return unlink(folder, name, AT_REMOVEDIR);
    }

    private static int unlink(int folder, String name, int flags) {
        try (Arena arena = Arena.ofConfined()) {
            return UNLINKAT.callInt(folder, bytes(arena, name).address(), flags);
        }
    }

    private static MemorySegment bytes(Arena arena, String text) {
        return arena.allocateFrom(text, StandardCharsets.ISO_8859_1);
    }
}
