package org.splitring.blkfront;

import org.splitring.xenbus.HandshakeException;

/// Who uses the disks of a guest: what its program lends to the frontends of vbds
/// (`FrontendHost.services`). A disk is named by its number, 51712 for xvda.
public interface VbdUser {
    /// Choices for a disk that has come.
    default VbdFrontendOptions options(int device) {
        return VbdFrontendOptions.DEFAULT;
    }

    /// A disk can be used, for the first time. It is told to the backend when this has returned. On
    /// the control plane.
    ///
    /// @throws HandshakeException when there is no use for the disk: the message says why, and the
    ///     device ends
    default void connected(int device, VbdFrontend disk) throws HandshakeException {}

    /// What is known of a disk ([VbdFrontend#geometry]) has changed, such as its size. It may be
    /// smaller: transfers behind its end have ended or will end with an error. On the control
    /// plane.
    default void changed(int device, VbdFrontend disk) {}

    /// A disk is being unplugged: what it has been asked it will still do, and it refuses whatever
    /// is asked after `done` has run. Returns at once.
    default void leaving(int device, VbdFrontend disk, Runnable done) {
        done.run();
    }

    /// A disk has ended, whether it was ever connected or not. When this returns its buffers are
    /// not in use any more. On the control plane.
    default void gone(int device, VbdFrontend disk) {}
}
