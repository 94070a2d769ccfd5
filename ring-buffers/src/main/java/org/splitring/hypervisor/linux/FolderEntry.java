package org.splitring.hypervisor.linux;

import static org.splitring.hypervisor.linux.Native.INT;
import static org.splitring.hypervisor.linux.Native.POINTER;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;

/// Makes, moves and removes entries of a folder that is open ([ConfinedFolder#reachFolder]).
///
/// A name is one part of a path, neither `.` nor `..` and without a slash: the caller has checked
/// that. Nothing here follows a symbolic link. Names are bytes, one in each `char`. Results are 0
/// or a descriptor, or `-errno`.
public final class FolderEntry {
    private static final int AT_REMOVEDIR = 0x200;
    private static final int O_CREAT_EXCL = 0xC0;

    private static final MethodHandle OPENAT =
            Native.variadic("openat", 3, INT, INT, POINTER, INT, INT);
    private static final MethodHandle MKDIRAT = Native.function("mkdirat", INT, INT, POINTER, INT);
    private static final MethodHandle SYMLINKAT =
            Native.function("symlinkat", INT, POINTER, INT, POINTER);
    private static final MethodHandle LINKAT =
            Native.function("linkat", INT, INT, POINTER, INT, POINTER, INT);
    private static final MethodHandle RENAMEAT =
            Native.function("renameat", INT, INT, POINTER, INT, POINTER);
    private static final MethodHandle UNLINKAT =
            Native.function("unlinkat", INT, INT, POINTER, INT);

    private FolderEntry() {}

    /// Makes a regular file and opens it; `EEXIST` when there is anything of that name.
    ///
    /// @param flags access mode and further flags of `open`
    public static int createFile(int folder, String name, int flags, int permissions) {
        int all = flags | O_CREAT_EXCL | OpenFlag.NO_FOLLOW.value() | Fd.O_CLOEXEC;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = bytes(arena, name);
            return Native.retried(
                    state -> (int) OPENAT.invokeExact(state, folder, bytes, all, permissions));
        }
    }

    public static int makeFolder(int folder, String name, int permissions) {
        try (Arena arena = Arena.ofConfined()) {
            return Native.call(
                    state ->
                            (int)
                                    MKDIRAT.invokeExact(
                                            state, folder, bytes(arena, name), permissions));
        }
    }

    /// Makes a symbolic link.
    ///
    /// @param target what the link says; it is not looked at
    public static int makeSymbolicLink(int folder, String name, String target) {
        try (Arena arena = Arena.ofConfined()) {
            return Native.call(
                    state ->
                            (int)
                                    SYMLINKAT.invokeExact(
                                            state,
                                            bytes(arena, target),
                                            folder,
                                            bytes(arena, name)));
        }
    }

    /// A second name for a file; of a symbolic link the link itself.
    public static int makeHardLink(int oldFolder, String oldName, int newFolder, String newName) {
        try (Arena arena = Arena.ofConfined()) {
            return Native.call(
                    state ->
                            (int)
                                    LINKAT.invokeExact(
                                            state,
                                            oldFolder,
                                            bytes(arena, oldName),
                                            newFolder,
                                            bytes(arena, newName),
                                            0));
        }
    }

    public static int rename(int oldFolder, String oldName, int newFolder, String newName) {
        try (Arena arena = Arena.ofConfined()) {
            return Native.call(
                    state ->
                            (int)
                                    RENAMEAT.invokeExact(
                                            state,
                                            oldFolder,
                                            bytes(arena, oldName),
                                            newFolder,
                                            bytes(arena, newName)));
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
            return Native.call(
                    state -> (int) UNLINKAT.invokeExact(state, folder, bytes(arena, name), flags));
        }
    }

    private static MemorySegment bytes(Arena arena, String text) {
        return arena.allocateFrom(text, StandardCharsets.ISO_8859_1);
    }
}
