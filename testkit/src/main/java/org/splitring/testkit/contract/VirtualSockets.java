package org.splitring.testkit.contract;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;

/// The JDK starts its pollers when the first virtual thread waits for a socket, and keeps them: a
/// test that looks for leaks wants that behind it.
final class VirtualSockets {
    private VirtualSockets() {}

    /// Lets two virtual threads wait for a socket each.
    ///
    /// @param folder for a socket
    static void warmUp(Path folder) throws Exception {
        Path path = folder.resolve("warm-up");
        try (ServerSocketChannel listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            listener.bind(UnixDomainSocketAddress.of(path));
            Thread server =
                    Thread.ofVirtual()
                            .start(
                                    () -> {
                                        try (SocketChannel connection = listener.accept()) {
                                            connection.read(ByteBuffer.allocate(1));
                                        } catch (IOException e) {
                                            throw new IllegalStateException(e);
                                        }
                                    });
            try (SocketChannel client = SocketChannel.open(StandardProtocolFamily.UNIX)) {
                Bounded.until(
                        () -> "a virtual thread waits for a socket",
                        () -> server.getState() == Thread.State.WAITING);
                client.connect(UnixDomainSocketAddress.of(path));
                client.write(ByteBuffer.wrap(new byte[1]));
                server.join();
            }
        } finally {
            Files.deleteIfExists(path);
        }
    }
}
