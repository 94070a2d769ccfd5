package org.splitring.hypervisor.linux;

/// A copy of a descriptor that another process has open: `pidfd_open`, `pidfd_getfd` (Linux 5.6).
///
/// It takes the right to trace that process: one of the same user that is our child, or
/// `CAP_SYS_PTRACE`. Nothing has to be agreed on with the process, so that it may be as simple a
/// program as a shell.
final class ProcessFd {
    // asm-generic/unistd.h; the newer numbers are the same on every machine
    private static final long SYS_PIDFD_OPEN = 434;
    private static final long SYS_PIDFD_GETFD = 438;

    private static final Native.Function SYSCALL = Native.function("syscall");

    private ProcessFd() {}

    /// Copies a descriptor.
    ///
    /// @param pid a child of ours that has not been waited for, so that the number is still its own
    /// @param number of the descriptor in that process
    /// @return our own descriptor of the same open file, close-on-exec; the caller closes it
    static int copy(long pid, int number) throws LinuxException {
        int process = Fd.check("process " + pid, (int) syscall(SYS_PIDFD_OPEN, pid, 0, 0));
        try {
            return Fd.check(
                    "descriptor " + number + " of process " + pid,
                    (int) syscall(SYS_PIDFD_GETFD, process, number, 0));
        } finally {
            Fd.close(process);
        }
    }

    private static long syscall(long number, long first, long second, long third) {
        return SYSCALL.call(number, first, second, third);
    }
}
