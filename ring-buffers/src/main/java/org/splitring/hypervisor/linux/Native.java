package org.splitring.hypervisor.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.function.IntSupplier;

/// Finds functions of the C library and turns their way of failing into the kernel's: a result of
/// -1 becomes `-errno`. Everything here is for 64-bit Linux, x86-64 and aarch64.
@SuppressWarnings("restricted")
final class Native {
    static final ValueLayout.OfByte BYTE = ValueLayout.JAVA_BYTE;
    static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
    static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;

    private static final Linker LINKER = Linker.nativeLinker();
    private static final StructLayout STATE = Linker.Option.captureStateLayout();
    private static final long ERRNO =
            STATE.byteOffset(MemoryLayout.PathElement.groupElement("errno"));
    private static final FunctionDescriptor SHAPE =
            FunctionDescriptor.of(LONG, LONG, LONG, LONG, LONG, LONG, LONG);

    /// Where the next call of a thread leaves its `errno`.
    private static final ThreadLocal<MemorySegment> STATES =
            ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(STATE));

    private Native() {}

    /// A function that reports failure by -1 and `errno`. As a constant of its class (`static
    /// final`) a call of it makes no object once it is compiled.
    ///
    /// Every function is called as if it took six 64-bit integers and gave one. On x86-64 and
    /// aarch64 Linux integers and addresses are passed in the same registers whatever their sizes,
    /// what a function does not take is ignored, and `...` in a prototype changes nothing. One
    /// shape for all is one piece of code that is made when a process starts; one for each
    /// prototype took a sixth of a guest's start.
    ///
    /// An address keeps no memory alive: the caller sees to that.
    ///
    /// @param handle takes where `errno` goes, and the six
    record Function(MethodHandle handle) {
        private long invoke(
                MemorySegment state,
                long arg0,
                long arg1,
                long arg2,
                long arg3,
                long arg4,
                long arg5) {
            try {
                return (long) handle.invokeExact(state, arg0, arg1, arg2, arg3, arg4, arg5);
            } catch (Throwable t) {
                throw unexpected(t);
            }
        }

        /// Calls it.
        ///
        /// @return the result, or `-errno`
        long call(long arg0, long arg1, long arg2, long arg3, long arg4, long arg5) {
            MemorySegment state = STATES.get();
            long result = invoke(state, arg0, arg1, arg2, arg3, arg4, arg5);
            return result == -1 ? -(long) state.get(INT, ERRNO) : result;
        }

        long call(long arg0, long arg1, long arg2) {
            return call(arg0, arg1, arg2, 0, 0, 0);
        }

        long call(long arg0, long arg1, long arg2, long arg3) {
            return call(arg0, arg1, arg2, arg3, 0, 0);
        }

        long call(long arg0, long arg1, long arg2, long arg3, long arg4) {
            return call(arg0, arg1, arg2, arg3, arg4, 0);
        }

        /// As [#call], of a function whose result is an `int`: half a register.
        int callInt(long arg0, long arg1, long arg2, long arg3, long arg4, long arg5) {
            MemorySegment state = STATES.get();
            int result = (int) invoke(state, arg0, arg1, arg2, arg3, arg4, arg5);
            return result == -1 ? -state.get(INT, ERRNO) : result;
        }

        int callInt() {
            return callInt(0, 0, 0, 0, 0, 0);
        }

        int callInt(long arg0) {
            return callInt(arg0, 0, 0, 0, 0, 0);
        }

        int callInt(long arg0, long arg1) {
            return callInt(arg0, arg1, 0, 0, 0, 0);
        }

        int callInt(long arg0, long arg1, long arg2) {
            return callInt(arg0, arg1, arg2, 0, 0, 0);
        }

        int callInt(long arg0, long arg1, long arg2, long arg3) {
            return callInt(arg0, arg1, arg2, arg3, 0, 0);
        }

        int callInt(long arg0, long arg1, long arg2, long arg3, long arg4) {
            return callInt(arg0, arg1, arg2, arg3, arg4, 0);
        }
    }

    /// A function of which only the result is known, and not why it failed. A call of it makes no
    /// object: the JDK makes one for each call that learns `errno`, and it is for the compiler to
    /// find out that nobody needs it.
    ///
    /// @param handle takes the six integers of [Function]
    record Plain(MethodHandle handle) {
        long call(long arg0, long arg1, long arg2, long arg3, long arg4, long arg5) {
            try {
                return (long) handle.invokeExact(arg0, arg1, arg2, arg3, arg4, arg5);
            } catch (Throwable t) {
                throw unexpected(t);
            }
        }
    }

    static Function function(String name) {
        return new Function(
                LINKER.downcallHandle(
                        symbol(name), SHAPE, Linker.Option.captureCallState("errno")));
    }

    static Plain plainFunction(String name) {
        return new Plain(LINKER.downcallHandle(symbol(name), SHAPE));
    }

    private static MemorySegment symbol(String name) {
        return LINKER.defaultLookup()
                .find(name)
                .orElseThrow(() -> new UnsatisfiedLinkError("the C library has no " + name));
    }

    /// Makes a call again and again while a signal interrupts it.
    static int retried(IntSupplier call) {
        int result;
        do {
            result = call.getAsInt();
        } while (result == -Errno.EINTR);
        return result;
    }

    /// Handles declare `Throwable`; what really comes out is an [Error] or unchecked.
    private static AssertionError unexpected(Throwable thrown) {
        if (thrown instanceof Error error) {
            throw error;
        }
        if (thrown instanceof RuntimeException exception) {
            throw exception;
        }
        return new AssertionError("downcall threw", thrown);
    }
}
