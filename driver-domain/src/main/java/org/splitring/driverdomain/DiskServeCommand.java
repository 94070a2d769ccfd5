package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.DiskAccess;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.DiskImage;
import org.splitring.blkback.DiskMode;
import org.splitring.blkback.DiskWorkers;
import org.splitring.blkback.WorkShares;
import org.splitring.driverdomain.nbd.NbdExport;
import org.splitring.driverdomain.nbd.NbdLimits;
import org.splitring.driverdomain.nbd.NbdServer;
import org.splitring.driverdomain.nbd.NbdTls;
import org.splitring.hypervisor.attached.NettyDeviceLoop;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// `splitring disk serve`: an image over NBD, without guest and ring.
@Command(
        name = "serve",
        description = {
            "Offer an image over NBD, without guest and lab, until it is told to stop (Ctrl-C).",
            "Nobody else can use the image meanwhile, unless all do so read-only. What was written"
                    + " is stable when this has ended."
        },
        mixinStandardHelpOptions = true,
        footer = {
            "",
            "For example: ./splitring disk serve -f qcow2 web.qcow2 --socket web.nbd",
            "             nbdcopy 'nbd+unix:///?socket=web.nbd' web.img"
        })
final class DiskServeCommand extends DiskCommand.OnImages {
    /// Threads that wait for storage where the kernel does not do it alone.
    private static final int WORKERS = 4;

    private static final int MAX_NAME_BYTES = 4096; // of the protocol
    private static final int MAX_CONNECTIONS = 1000;

    @Option(
            names = {"-f", "--format"},
            required = true,
            description = "Format of the image: raw, qcow2, vhd, extents.")
    private String format = "";

    @Option(names = "--socket", paramLabel = "PATH", description = "Unix socket, which is made.")
    private @Nullable Path socket;

    @Option(
            names = "--port",
            paramLabel = "NUMBER",
            description = "TCP port of the loopback address; 0 for any that is free.")
    private @Nullable Integer port;

    @Option(
            names = "--name",
            paramLabel = "NAME",
            description = "Name of the export. Clients that name none get it in any case.")
    private String name = "";

    @Option(
            names = {"-r", "--read-only"},
            description = "Open the image read-only, and let nobody write.")
    private boolean readOnly;

    @Option(
            names = "--cache",
            paramLabel = "MODE",
            description =
                    "writeback: stable after a flush; writethrough: each write is stable; direct:"
                            + " as writeback, past the page cache; unsafe: a flush does nothing"
                            + " (default: ${DEFAULT-VALUE}).")
    private String cache = DiskMode.WRITEBACK.label();

    @Option(
            names = "--connections",
            paramLabel = "NUMBER",
            description =
                    "Clients at once on each of socket and port (default: ${DEFAULT-VALUE}); each"
                            + " takes 2 MiB.")
    private int connections = NbdLimits.DEFAULT.maxConnections();

    @Option(
            names = "--tls-certificate",
            paramLabel = "FILE",
            description = "In PEM: clients of the port have to begin with TLS.")
    private @Nullable Path certificate;

    @Option(names = "--tls-key", paramLabel = "FILE", description = "Its key, PKCS#8 in PEM.")
    private @Nullable Path key;

    @Option(
            names = "--tls-client-ca",
            paramLabel = "FILE",
            description = "Authorities in PEM: clients have to show a certificate of one of them.")
    private @Nullable Path clientCa;

    @Mixin private DiskCommand.Folders folders = new DiskCommand.Folders();

    @Parameters(
            index = "0",
            paramLabel = "IMAGE",
            description = "A file, a block device, or a server's export: nbd://HOST/NAME.")
    private String image = "";

    private final StopSignal stop = new StopSignal();

    @Override
    int run() throws DiskException, CommandException {
        check();
        NbdTls tls = tls();
        DiskMode mode = DiskMode.parse(cache);
        DiskAccess access = readOnly ? DiskAccess.READ_ONLY : DiskAccess.READ_WRITE;
        try (DiskImage disk =
                DiskImage.open(source(image, format), access, mode, folders.folders())) {
            serve(disk, tls);
        }
        return 0;
    }

    private void check() throws CommandException {
        if (socket == null && port == null) {
            throw new CommandException("neither --socket nor --port says where to offer it");
        }
        if (port != null && (port < 0 || port > 65535)) {
            throw new CommandException("--port " + port + " is not between 0 and 65535");
        }
        if (connections < 1 || connections > MAX_CONNECTIONS) {
            throw new CommandException(
                    "--connections " + connections + " is not between 1 and " + MAX_CONNECTIONS);
        }
        if (name.getBytes(StandardCharsets.UTF_8).length > MAX_NAME_BYTES
                || name.indexOf('\0') >= 0) {
            throw new CommandException("--name is longer than " + MAX_NAME_BYTES + " bytes");
        }
    }

    private @Nullable NbdTls tls() throws CommandException {
        if (certificate == null && key == null && clientCa == null) {
            return null;
        }
        if (certificate == null || key == null) {
            throw new CommandException("TLS needs both --tls-certificate and --tls-key");
        }
        if (port == null) {
            throw new CommandException("TLS is for --port, which is missing");
        }
        try {
            return NbdTls.load(certificate, key, clientCa);
        } catch (IOException e) {
            throw new CommandException("--tls: " + e.getMessage(), e);
        }
    }

    private void serve(DiskImage image, @Nullable NbdTls tls) throws CommandException {
        try (NettyDeviceLoops loops = new NettyDeviceLoops("nbd", 1);
                DiskWorkers workers = new DiskWorkers(WORKERS)) {
            NettyDeviceLoop loop = loops.loop(0);
            ImageDisk disk = new ImageDisk(image, workers.share(WorkShares.DEFAULT_WEIGHT), loop);
            NbdExport export = new NbdExport(name, "", disk);
            List<NbdServer> servers = new ArrayList<>();
            List<String> uris = new ArrayList<>();
            try {
                if (socket != null) {
                    NbdServer server = server(loop, export, null);
                    servers.add(server);
                    server.listen(socket);
                    uris.add(NbdUri.of(socket, name));
                }
                if (port != null) {
                    NbdServer server = server(loop, export, tls);
                    servers.add(server);
                    uris.add(NbdUri.of(server.listenOnLoopback(port), tls != null, name));
                }
                stop.install();
                for (String uri : uris) {
                    out().println("serving " + image + ", " + size(image) + ", at " + uri);
                }
                out().flush();
                ServiceManager.tellReady();
                stop.await();
            } finally {
                servers.forEach(NbdServer::close);
            }
        } catch (IOException e) {
            throw new CommandException(String.valueOf(e.getMessage()), e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private NbdServer server(NettyDeviceLoop loop, NbdExport export, @Nullable NbdTls tls) {
        NbdLimits limits =
                new NbdLimits(
                        connections,
                        NbdLimits.DEFAULT.handshakeNanos(),
                        NbdLimits.DEFAULT.stallNanos());
        NbdServer server = new NbdServer(loop.eventLoop(), List.of(export), limits, tls);
        server.lookOut(loop);
        return server;
    }

    private static String size(DiskImage image) {
        return Sizes.text(image.sizeBytes());
    }
}
