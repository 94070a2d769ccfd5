package org.splitring.hypervisor.linux;

/// Error numbers of Linux, the same on x86-64 and aarch64 (`asm-generic/errno.h`).
public final class Errno {
    public static final int EPERM = 1;
    public static final int ENOENT = 2;
    public static final int ESRCH = 3;
    public static final int EINTR = 4;
    public static final int EIO = 5;
    public static final int ENXIO = 6;
    public static final int EBADF = 9;
    public static final int EAGAIN = 11;
    public static final int ENOMEM = 12;
    public static final int EACCES = 13;
    public static final int EBUSY = 16;
    public static final int EEXIST = 17;
    public static final int ENODEV = 19;
    public static final int ENOTDIR = 20;
    public static final int EISDIR = 21;
    public static final int EINVAL = 22;
    public static final int ENFILE = 23;
    public static final int EMFILE = 24;
    public static final int ETXTBSY = 26;
    public static final int EFBIG = 27;
    public static final int ENOSPC = 28;
    public static final int EROFS = 30;
    public static final int EPIPE = 32;
    public static final int ENAMETOOLONG = 36;
    public static final int ENOLCK = 37;
    public static final int ENOSYS = 38;
    public static final int ENOTEMPTY = 39;
    public static final int ELOOP = 40;
    public static final int EPROTO = 71;
    public static final int EMSGSIZE = 90;
    public static final int EPROTONOSUPPORT = 93;
    public static final int EOPNOTSUPP = 95;
    public static final int EAFNOSUPPORT = 97;
    public static final int EADDRINUSE = 98;
    public static final int EADDRNOTAVAIL = 99;
    public static final int ECONNRESET = 104;
    public static final int ENOBUFS = 105;
    public static final int ENOTCONN = 107;
    public static final int ETIMEDOUT = 110;
    public static final int ECONNREFUSED = 111;
    public static final int EDQUOT = 122;

    private Errno() {}

    /// What to tell a person: words and the symbolic name.
    public static String describe(int errno) {
        return switch (errno) {
            case EPERM -> "operation not permitted (EPERM)";
            case ENOENT -> "no such file or folder (ENOENT)";
            case ESRCH -> "no such process or domain (ESRCH)";
            case EINTR -> "interrupted (EINTR)";
            case EIO -> "input/output error (EIO)";
            case ENXIO -> "no such device or address (ENXIO)";
            case EBADF -> "bad file descriptor (EBADF)";
            case EAGAIN -> "not ready now (EAGAIN)";
            case ENOMEM -> "out of memory (ENOMEM)";
            case EACCES -> "permission denied (EACCES)";
            case EBUSY -> "in use (EBUSY)";
            case EEXIST -> "exists already (EEXIST)";
            case ENODEV -> "no such device (ENODEV)";
            case ENOTDIR -> "not a folder (ENOTDIR)";
            case EISDIR -> "is a folder (EISDIR)";
            case EINVAL -> "invalid argument (EINVAL)";
            case ENFILE -> "too many open files in the system (ENFILE)";
            case EMFILE -> "too many open files in the process (EMFILE)";
            case ETXTBSY -> "a running program (ETXTBSY)";
            case EFBIG -> "too big (EFBIG)";
            case ENOSPC -> "no space left (ENOSPC)";
            case EROFS -> "read-only file system (EROFS)";
            case EPIPE -> "nobody reads the other end (EPIPE)";
            case ENAMETOOLONG -> "name too long (ENAMETOOLONG)";
            case ENOLCK -> "no locks available (ENOLCK)";
            case ENOSYS -> "the kernel has no such call (ENOSYS)";
            case ENOTEMPTY -> "folder not empty (ENOTEMPTY)";
            case ELOOP -> "too many or forbidden symbolic links (ELOOP)";
            case EPROTO -> "protocol error (EPROTO)";
            case EMSGSIZE -> "message too long (EMSGSIZE)";
            case EPROTONOSUPPORT -> "version not supported (EPROTONOSUPPORT)";
            case EOPNOTSUPP -> "not supported (EOPNOTSUPP)";
            case EAFNOSUPPORT -> "the kernel has no such addresses (EAFNOSUPPORT)";
            case EADDRNOTAVAIL -> "not an address of this machine (EADDRNOTAVAIL)";
            case EADDRINUSE -> "address in use (EADDRINUSE)";
            case ECONNRESET -> "connection reset by the peer (ECONNRESET)";
            case ENOBUFS -> "no buffer space (ENOBUFS)";
            case ENOTCONN -> "not connected (ENOTCONN)";
            case ETIMEDOUT -> "timed out (ETIMEDOUT)";
            case ECONNREFUSED -> "connection refused (ECONNREFUSED)";
            case EDQUOT -> "quota used up (EDQUOT)";
            default -> "errno " + errno;
        };
    }
}
