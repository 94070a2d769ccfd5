package org.splitring.console.back;

import java.lang.foreign.MemorySegment;
import java.util.function.Consumer;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantException;
import org.splitring.ring.ConsoleRing;
import org.splitring.xenbus.BackendHooks;
import org.splitring.xenbus.HandshakeException;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.device.BackendContext;
import org.splitring.xenbus.device.StreamRing;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreException;

/// Backend of one console device.
///
///     frontend ring-ref, port       with Initialised
///
/// Source: Xen `public/io/console.h` and `docs/misc/console.txt`; the keys of a console that is a
/// device, as guests have their second one.
final class ConsoleBackend implements BackendHooks {
    private final BackendContext context;
    private final GuestConsole console;

    ConsoleBackend(BackendContext context, GuestConsole console) {
        this.context = context;
        this.console = console;
    }

    @Override
    public void offer(StoreAccess keys, String folder) {
        // There is nothing to negotiate.
    }

    @Override
    public Connection connect(Keys frontend, Consumer<String> broken)
            throws StoreException, HandshakeException, GrantException, EventChannelException {
        int gref = (int) frontend.number("ring-ref", 0, 0xFFFF_FFFFL);
        int remotePort = (int) frontend.number("port", 1, Integer.MAX_VALUE);
        DomId guest = context.paths().frontendDomain();
        ForeignPages pages = context.domain().foreignPages(guest, 1);
        boolean opened = false;
        try {
            MemorySegment page = pages.mapContiguous(new int[] {gref});
            EventChannel port = context.domain().eventChannels().bindInterdomain(guest, remotePort);
            StreamRing ring =
                    StreamRing.start(
                            ConsoleRing.backend(page), port, context.loop(), new Object(), broken);
            ConsoleConnection connection = new ConsoleConnection(pages, page, ring, console);
            connection.start();
            opened = true;
            return connection;
        } finally {
            if (!opened) {
                pages.close();
            }
        }
    }

    @Override
    public void publish(StoreAccess keys, String folder) {
        // A console has no properties.
    }
}
