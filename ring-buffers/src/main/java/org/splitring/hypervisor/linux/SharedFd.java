package org.splitring.hypervisor.linux;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/// A descriptor that some threads use while another may close it. The number is given back to the
/// kernel only when no use is in progress: a late write would otherwise hit whatever file got the
/// same number.
///
///     use:    if (fd.enter()) { try { ... fd.number() ... } finally { fd.exit(); } }
final class SharedFd {
    private static final int CLOSED = 1 << 31;
    private static final int RELEASED = 1 << 30;
    private static final VarHandle USES;

    static {
        try {
            USES =
                    MethodHandles.lookup()
                            .findVarHandle(SharedFd.class, "uses", int.class)
                            .withInvokeExactBehavior();
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private final int number;

    /// Uses in progress, and the two bits above. Through [#USES] only.
    @SuppressWarnings("UnusedVariable")
    private volatile int uses;

    SharedFd(int number) {
        this.number = number;
    }

    int number() {
        return number;
    }

    /// Starts a use.
    ///
    /// @return `false` when the descriptor is closed; then there is nothing to exit
    boolean enter() {
        if ((int) USES.getAndAdd(this, 1) < 0) {
            exit();
            return false;
        }
        return true;
    }

    /// Ends a use. The last one out of a closed descriptor gives the number back.
    void exit() {
        if ((int) USES.getAndAdd(this, -1) - 1 == CLOSED) {
            release();
        }
    }

    /// Closes; closing twice does nothing.
    void close() {
        if ((int) USES.getAndBitwiseOr(this, CLOSED) == 0) {
            release();
        }
    }

    boolean isClosed() {
        return uses < 0;
    }

    /// Gives the number back, once. When somebody looked in meanwhile this fails, and that thread's
    /// [#exit] comes here again.
    private void release() {
        if (USES.compareAndSet(this, CLOSED, CLOSED | RELEASED)) {
            Fd.close(number);
        }
    }
}
