package org.splitring.xenbus.device;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.BindException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// A Unix socket on which a device shows itself to the guest's users.
final class DeviceSocket implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(DeviceSocket.class);

    /// Users at a time; the next one waits in the queue of the socket.
    private static final int MAX_CONNECTIONS = 32;

    private final Path path;
    private final ServerSocketChannel listener;
    private final StreamServer server;
    private final Semaphore places = new Semaphore(MAX_CONNECTIONS);
    private final Set<SocketChannel> connections = ConcurrentHashMap.newKeySet();

    private DeviceSocket(Path path, ServerSocketChannel listener, StreamServer server) {
        this.path = path;
        this.listener = listener;
        this.server = server;
    }

    /// Listens from now on. A socket that a killed process left under the name is replaced, one
    /// that somebody listens on is not.
    ///
    /// @throws DeviceException when the socket cannot be made
    static DeviceSocket expose(Path path, StreamServer server) throws DeviceException {
        try {
            return open(path, server);
        } catch (IOException e) {
            throw new DeviceException("socket " + path + " cannot be made: " + e, e);
        }
    }

    private static DeviceSocket open(Path path, StreamServer server) throws IOException {
        Path folder = path.toAbsolutePath().getParent();
        if (folder != null) {
            Files.createDirectories(folder);
        }
        if (isInUse(path)) {
            throw new BindException("another device has it");
        }
        Files.deleteIfExists(path);
        ServerSocketChannel listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        boolean bound = false;
        try {
            listener.bind(UnixDomainSocketAddress.of(path));
            bound = true;
        } finally {
            if (!bound) {
                listener.close();
            }
        }
        DeviceSocket socket = new DeviceSocket(path, listener, server);
        Thread.ofVirtual().name("socket " + path.getFileName()).start(socket::accept);
        return socket;
    }

    private static boolean isInUse(Path path) {
        try (SocketChannel other = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            return other.connect(UnixDomainSocketAddress.of(path));
        } catch (IOException e) {
            return false; // nobody answers
        }
    }

    private void accept() {
        try {
            while (true) {
                places.acquire();
                SocketChannel connection = listener.accept();
                connections.add(connection);
                if (!listener.isOpen()) {
                    connection.close(); // it came while we closed
                }
                Thread.ofVirtual().start(() -> serve(connection));
            }
        } catch (ClosedChannelException e) {
            LOG.debug("{}: closed", path);
        } catch (IOException e) {
            LOG.warn("{}: no connections any more", path, e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void serve(SocketChannel connection) {
        try (connection) {
            InputStream in = Channels.newInputStream(connection);
            OutputStream out = Channels.newOutputStream(connection);
            server.serve(in, out);
        } catch (IOException e) {
            LOG.debug("{}: {}", path, e.getMessage()); // users come and go as they like
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (RuntimeException e) {
            LOG.warn("{}: the device failed", path, e);
        } finally {
            connections.remove(connection);
            places.release();
        }
    }

    /// Closes all connections, and takes the name away.
    @Override
    public void close() throws IOException {
        listener.close();
        for (SocketChannel connection : connections) {
            connection.close();
        }
        Files.deleteIfExists(path);
    }
}
