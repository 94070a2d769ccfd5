package org.splitring.xenbus;

import java.util.concurrent.Executor;
import java.util.function.Consumer;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreException;

/// What one kind of device does at the steps of its frontend's life. A [FrontendMachine] calls
/// these, one at a time, on its executor; none of them waits for anybody but the store.
public interface FrontendHooks {
    /// Reads what the backend offers, allocates and grants rings, allocates ports. When this throws
    /// everything has been given back.
    ///
    /// @param guest the domain as it is attached now; another one after
    ///     [FrontendMachine#resume]
    /// @param backend the offer
    /// @param broken to be told, by any thread, why the connection is over for good: the backend
    ///     broke the protocol. The device answers what is outstanding by itself, and the backend is
    ///     told; there is no further connection.
    Connection prepare(GuestDomain guest, DevicePaths paths, Keys backend, Consumer<String> broken)
            throws StoreException, HandshakeException, EventChannelException;

    /// The state in which this kind of device says that its rings are there, which is what backends
    /// of the kind wait for: Initialised, or Connected at once, without waiting for the backend, as
    /// Linux's network frontend has it.
    default XenbusState publishedAs() {
        return XenbusState.INITIALISED;
    }

    /// The backend is gone or going, and a new connection is waited for. The old one is closed
    /// after this; what was not answered is the device's to send again on the next.
    default void lost(String reason) {}

    /// There will be no further connection: whatever is outstanding, and whatever is asked for
    /// later,
    /// ends with an error. Called once, after the last connection was closed.
    void ended(String reason);

    /// One connection to one backend: rings, references, ports.
    interface Connection {
        /// Writes where the rings are. It becomes visible together with the state
        /// [FrontendHooks#publishedAs]. May run several times.
        ///
        /// @param keys a transaction
        /// @param folder of the frontend
        void publish(StoreAccess keys, String folder) throws StoreException;

        /// The backend is connected: reads its properties and starts to use the rings. What was
        /// left over from an earlier connection goes first, in its order.
        void connected(Keys backend) throws StoreException, HandshakeException;

        /// The backend has written Connected again: its properties may have changed.
        default void changed(Keys backend) throws StoreException, HandshakeException {}

        /// The backend asks to leave and may come back: puts nothing more on the rings, and runs
        /// `quiet` when all that is on them has been answered.
        void pause(Executor executor, Runnable quiet);

        /// The device is going away for good: takes nothing new, and runs `quiet` when everything
        /// that was accepted has been answered.
        default void drain(Executor executor, Runnable quiet) {
            pause(executor, quiet);
        }

        /// Stops using the rings and gives everything back; what the backend still holds is put
        /// aside. Work that was not answered stays with the device. Called once, in any state.
        void close(Executor executor, Runnable closed);
    }
}
