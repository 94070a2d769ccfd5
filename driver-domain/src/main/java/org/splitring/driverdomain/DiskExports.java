package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.blkfront.VbdFrontend;
import org.splitring.blkfront.VbdFrontendOptions;
import org.splitring.blkfront.VbdUser;
import org.splitring.driverdomain.lab.VirtualDevice;
import org.splitring.driverdomain.nbd.NbdExport;
import org.splitring.driverdomain.nbd.NbdLimits;
import org.splitring.driverdomain.nbd.NbdServer;
import org.splitring.driverdomain.nbd.NbdTls;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.PageAllocator;
import org.splitring.hypervisor.attached.NettyDeviceLoop;
import org.splitring.xenbus.HandshakeException;

/// Offers the disks of a guest over NBD, each on a socket of its own from the moment when it is
/// connected until it goes, and all of them on a port.
final class DiskExports implements VbdUser, AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(DiskExports.class);

    /// Pages that grant table and rings need, generously.
    private static final int RESERVED_BYTES = 2 << 20;

    private static final int MAX_CLIENTS = 16;

    /// What clients of a disk that is being unplugged have for taking their answers.
    private static final Duration DRAIN = Duration.ofSeconds(5);

    private final NettyDeviceLoop loop;
    private final PageAllocator pages;
    private final long memoryBytes;
    private final Path sockets;
    private final @Nullable NbdServer portServer;
    private final Map<Integer, Served> served = new ConcurrentHashMap<>();
    private volatile int firstDisks;

    /// One disk that is offered.
    private final class Served {
        private final String name;
        private final NbdServer server;

        Served(String name, NbdServer server) {
            this.name = name;
            this.server = server;
        }

        /// Ends its clients. Whoever comes second waits for the first.
        synchronized void end() {
            if (portServer != null) {
                portServer.remove(name, DRAIN);
            }
            server.close(DRAIN);
        }
    }

    /// @param loop serves the disks and the clients
    /// @param sockets folder of the sockets: `xvda.nbd`
    /// @param tcpPort of the loopback address, if the disks shall be there too
    /// @param tls what clients of that port must begin with, if they must
    DiskExports(
            NettyDeviceLoop loop,
            PageAllocator pages,
            int memoryMib,
            Path sockets,
            @Nullable Integer tcpPort,
            @Nullable NbdTls tls)
            throws IOException {
        this.loop = loop;
        this.pages = pages;
        this.memoryBytes = (long) memoryMib << 20;
        this.sockets = sockets;
        if (tcpPort == null) {
            portServer = null;
        } else {
            portServer = new NbdServer(loop.eventLoop(), List.of(), NbdLimits.DEFAULT, tls);
            portServer.listenOnLoopback(tcpPort);
        }
    }

    /// How many disks the guest begins with; 0 from when those have come. They share three quarters
    /// of its memory; one that comes later gets half of what is free then.
    void expect(int disks) {
        firstDisks = disks;
    }

    private int clients() {
        int disks = firstDisks;
        long bytes =
                disks > 0
                        ? (memoryBytes - RESERVED_BYTES) * 3 / 4 / disks
                        : (long) pages.freeCount() * GuestMemory.PAGE_SIZE / 2;
        return Math.clamp(bytes / NbdServer.BYTES_PER_CLIENT, 1, MAX_CLIENTS);
    }

    @Override
    public VbdFrontendOptions options(int device) {
        return VbdFrontendOptions.DEFAULT.withBufferBytes(clients() * NbdServer.BYTES_PER_CLIENT);
    }

    @Override
    public void connected(int device, VbdFrontend disk) throws HandshakeException {
        String name = name(device, disk);
        NbdExport export = new NbdExport(name, "", new VbdDisk(disk));
        int clients = disk.maxBufferBytes() / NbdServer.BYTES_PER_CLIENT;
        NbdLimits limits =
                new NbdLimits(
                        clients,
                        NbdLimits.DEFAULT.handshakeNanos(),
                        NbdLimits.DEFAULT.stallNanos());
        NbdServer server = new NbdServer(loop.eventLoop(), List.of(export), limits);
        try {
            server.listen(sockets.resolve(name + ".nbd"));
        } catch (IOException e) {
            server.close();
            throw new HandshakeException(String.valueOf(e.getMessage()), e);
        }
        served.put(device, new Served(name, server));
        if (portServer != null) {
            portServer.add(export);
        }
        LOG.info("vbd/{} is offered as {}", device, name);
    }

    /// The toolstack's name becomes that of a file, so it must be one of this device's.
    static String name(int device, VbdFrontend disk) {
        return VirtualDevice.parse(disk.name())
                .filter(parsed -> parsed.number() == device)
                .map(VirtualDevice::name)
                .orElse("vbd" + device);
    }

    @Override
    public void leaving(int device, VbdFrontend vbd, Runnable done) {
        Thread.ofVirtual()
                .name("clients of vbd/" + device)
                .start(
                        () -> {
                            try {
                                Served disk = served.get(device);
                                if (disk != null) {
                                    disk.end();
                                }
                            } finally {
                                done.run();
                            }
                        });
    }

    @Override
    public void gone(int device, VbdFrontend vbd) {
        Served last = served.remove(device);
        if (last != null) {
            last.end();
        }
    }

    /// Clients are answered what they have asked for, and end. The disks are closed after this.
    @Override
    public void close() {
        if (portServer != null) {
            portServer.close();
        }
        served.values().forEach(disk -> disk.server.close());
    }
}
