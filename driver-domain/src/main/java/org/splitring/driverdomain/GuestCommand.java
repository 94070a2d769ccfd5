package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.splitring.driverdomain.nbd.NbdTls;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/// `splitring guest`: the process of a `java` guest. Started by `up`, to which it says one line on
/// its standard output: `ready`, or `error` and why. It ends when the store tells it to
/// (`control/shutdown`), or when it has been without a driver domain for a minute.
@Command(
        name = "guest",
        description = "Run one guest (started by up).",
        mixinStandardHelpOptions = true,
        hidden = true)
final class GuestCommand implements Callable<Integer> {
    static final String READY = "ready";
    static final String ERROR = "error ";

    @Option(names = "--attach", required = true, description = "Attach socket of the domain.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private Path attach;

    @Option(names = "--memory", required = true, description = "Memory in MiB.")
    private int memoryMib;

    @Option(names = "--sockets", required = true, description = "Folder of the NBD sockets.")
    @SuppressWarnings("NullAway.Init") // picocli sets it
    private Path sockets;

    @Option(names = "--tcp", description = "Loopback port on which the disks are exported too.")
    private @Nullable Integer tcpPort;

    @Option(names = "--tls-certificate", description = "PEM: without TLS nobody is let in there.")
    private @Nullable Path tlsCertificate;

    @Option(names = "--tls-key", description = "PEM: of that certificate.")
    private @Nullable Path tlsKey;

    @Option(names = "--tls-client-ca", description = "PEM: whose certificates clients must show.")
    private @Nullable Path tlsClientCa;

    @Option(
            names = "--xenstore",
            defaultValue = "SOCKET",
            description = "Way to the store, SOCKET or PAGE: the rings of Xen's guests.")
    private StoreWay storeWay = StoreWay.SOCKET;

    @Option(names = "--class", description = "Class that runs here and has the devices.")
    private @Nullable String className;

    @Option(names = "--jar", description = "Where that class is.")
    private @Nullable Path jar;

    @Option(names = "--arg", description = "An argument of that class.")
    private List<String> arguments = List.of();

    @Override
    public Integer call() throws Exception {
        try (GuestProgram program = new GuestProgram(attach, memoryMib, storeWay)) {
            if (className != null && jar != null) {
                program.serveClass(sockets, jar, className, arguments);
            } else {
                program.serveDevices(sockets, tcpPort, tls());
            }
            System.out.println(READY);
            program.openConsole(sockets);
            program.awaitEnd();
        } catch (IOException e) {
            System.out.println(ERROR + e.getMessage());
            return 1;
        }
        return 0;
    }

    private @Nullable NbdTls tls() throws IOException {
        if (tlsCertificate == null || tlsKey == null) {
            return null;
        }
        return NbdTls.load(tlsCertificate, tlsKey, tlsClientCa);
    }
}
