package org.splitring.testkit.compare;

import java.io.IOException;
import org.splitring.testkit.PageCarrier;
import org.splitring.testkit.RawStoreClient;

/// One of the daemons under comparison.
interface StoreDaemon extends AutoCloseable {
    /// A new connection with the rights of a domain: of domain 0 any number, of a guest one, which
    /// begins anew each time the guest is introduced.
    RawStoreClient connect(int domain) throws IOException;

    /// The page of an introduced guest, if guests have pages.
    PageCarrier page(int domain) throws IOException;

    /// Returns when each connection has got what answered requests have caused.
    void settle() throws IOException;

    @Override
    void close() throws IOException;
}
