package org.splitring.testkit.compare;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.splitring.testkit.CXenstored;
import org.splitring.testkit.PageCarrier;
import org.splitring.testkit.RawStoreClient;

/// Xen's xenstored: domain 0 over its socket, guests over their pages.
final class TheirDaemon implements StoreDaemon {
    /// By how much its clock is faster: a guest may make only 200 changes in a second of it.
    private static final int CLOCK_SPEED = 1000;

    private final CXenstored daemon;

    /// @param folder empty
    TheirDaemon(Path folder, List<String> options) throws IOException, InterruptedException {
        List<String> all = new ArrayList<>(options);
        all.add("--timeout=watch-event=1000000"); // the clock runs fast
        daemon = CXenstored.start(folder, CLOCK_SPEED, all.toArray(String[]::new));
        for (int domain : RandomRequests.DOMAINS) {
            if (domain != 0) {
                daemon.create(domain);
            }
        }
    }

    @Override
    public RawStoreClient connect(int domain) throws IOException {
        return domain == 0 ? RawStoreClient.socket(daemon.socket()) : daemon.guest(domain);
    }

    @Override
    public PageCarrier page(int domain) throws IOException {
        return daemon.page(domain);
    }

    /// Has one thread, which queues events before the answer.
    @Override
    public void settle() {}

    @Override
    public void close() throws IOException {
        daemon.close();
    }
}
