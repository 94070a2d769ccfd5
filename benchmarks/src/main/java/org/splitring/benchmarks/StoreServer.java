package org.splitring.benchmarks;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.hypervisor.linux.UnixSocket;
import org.splitring.xenbus.store.StoreSocket;
import org.splitring.xenbus.store.StoreTree;
import org.splitring.xenbus.store.StoreWireClient;
import org.splitring.xenbus.store.StoreWireServer;

/// Our store as the program runs it, alone in a JVM: `StoreServer SOCKET`.
///
/// Says `ready`, then obeys lines `guests FIRST LAST` and answers each with `done`: those guests
/// are connected over stream sockets, one each, as attached guests are, and watch. Ends with its
/// standard input.
public final class StoreServer {
    private final StoreTree tree = new StoreTree();
    private final StoreWireServer server = new StoreWireServer(tree);
    private final NettyDeviceLoops loops = new NettyDeviceLoops("store", 1);
    private final NettyDeviceLoops guestLoops = new NettyDeviceLoops("guests", 1);
    private final List<StoreWireClient> guests = new ArrayList<>();

    private StoreServer() {}

    /// Serves until standard input ends.
    public static void main(String[] args) throws Exception {
        new StoreServer().serve(Path.of(args[0]));
    }

    private void serve(Path path) throws Exception {
        BufferedReader commands =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        StoreSocket socket = StoreSocket.listen(path, server, loops.next().eventLoop());
        System.out.println("ready");
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            String[] words = line.split(" ", -1);
            connect(Integer.parseInt(words[1]), Integer.parseInt(words[2]));
            System.out.println("done");
        }
        socket.close();
        Runtime.getRuntime().halt(0);
    }

    private void connect(int first, int last) throws Exception {
        for (int guest = first; guest <= last; guest++) {
            DomId domain = new DomId(guest);
            int[] pair = UnixSocket.streamPair();
            server.serve(pair[0], domain, loops.next().eventLoop());
            StoreWireClient client =
                    StoreWireClient.open(
                            pair[1], domain, guestLoops.next().eventLoop(), Runnable::run);
            for (String node : StorePlace.WATCHED_BY_GUEST) {
                client.watch(node, path -> {});
            }
            guests.add(client);
        }
    }
}
