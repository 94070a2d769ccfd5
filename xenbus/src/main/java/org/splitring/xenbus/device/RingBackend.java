package org.splitring.xenbus.device;

import java.util.function.Consumer;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GrantException;
import org.splitring.xenbus.BackendHooks;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.RingKeys;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreException;

/// The backend of a device with one ring of requests, whole: its driver adds what a request means
/// and, when there is something to say about the device, its properties.
///
///     backend  max-ring-page-order                      with InitWait
///     frontend ring-ref, event-channel, protocol        with Initialised
///     backend  the device's properties                  with Connected
public final class RingBackend implements BackendHooks {
    /// Writes a device's properties into its backend's folder. May run several times.
    @FunctionalInterface
    public interface Properties {
        /// Writes them.
        ///
        /// @param keys a transaction
        /// @param folder of the backend
        void write(StoreAccess keys, String folder) throws StoreException;
    }

    private final BackendContext context;
    private final RingShape shape;
    private final RequestHandler handler;
    private final Properties properties;

    public RingBackend(
            BackendContext context,
            RingShape shape,
            RequestHandler handler,
            Properties properties) {
        this.context = context;
        this.shape = shape;
        this.handler = handler;
        this.properties = properties;
    }

    /// One that has nothing to say about itself.
    public RingBackend(BackendContext context, RingShape shape, RequestHandler handler) {
        this(context, shape, handler, (keys, folder) -> {});
    }

    @Override
    public void offer(StoreAccess keys, String folder) throws StoreException {
        keys.write(folder + "/max-ring-page-order", Integer.toString(shape.maxPageOrder()));
    }

    @Override
    public Connection connect(Keys frontend, Consumer<String> broken)
            throws StoreException, HandshakeException, GrantException, EventChannelException {
        RingKeys keys = RingKeys.read(frontend, shape.maxPageOrder());
        return BackendRing.open(context, keys, shape, handler, broken);
    }

    @Override
    public void publish(StoreAccess keys, String folder) throws StoreException {
        properties.write(keys, folder);
    }
}
