package org.splitring.hypervisor.attached;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.ForeignPages;

/// The attached platform with guests that are processes of their own.
class GuestProcessIT {
    private static final DomId SEVEN = new DomId(7);

    @TempDir Path folder;

    @Test
    void j01_withoutTheSealsAShrunkMappingKillsTheJvm() throws Exception {
        try (GuestProcess victim = GuestProcess.start(folder, "shrink", "false")) {
            victim.expect("shrunk");
            assertThrows(AssertionError.class, () -> victim.expect("survived"));
            // Not an exception and not an orderly exit: HotSpot's own handler could not make sense
            // of the faulting acquire load (x86-64; measured there only).
            assertNotEquals(0, victim.exitCode());
            try (Stream<Path> files = Files.list(folder)) {
                Path report =
                        files.filter(file -> file.getFileName().toString().startsWith("hs_err"))
                                .findFirst()
                                .orElseThrow();
                assertTrue(
                        Files.readString(report).contains("A fatal error has been detected"),
                        "the JVM's own report of its death");
            }
        }
    }

    @Test
    void j01_withTheSealsTheMemoryCannotBeShrunk() throws Exception {
        try (GuestProcess process = GuestProcess.start(folder, "shrink", "true")) {
            assertEquals("1", process.expect("refused"), "EPERM");
            process.expect("survived");
            assertEquals(0, process.exitCode());
        }
    }

    @Test
    void killedGuestIsNoticedAtOnceAndLeavesNothingBehind() throws Exception {
        try (AttachBed bed = new AttachBed(folder)) {
            bed.listen(7);
            long descriptors = AttachBed.openDescriptors();
            long mappings = AttachBed.guestMappings();
            int threads = 0;
            for (int round = 1; round <= 2; round++) {
                try (GuestProcess guest =
                        GuestProcess.start(folder, "guest", bed.path(7).toString(), "8")) {
                    int gref = Integer.parseInt(guest.expect("gref"));
                    int port = Integer.parseInt(guest.expect("port"));
                    AttachedPeer peer = bed.peer(round);
                    EventChannel channel =
                            peer.driverDomain().eventChannels().bindInterdomain(SEVEN, port);
                    channel.listen(bed.loops.loop(1), channel::unmask);
                    ForeignPages pages = peer.driverDomain().foreignPages(SEVEN, 8);
                    MemorySegment page = pages.mapContiguous(new int[] {gref});
                    assertEquals(4711, page.get(ValueLayout.JAVA_INT, 0));
                    assertTrue(AttachBed.guestMappings() > mappings);
                    long start = System.nanoTime();
                    guest.kill();
                    int count = round;
                    AttachBed.await(() -> bed.recorder.detached.size() == count);
                    // By its end, that is, and not because something has not come for 10 s.
                    assertTrue(System.nanoTime() - start < 7_000_000_000L, "noticed at once");
                    assertEquals(4711, page.get(ValueLayout.JAVA_INT, 0), "still mapped for us");
                    channel.send();
                    channel.close();
                    pages.close();
                }
                AttachBed.await(() -> AttachBed.guestMappings() == mappings);
                AttachBed.awaitDescriptors(descriptors);
                if (round == 1) {
                    threads = Thread.getAllStackTraces().size();
                }
            }
            AttachBed.awaitThreads(threads + 1);
        }
    }

    @Test
    void h060_stormFromAnotherProcessDoesNotStopTheNeighbour() throws Exception {
        try (AttachBed bed = new AttachBed(folder);
                NettyDeviceLoops guestLoops = new NettyDeviceLoops("guest", 1, 0)) {
            bed.listen(7);
            bed.listen(8);
            try (GuestProcess hostile =
                            GuestProcess.start(folder, "storm", bed.path(7).toString(), "8");
                    AttachedGuest guest =
                            AttachedGuest.attach(
                                    bed.path(8), 1 << 20, guestLoops.loop(0), () -> {})) {
                hostile.expect("port");
                AttachedPeer noisy = peerOf(bed, 7);
                for (int port = 1; port <= 8; port++) {
                    EventChannel back =
                            noisy.driverDomain().eventChannels().bindInterdomain(SEVEN, port);
                    // Half of them are served at once each time: the worst a backend can do.
                    back.listen(bed.loops.loop(0), port % 2 == 0 ? back::unmask : () -> {});
                }
                EventChannel front = guest.eventChannels().allocUnbound(DomId.ZERO);
                EventChannel back =
                        peerOf(bed, 8)
                                .driverDomain()
                                .eventChannels()
                                .bindInterdomain(new DomId(8), front.port());
                AtomicLong rounds = new AtomicLong();
                back.listen(
                        bed.loops.loop(0),
                        () -> {
                            back.unmask();
                            back.send();
                        });
                front.listen(
                        guestLoops.loop(0),
                        () -> {
                            rounds.incrementAndGet();
                            front.unmask();
                            front.send();
                        });
                AttachBed.await(() -> rounds.get() > 1000);
                hostile.kill();
                AttachBed.await(() -> bed.recorder.detached.contains(noisy));
                long seen = rounds.get();
                AttachBed.await(() -> rounds.get() > seen + 100);
            }
        }
    }

    private static AttachedPeer peerOf(AttachBed bed, int domid) throws IOException {
        AttachBed.await(
                () -> bed.recorder.attached.stream().anyMatch(p -> p.domid().value() == domid));
        return bed.recorder.attached.stream()
                .filter(p -> p.domid().value() == domid)
                .findFirst()
                .orElseThrow();
    }
}
