package org.splitring.hypervisor.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/// One received message of a [UnixSocket]: bytes and descriptors. Reused from message to message.
///
/// Room for descriptors is as large as Linux passes at most (253), so that none is ever cut off
/// unseen, whatever the sender does.
///
///     byte  0          8          12         16
///           +----------+----------+----------+----------------
///           | len u64  | level    | type     | int fds[] ..      struct cmsghdr, 64-bit machines
///           +----------+----------+----------+----------------
public final class Packet {
    private static final int MAX_DESCRIPTORS = 253;
    static final int CMSG_HEADER = 16;
    static final int CONTROL_BYTES = CMSG_HEADER + 8 + MAX_DESCRIPTORS * 4 + 64;
    private static final int SOL_SOCKET = 1;
    private static final int SCM_RIGHTS = 1;
    private static final int MSG_TRUNC = 0x20;
    private static final int MSG_CTRUNC = 0x8;

    final MemorySegment data;
    final MemorySegment control = Arena.ofAuto().allocate(CONTROL_BYTES, 8);
    final MemorySegment msghdr = Arena.ofAuto().allocate(56, 8);
    final MemorySegment iovec = Arena.ofAuto().allocate(16, 8);

    private final int[] descriptors = new int[MAX_DESCRIPTORS];
    private int descriptorCount;
    private int sizeBytes;
    private boolean truncated;

    /// @param maxBytes longest message that is of use; a longer one is [#truncated]
    public Packet(int maxBytes) {
        data = Arena.ofAuto().allocate(maxBytes, 8);
    }

    /// The bytes; only the first [#sizeBytes] count.
    public MemorySegment data() {
        return data;
    }

    public int sizeBytes() {
        return sizeBytes;
    }

    /// Whether bytes or descriptors were cut off: a protocol error.
    public boolean truncated() {
        return truncated;
    }

    public int descriptorCount() {
        return descriptorCount;
    }

    /// Takes the next descriptor out of the packet; the caller closes it.
    public int takeDescriptor() {
        if (descriptorCount == 0) {
            throw new IllegalStateException("no descriptor left");
        }
        int fd = descriptors[0];
        descriptorCount--;
        System.arraycopy(descriptors, 1, descriptors, 0, descriptorCount);
        return fd;
    }

    /// Closes what nobody took.
    public void closeDescriptors() {
        for (int i = 0; i < descriptorCount; i++) {
            Fd.close(descriptors[i]);
        }
        descriptorCount = 0;
    }

    /// Looks at what `recvmsg` has left behind.
    void received(int bytes) {
        sizeBytes = bytes;
        truncated = (msghdr.get(ValueLayout.JAVA_INT, 48) & (MSG_TRUNC | MSG_CTRUNC)) != 0;
        descriptorCount = 0;
        Arrays.fill(descriptors, -1);
        long end = Math.min(msghdr.get(ValueLayout.JAVA_LONG, 40), CONTROL_BYTES);
        long at = 0;
        while (at + CMSG_HEADER <= end) {
            long length = control.get(ValueLayout.JAVA_LONG, at);
            if (length < CMSG_HEADER || length > end - at) {
                break;
            }
            if (control.get(ValueLayout.JAVA_INT, at + 8) == SOL_SOCKET
                    && control.get(ValueLayout.JAVA_INT, at + 12) == SCM_RIGHTS) {
                for (long fd = at + CMSG_HEADER; fd + 4 <= at + length; fd += 4) {
                    descriptors[descriptorCount++] = control.get(ValueLayout.JAVA_INT, fd);
                }
            }
            at += (length + 7) & ~7L;
        }
    }
}
