package org.splitring.xenbus.store;

import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;
import org.splitring.hypervisor.DomId;

/// A store with a Unix socket, for programs of others that act as domain 0.
final class HostSocket implements AutoCloseable {
    final StoreTree tree = new StoreTree();
    final Store control = tree.connection(DomId.ZERO, Runnable::run);
    private final MultiThreadIoEventLoopGroup group =
            new MultiThreadIoEventLoopGroup(1, EpollIoHandler.newFactory());
    private final Path path;
    private final StoreSocket socket;

    HostSocket(Path folder) throws IOException {
        path = folder.resolve("socket");
        socket = StoreSocket.listen(path, new StoreWireServer(tree), group.next());
    }

    /// Skips the test without a program, or fails it where the environment says `CI=true`. The test
    /// kit has a class for this, but it is built on this module.
    static void require(Path file, String debianPackage) {
        if (!Files.isReadable(file)) {
            String message = file + " is not installed: apt-get install " + debianPackage;
            if (Optional.ofNullable(System.getenv("CI")).orElse("").equals("true")) {
                throw new AssertionError(message);
            }
            Assumptions.abort(message);
        }
    }

    /// Starts a program that knows of the store by `XENSTORED_PATH` alone.
    Process start(List<String> command) throws IOException {
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().keySet().removeIf(name -> name.startsWith("XENSTORE"));
        builder.environment().put("XENSTORED_PATH", path.toString());
        return builder.start();
    }

    @Override
    public void close() {
        socket.close();
        group.shutdownGracefully(0, 5, TimeUnit.SECONDS).awaitUninterruptibly(10, TimeUnit.SECONDS);
        tree.checkBooks();
    }
}
