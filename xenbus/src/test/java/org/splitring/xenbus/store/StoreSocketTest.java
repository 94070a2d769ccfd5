package org.splitring.xenbus.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.netty.buffer.Unpooled;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// The socket of the tools, with plain blocking clients.
@Timeout(60)
class StoreSocketTest {
    @TempDir private Path folder;

    private final MultiThreadIoEventLoopGroup group =
            new MultiThreadIoEventLoopGroup(1, EpollIoHandler.newFactory());
    private final StoreTree tree = new StoreTree();
    private @Nullable StoreSocket socket;

    private Path path() {
        return folder.resolve("xenstored/socket");
    }

    private void listen(int maxConnections) throws IOException {
        socket =
                StoreSocket.listen(path(), new StoreWireServer(tree), group.next(), maxConnections);
    }

    @AfterEach
    void stop() throws InterruptedException {
        if (socket != null) {
            socket.close();
        }
        group.shutdownGracefully(0, 5, TimeUnit.SECONDS).await(10, TimeUnit.SECONDS);
    }

    private SocketChannel connect() throws IOException {
        return SocketChannel.open(UnixDomainSocketAddress.of(path()));
    }

    private static void send(SocketChannel client, WireMessage message) throws IOException {
        ByteBuf bytes = message.encode(ByteBufAllocator.DEFAULT);
        ByteBuffer buffer = bytes.nioBuffer();
        while (buffer.hasRemaining()) {
            client.write(buffer);
        }
        bytes.release();
    }

    private static WireMessage receive(SocketChannel client) throws Exception {
        byte[] header = Channels.newInputStream(client).readNBytes(16);
        ByteBuf in = Unpooled.buffer().writeBytes(header);
        assertEquals(16, header.length, "the server has hung up");
        in.writeBytes(Channels.newInputStream(client).readNBytes((int) in.getUnsignedIntLE(12)));
        WireMessage message = WireMessage.take(in);
        return Objects.requireNonNull(message);
    }

    private static void read(SocketChannel client, String path) throws IOException {
        send(client, new WireMessage(2, 1, 0, WireMessage.strings(path)));
    }

    @Test
    void manyClientsAreServedAsDomain0AndOthersMayNotConnect() throws Exception {
        listen(100);
        assertEquals(
                "rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(path())));
        List<SocketChannel> clients = new ArrayList<>();
        for (int i = 0; i < 50; i++) {
            clients.add(connect());
        }
        for (SocketChannel client : clients) {
            read(client, "/");
        }
        for (SocketChannel client : clients) {
            assertEquals(2, receive(client).type());
            client.close();
        }
        assertTrue(StoreSocket.isServed(0, 1000));
        assertTrue(StoreSocket.isServed(1000, 1000));
        assertFalse(StoreSocket.isServed(1001, 1000));
        assertFalse(StoreSocket.isServed(1001, 0));
    }

    @Test
    void h128_whoComesAtTheLimitWaitsAndIsServedLater() throws Exception {
        listen(2);
        SocketChannel first = connect();
        SocketChannel second = connect();
        read(first, "/");
        read(second, "/");
        receive(first);
        receive(second);
        SocketChannel third = connect(); // by the kernel only
        read(third, "/");
        third.configureBlocking(false);
        for (int i = 0; i < 100; i++) { // the server is busy with others all the while
            read(first, "/");
            receive(first);
        }
        assertEquals(0, third.read(ByteBuffer.allocate(1)), "served beyond the limit");
        second.close();
        third.configureBlocking(true);
        assertEquals(2, receive(third).type());
        first.close();
        third.close();
        try (SocketChannel fourth = connect()) {
            read(fourth, "/");
            assertEquals(2, receive(fourth).type());
        }
    }

    @Test
    void aSocketInUseIsLeftAloneAndADeadOneReplaced() throws Exception {
        listen(2);
        IOException busy =
                assertThrows(
                        IOException.class,
                        () -> StoreSocket.listen(path(), new StoreWireServer(tree), group.next()));
        assertTrue(busy.toString().contains("another process"), busy.toString());
        assertEquals(1, connectAndRead());
        Objects.requireNonNull(socket).close();
        assertFalse(Files.exists(path()));
        try (ServerSocketChannel dead = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            dead.bind(UnixDomainSocketAddress.of(path())); // closing does not take the file away
        }
        listen(2);
        assertEquals(1, connectAndRead());
    }

    private int connectAndRead() throws Exception {
        try (SocketChannel client = connect()) {
            read(client, "/");
            return receive(client).requestId();
        }
    }

    @Test
    void aPathThatIsTooLongOrAFileIsNamed() throws Exception {
        Path tooLong = folder.resolve("x".repeat(110));
        IOException e =
                assertThrows(
                        IOException.class,
                        () -> StoreSocket.listen(tooLong, new StoreWireServer(tree), group.next()));
        assertTrue(e.toString().contains("at most 107"), e.toString());
        Files.createDirectories(path().getParent());
        Files.writeString(path(), "something");
        e =
                assertThrows(
                        IOException.class,
                        () -> StoreSocket.listen(path(), new StoreWireServer(tree), group.next()));
        assertTrue(e.toString().contains("something else"), e.toString());
        assertEquals("something", Files.readString(path()));
    }
}
