package org.splitring.driverdomain.nbd;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.netty.channel.IoEventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.blkback.nbd.NbdProtocol;

/// Disks come to a running server and are taken away from it.
@Timeout(60)
class NbdRemovalTest {
    private static final Duration PATIENCE = Duration.ofSeconds(20);

    @TempDir Path dir;
    private final IoEventLoopGroup group =
            new MultiThreadIoEventLoopGroup(1, EpollIoHandler.newFactory());
    private final MemoryDisk first = new MemoryDisk(1 << 20, group.next());
    private final MemoryDisk second = new MemoryDisk(2 << 20, group.next());
    private NbdServer server;
    private Path socket;

    @BeforeEach
    void start() throws IOException {
        server = new NbdServer(group.next(), List.of(), NbdLimits.DEFAULT);
        socket = dir.resolve("all.nbd");
        server.listen(socket);
    }

    @AfterEach
    void stop() {
        server.close();
        assertEquals(0, first.lentCount + second.lentCount, "buffers after close");
        group.shutdownGracefully(0, 1, TimeUnit.SECONDS).syncUninterruptibly();
    }

    private CompletableFuture<Void> remove(String name, Duration drain) {
        return CompletableFuture.runAsync(() -> server.remove(name, drain));
    }

    @Test
    void theDiskOfTheLowestNameIsTheDefault() throws IOException {
        assertThrows(IOException.class, () -> new RawNbdClient(socket).go().close());
        server.add(new NbdExport("xvdb", "", second));
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            assertEquals(2 << 20, client.size);
        }
        server.add(new NbdExport("xvda", "", first));
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            assertEquals(1 << 20, client.size);
        }
    }

    @Test
    void whatWasAskedOfADiskIsAnsweredBeforeItGoes() throws Exception {
        server.add(new NbdExport("xvda", "", first));
        server.add(new NbdExport("xvdb", "", second));
        try (RawNbdClient leaving = new RawNbdClient(socket).go();
                RawNbdClient staying = new RawNbdClient(socket).go("xvdb")) {
            first.holding = true;
            leaving.write(0, 1, 0, new byte[4096]);
            leaving.request(0, NbdProtocol.CMD_WRITE, 2, 4096, 8192);
            leaving.send(ByteBuffer.allocate(4096).position(4096)); // and the rest later
            await().atMost(PATIENCE).until(() -> first.writes == 1);
            CompletableFuture<Void> removed = remove("xvda", PATIENCE);
            await().atMost(PATIENCE)
                    .until(
                            () -> {
                                try (RawNbdClient late = new RawNbdClient(socket)) {
                                    return late.go().size == 2 << 20; // xvda is offered no longer
                                }
                            });
            assertFalse(removed.isDone(), "requests are outstanding");
            leaving.send(ByteBuffer.allocate(4096).position(4096));
            await().atMost(PATIENCE).until(() -> first.writes == 2);
            first.letGo();
            assertEquals(new RawNbdClient.Reply(0, 1), leaving.reply());
            assertEquals(new RawNbdClient.Reply(0, 2), leaving.reply());
            leaving.awaitClosed();
            removed.get(20, TimeUnit.SECONDS);
            staying.request(0, NbdProtocol.CMD_READ, 3, 0, 512);
            assertEquals(new RawNbdClient.Reply(0, 3), staying.reply());
        }
    }

    @Test
    void aClientThatDoesNotFinishIsCutOff() throws Exception {
        server.add(new NbdExport("xvda", "", first));
        try (RawNbdClient client = new RawNbdClient(socket).go()) {
            client.request(0, NbdProtocol.CMD_WRITE, 2, 0, 8192);
            client.send(ByteBuffer.allocate(4096).position(4096));
            await().atMost(PATIENCE).until(() -> server.metrics().requests() == 1);
            remove("xvda", Duration.ofMillis(100)).get(20, TimeUnit.SECONDS);
            client.awaitClosed();
        }
    }
}
