package org.splitring.xenbus;

import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.function.Consumer;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GrantException;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreException;

/// What one kind of device does at the steps of its backend's life. A [BackendMachine] calls these,
/// one at a time, on its executor; none of them waits for anybody but the store.
public interface BackendHooks {
    /// Writes what can be negotiated. It becomes visible together with the state InitWait. May run
    /// several times.
    ///
    /// @param keys a transaction
    /// @param folder of the backend
    void offer(StoreAccess keys, String folder) throws StoreException;

    /// Reads and checks the frontend's keys, once, maps its rings and binds its ports. When this
    /// throws nothing is left mapped or bound, and the frontend is refused with the message.
    ///
    /// @param frontend keys that a hostile guest wrote
    /// @param broken to be told, by any thread, why the connection has stopped by itself; never
    ///     after [Connection#close] has run its `closed`
    Connection connect(Keys frontend, Consumer<String> broken)
            throws StoreException, HandshakeException, GrantException, EventChannelException;

    /// Goes on with the connection of a process before this one that ended without a word. Both
    /// states are Connected and stay so: the frontend notices nothing. Otherwise as [#connect].
    ///
    /// @param own the backend's folder: what was offered stands there, and holds
    /// @return nothing when devices of this kind cannot do that
    /// @throws HandshakeException that says why this one cannot
    default Optional<Connection> resume(Keys own, Keys frontend, Consumer<String> broken)
            throws StoreException, HandshakeException, GrantException, EventChannelException {
        return Optional.empty();
    }

    /// Writes the device's properties. They become visible together with the state Connected; also
    /// when a connected device has changed ([BackendMachine#republish]). May run several times.
    ///
    /// @param keys a transaction
    /// @param folder of the backend
    void publish(StoreAccess keys, String folder) throws StoreException;

    /// The machine has ended: nothing is connected, and nothing will be.
    default void ended() {}

    /// What exists only while a frontend is connected. A new one for each time, so that nothing of
    /// an old connection can be met.
    interface Connection {
        /// Where its rings stand, for people who look for a fault. Not after [#close].
        ///
        /// @param executor where what was seen is put together
        default CompletableFuture<RingViews> rings(Executor executor) {
            return CompletableFuture.completedFuture(RingViews.NONE);
        }

        /// Takes nothing more from the ring, answers what was taken, unmaps and unbinds. Called
        /// once.
        ///
        /// @param executor where `closed` is run
        /// @param closed when nothing is mapped and no work is under way
        void close(Executor executor, Runnable closed);
    }
}
