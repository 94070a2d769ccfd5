package org.splitring.devices;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.locks.LockSupport;
import org.splitring.console.back.ConsoleBackendDriver;
import org.splitring.console.front.ConsoleFrontendDriver;
import org.splitring.testkit.contract.DeviceContract;
import org.splitring.xenbus.device.BackendDriver;
import org.splitring.xenbus.device.FrontendDriver;

/// The console keeps the contract of devices. A piece of work is a word that a program prints and a
/// viewer sees. What a backend had not taken when it left is printed once more.
public class ConsoleContractTest extends DeviceContract {
    @Override
    protected BackendDriver backendDriver() {
        return new ConsoleBackendDriver();
    }

    @Override
    protected FrontendDriver frontendDriver() {
        return new ConsoleFrontendDriver();
    }

    @Override
    protected int entryBytes() {
        return 0; // bytes, not requests of one size: HostileStreamsTest attacks them
    }

    @Override
    protected void writeRequest(MemorySegment slot, int id, int gref) {
        throw new UnsupportedOperationException("no ring of requests");
    }

    private Path viewers(int device) {
        return files().resolve("console" + device);
    }

    @Override
    protected Map<String, String> backendParameters(int device) {
        return Map.of("socket", viewers(device).toString());
    }

    @Override
    protected void work(Instance device) throws Exception {
        Path programs = device.sockets().resolve("console" + device.device() + ".sock");
        ByteBuffer word =
                ByteBuffer.wrap((UUID.randomUUID() + "\n").getBytes(StandardCharsets.US_ASCII));
        try (SocketChannel program = connect(programs)) {
            while (!isShown(device.device(), programs, program, word)) {
                LockSupport.parkNanos(1_000_000); // the backend has gone: its successor is asked
            }
        }
    }

    private static SocketChannel connect(Path socket) throws IOException {
        SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        try {
            channel.connect(UnixDomainSocketAddress.of(socket));
            return channel;
        } catch (IOException e) {
            channel.close();
            throw e;
        }
    }

    /// Looks on before the word is printed: what a backend has shown, its successor does not know.
    ///
    /// @return `false` when the backend went before the word was seen
    private boolean isShown(int device, Path programs, SocketChannel program, ByteBuffer word)
            throws IOException {
        String wanted = StandardCharsets.US_ASCII.decode(word.duplicate()).toString();
        StringBuilder seen = new StringBuilder();
        try (SocketChannel viewer = connect(viewers(device))) {
            ByteBuffer printed = word.duplicate();
            while (printed.hasRemaining()) {
                program.write(printed);
            }
            ByteBuffer bytes = ByteBuffer.allocate(4096);
            while (seen.indexOf(wanted) < 0) {
                if (viewer.read(bytes.clear()) < 0) {
                    return false;
                }
                seen.append(StandardCharsets.US_ASCII.decode(bytes.flip()));
            }
            return true;
        } catch (IOException e) {
            if (Files.notExists(programs)) {
                throw e; // the device has gone
            }
            return false;
        }
    }
}
