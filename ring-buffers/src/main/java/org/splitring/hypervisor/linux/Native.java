package org.splitring.hypervisor.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.List;

/// Finds functions of the C library and turns their way of failing into the kernel's: a result of
/// -1 becomes `-errno`. Everything here is for 64-bit Linux, x86-64 and aarch64.
@SuppressWarnings("restricted")
final class Native {
    static final ValueLayout.OfByte BYTE = ValueLayout.JAVA_BYTE;
    static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
    static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
    static final ValueLayout POINTER = ValueLayout.ADDRESS;

    private static final Linker LINKER = Linker.nativeLinker();
    private static final StructLayout STATE = Linker.Option.captureStateLayout();
    private static final VarHandle ERRNO =
            STATE.varHandle(MemoryLayout.PathElement.groupElement("errno"))
                    .withInvokeExactBehavior();
    private static final ThreadLocal<MemorySegment> STATES =
            ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(STATE));

    private Native() {}

    /// A function that reports failure by -1 and `errno`. The handle takes [#state] first.
    static MethodHandle function(String name, ValueLayout result, ValueLayout... arguments) {
        return link(name, -1, result, arguments);
    }

    /// A function of which only the result is known, and not why it failed. Its handle takes no
    /// state, and a call of it makes no object: the JDK makes one for each call that has a state,
    /// and it is for the compiler to find out that nobody needs it.
    static MethodHandle plainFunction(String name, ValueLayout result, ValueLayout... arguments) {
        return LINKER.downcallHandle(symbol(name), FunctionDescriptor.of(result, arguments));
    }

    /// As [#function], for a function with `...` in its prototype: from argument `firstVariadic`
    /// on. aarch64 and x86-64 Linux pass them alike today; the ABI of others does not.
    static MethodHandle variadic(
            String name, int firstVariadic, ValueLayout result, ValueLayout... arguments) {
        return link(name, firstVariadic, result, arguments);
    }

    /// A function that gives nothing and cannot fail. The handle takes no state.
    static MethodHandle procedure(String name, ValueLayout... arguments) {
        return LINKER.downcallHandle(symbol(name), FunctionDescriptor.ofVoid(arguments));
    }

    private static MethodHandle link(
            String name, int firstVariadic, ValueLayout result, ValueLayout... arguments) {
        List<Linker.Option> options = new ArrayList<>();
        options.add(Linker.Option.captureCallState("errno"));
        if (firstVariadic >= 0) {
            options.add(Linker.Option.firstVariadicArg(firstVariadic));
        }
        return LINKER.downcallHandle(
                symbol(name),
                FunctionDescriptor.of(result, arguments),
                options.toArray(new Linker.Option[0]));
    }

    private static MemorySegment symbol(String name) {
        return LINKER.defaultLookup()
                .find(name)
                .orElseThrow(() -> new UnsatisfiedLinkError("the C library has no " + name));
    }

    /// Where the next call of this thread leaves its `errno`.
    static MemorySegment state() {
        return STATES.get();
    }

    /// The result of a call, or `-errno` when it is -1.
    static int orErrno(int result, MemorySegment state) {
        return result == -1 ? -(int) ERRNO.get(state, 0L) : result;
    }

    /// The result of a call, or `-errno` when it is -1.
    static long orErrno(long result, MemorySegment state) {
        return result == -1 ? -(long) (int) ERRNO.get(state, 0L) : result;
    }

    /// One call of a handle of [#function] or [#variadic].
    @FunctionalInterface
    interface IntCall {
        int call(MemorySegment state) throws Throwable;
    }

    /// As [IntCall], for a function whose result is a `long` of C.
    @FunctionalInterface
    interface LongCall {
        long call(MemorySegment state) throws Throwable;
    }

    /// Makes a call of the control plane. Where calls are so many that an object for each would
    /// count, the handle is called directly.
    ///
    /// @return the result, or `-errno`
    static int call(IntCall call) {
        MemorySegment state = state();
        try {
            return orErrno(call.call(state), state);
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    /// As [#call].
    static long callLong(LongCall call) {
        MemorySegment state = state();
        try {
            return orErrno(call.call(state), state);
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    /// As [#call], again and again while a signal interrupts it.
    static int retried(IntCall call) {
        int result;
        do {
            result = call(call);
        } while (result == -Errno.EINTR);
        return result;
    }

    /// Handles declare `Throwable`; what really comes out is an [Error] or unchecked.
    static AssertionError unexpected(Throwable thrown) {
        if (thrown instanceof Error error) {
            throw error;
        }
        if (thrown instanceof RuntimeException exception) {
            throw exception;
        }
        return new AssertionError("downcall threw", thrown);
    }
}
