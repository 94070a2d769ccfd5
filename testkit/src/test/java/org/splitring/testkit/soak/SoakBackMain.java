package org.splitring.testkit.soak;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.PortPoller;
import org.splitring.hypervisor.attached.AttachServer;
import org.splitring.hypervisor.attached.AttachedPeer;
import org.splitring.hypervisor.attached.GuestListener;
import org.splitring.hypervisor.attached.NettyDeviceLoop;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.hypervisor.linux.Fd;
import org.splitring.ring.BackRing;

/// The driver domain of the soak: a process of its own that maps the ring and answers.
///
/// Arguments: attach socket, seed, first index, spin nanoseconds. Says `listening`; a line `ring
/// PORT GREF...` connects and is answered `bound`; the next line is answered with the counters.
final class SoakBackMain {
    private static final DomId GUEST = new DomId(1);

    private SoakBackMain() {}

    public static void main(String[] args) throws Exception {
        int first = Integer.parseUnsignedInt(args[2]);
        BlockingQueue<AttachedPeer> peers = new LinkedBlockingQueue<>();
        GuestListener listener =
                new GuestListener() {
                    @Override
                    public void attached(AttachedPeer peer) {
                        peers.add(peer);
                    }

                    @Override
                    public void detached(AttachedPeer peer) {
                        Fd.close(peer.storeFd());
                    }
                };
        try (NettyDeviceLoops loops = new NettyDeviceLoops("back", 1, Long.parseLong(args[3]));
                AttachServer server = new AttachServer(DomId.ZERO, loops.loop(0))) {
            NettyDeviceLoop loop = loops.loop(0);
            server.listen(Path.of(args[0]), GUEST, DomainLimits.DEFAULT, listener);
            System.out.println("listening");
            BufferedReader orders =
                    new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
            int[] words =
                    Arrays.stream(orders.readLine().split(" ", -1))
                            .skip(1)
                            .mapToInt(Integer::parseInt)
                            .toArray();
            AttachedPeer peer = peers.take();
            int[] grefs = Arrays.copyOfRange(words, 1, words.length);
            try (ForeignPages pages = peer.driverDomain().foreignPages(GUEST, grefs.length);
                    EventChannel channel =
                            peer.driverDomain().eventChannels().bindInterdomain(GUEST, words[0])) {
                BackRing ring = BackRing.attach(pages.mapContiguous(grefs), SoakEntry.BYTES, first);
                SoakBack back = new SoakBack(ring, channel, loop, Long.parseLong(args[1]));
                PortPoller poller =
                        new PortPoller(
                                channel, loop, back, 64, e -> System.out.println("failed " + e));
                poller.start();
                System.out.println("bound");
                orders.readLine();
                System.out.printf(
                        "done %s sleeps=%d spurious=%d%n",
                        back.report(), poller.events(), poller.spuriousEvents());
                loop.execute(poller::stop);
            }
        }
    }
}
