package org.example.vrng;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import org.splitring.testkit.contract.DeviceContract;
import org.splitring.xenbus.device.BackendDriver;
import org.splitring.xenbus.device.FrontendDriver;

/// The contract of every device, for the entropy source.
public class VrngContractTest extends DeviceContract {
    @Override
    protected BackendDriver backendDriver() {
        return new VrngBackendDriver();
    }

    @Override
    protected FrontendDriver frontendDriver() {
        return new VrngFrontendDriver();
    }

    /// Reads some bytes as the guest's users do.
    @Override
    protected void work(Instance device) throws IOException {
        var socket = device.sockets().resolve("vrng" + device.device() + ".sock");
        try (SocketChannel user = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            user.connect(UnixDomainSocketAddress.of(socket));
            ByteBuffer bytes = ByteBuffer.allocate(VrngProtocol.MAX_BYTES);
            while (bytes.hasRemaining()) {
                if (user.read(bytes) < 0) {
                    throw new IOException("the device has closed");
                }
            }
        }
    }

    @Override
    protected int entryBytes() {
        return VrngProtocol.RING.entryBytes();
    }

    @Override
    protected void writeRequest(MemorySegment slot, int id, int gref) {
        VrngProtocol.REQUEST_ID.set(slot, id);
        VrngProtocol.REQUEST_GREF.set(slot, gref);
        VrngProtocol.REQUEST_SIZE.set(slot, VrngProtocol.MAX_BYTES);
    }
}
