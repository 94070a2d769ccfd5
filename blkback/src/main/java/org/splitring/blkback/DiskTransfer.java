package org.splitring.blkback;

import org.splitring.hypervisor.linux.IoUring;

/// Work that the kernel may be able to do alone: one transfer between memory and an open file.
/// [#run] does it with a thread that waits.
interface DiskTransfer extends DiskWork {
    /// What is to be done after a part is completed.
    enum Next {
        /// Nothing: it is answered.
        NONE,
        /// The rest is to be submitted.
        SUBMIT,
        /// The kernel cannot do it this way; a thread can.
        RUN
    }

    /// Whether the kernel can do it alone. Asked once, before it is given away.
    boolean isPlain();

    /// Whether it had better wait until the others of its disk that say so are done.
    boolean isAlone();

    /// Queues what is left of it.
    void submit(IoUring ring, long token);

    /// Takes note of what the kernel did.
    ///
    /// @param result bytes moved, 0 at the end of the file, or `-errno`
    Next completed(int result);
}
