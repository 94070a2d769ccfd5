package org.splitring.testkit.soak;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.StringJoiner;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.PortPoller;
import org.splitring.hypervisor.attached.AttachedGuest;
import org.splitring.hypervisor.attached.NettyDeviceLoop;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import org.splitring.ring.FrontRing;

/// The guest of the soak: a process of its own that attaches, grants a ring and sends.
///
/// Arguments: attach socket, count, seed, ring pages, first index, spin nanoseconds. Says `ring
/// PORT GREF...`, waits for a line, and ends with `done ...` or `failed ...`.
final class SoakFrontMain {
    private SoakFrontMain() {}

    public static void main(String[] args) throws Exception {
        long count = Long.parseLong(args[1]);
        long seed = Long.parseLong(args[2]);
        int pages = Integer.parseInt(args[3]);
        int first = Integer.parseUnsignedInt(args[4]);
        CompletableFuture<Void> lost = new CompletableFuture<>();
        try (NettyDeviceLoops loops = new NettyDeviceLoops("front", 1, Long.parseLong(args[5]));
                AttachedGuest guest =
                        AttachedGuest.attach(
                                Path.of(args[0]),
                                1 << 20,
                                loops.loop(0),
                                () -> lost.complete(null))) {
            NettyDeviceLoop loop = loops.loop(0);
            DomId backend = guest.backendDomain();
            int gfn = guest.pages().allocate(pages);
            MemorySegment memory = guest.memory().pages(gfn, pages);
            int[] words = {first, first + 1, first, first + 1};
            for (int i = 0; i < words.length; i++) {
                memory.set(ValueLayout.JAVA_INT, 4L * i, words[i]);
            }
            EventChannel channel = guest.eventChannels().allocUnbound(backend);
            StringJoiner line = new StringJoiner(" ").add("ring").add("" + channel.port());
            for (int i = 0; i < pages; i++) {
                int gref = guest.grants().claim();
                guest.grants().grant(gref, backend, gfn + i, false);
                line.add("" + gref);
            }
            System.out.println(line);
            new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8)).readLine();
            FrontRing ring = FrontRing.attach(memory, SoakEntry.BYTES, first);
            SoakFront front = new SoakFront(ring, channel, loop, count, seed);
            PortPoller poller =
                    new PortPoller(
                            channel, loop, front, 64, e -> front.done().completeExceptionally(e));
            poller.start();
            long start = System.nanoTime();
            loop.execute(front::start);
            CompletableFuture.anyOf(front.done(), lost).get(1, TimeUnit.DAYS);
            if (!front.done().isDone()) {
                throw new IllegalStateException("the driver domain is gone");
            }
            System.out.printf(
                    "done %s sleeps=%d spurious=%d millis=%d%n",
                    front.report(),
                    poller.events(),
                    poller.spuriousEvents(),
                    (System.nanoTime() - start) / 1_000_000);
            channel.close();
        } catch (Exception e) {
            System.out.println("failed " + e);
            throw e;
        }
    }
}
