package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.PortPoller;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.local.LocalHypervisor;
import org.splitring.testkit.SimulatedLoop;
import org.splitring.testkit.Simulation;
import org.splitring.wire.BlkifLayout;
import org.splitring.wire.BlkifOp;

/// Attacks that are about the other guests.
@Timeout(60)
class ManyGuestsTest {
    private static final int GUESTS = 64;
    private static final int ENTRIES = 32; // of a ring of one page
    private static final int SEGMENTS = BlkifLayout.MAX_SEGMENTS_PER_REQUEST;
    private static final DomainLimits LIMITS = new DomainLimits(1L << 20, 1, 1024, 64);

    /// A disk where everything waits for the workers, and workers that begin when told to: until
    /// then every page of every request stays mapped.
    private static final class HeldDisk extends MemoryStore {
        HeldDisk() {
            super(1 << 20);
        }

        @Override
        public long readNoWait(IoVector into, long offsetBytes) throws IOException {
            return WOULD_BLOCK;
        }
    }

    private final ArrayDeque<Runnable> held = new ArrayDeque<>();
    private final DiskImage disk = DiskImage.of(new HeldDisk(), DiskMode.WRITEBACK, Runnable::run);

    private List<QueueRig> guests(LocalHypervisor hypervisor) {
        List<QueueRig> rigs = new ArrayList<>();
        for (int i = 0; i < GUESTS; i++) {
            rigs.add(new QueueRig(hypervisor, i + 1, disk, held::add, LIMITS, new PumpedLoop()));
        }
        return rigs;
    }

    /// Fills the ring with requests that have as many segments as there may be.
    private static void flood(QueueRig rig) {
        int[] grefs = new int[SEGMENTS];
        for (int request = 0; request < ENTRIES; request++) {
            for (int i = 0; i < SEGMENTS; i++) {
                grefs[i] = rig.grefs[(request * SEGMENTS + i) % QueueRig.DATA_PAGES];
            }
            rig.write(BlkifOp.READ, request, 0, grefs);
        }
        rig.publish();
        rig.queue.poll(ENTRIES);
    }

    private void release(List<QueueRig> rigs) {
        for (Runnable work = held.poll(); work != null; work = held.poll()) {
            work.run();
        }
        rigs.forEach(rig -> rig.loop.pump());
    }

    @Test
    void h026_whatManyGuestsMapIsWhatTheFormulaSays() {
        LocalHypervisor hypervisor = new LocalHypervisor();
        List<QueueRig> rigs = guests(hypervisor);
        assertEquals(GUESTS, hypervisor.mappedTotal());
        for (int round = 0; round < 2; round++) {
            rigs.forEach(ManyGuestsTest::flood);
            // Pages of the ring, and eleven for each entry of it: no guest can have more.
            assertEquals(GUESTS * (1 + ENTRIES * SEGMENTS), hypervisor.mappedTotal());
            rigs.forEach(rig -> assertEquals(0, rig.queue.poll(ENTRIES)));
            release(rigs);
            assertEquals(GUESTS, hypervisor.mappedTotal());
            for (QueueRig rig : rigs) {
                for (int request = 0; request < ENTRIES; request++) {
                    assertEquals(0, rig.take().status());
                }
            }
        }
        rigs.forEach(QueueRig::closeDevice);
        assertEquals(0, hypervisor.mappedTotal());
        rigs.forEach(rig -> rig.guest.close());
    }

    @Test
    void h026_theLimitOverAllGuestsHoldsAndEachRequestIsAnsweredOnce() {
        int limit = 2000; // of the 22,592 that they ask for
        LocalHypervisor hypervisor = new LocalHypervisor(limit);
        List<QueueRig> rigs = guests(hypervisor);
        long served = 0;
        for (int round = 0; round < 3; round++) {
            for (QueueRig rig : rigs) {
                flood(rig);
                assertTrue(hypervisor.mappedTotal() <= limit, "mapped " + hypervisor.mappedTotal());
            }
            assertTrue(hypervisor.mappedTotal() > limit - SEGMENTS, "the limit can be used up");
            release(rigs);
            assertEquals(GUESTS, hypervisor.mappedTotal(), "only the rings");
            for (QueueRig rig : rigs) {
                boolean[] answered = new boolean[ENTRIES];
                for (int request = 0; request < ENTRIES; request++) {
                    QueueRig.Response response = rig.take();
                    assertTrue(!answered[(int) response.id()], "answered twice");
                    answered[(int) response.id()] = true;
                    served += response.status() == 0 ? 1 : 0;
                }
                assertTrue(!rig.hasResponse());
            }
        }
        assertEquals(3L * ((limit - GUESTS) / SEGMENTS), served);
        long refused = rigs.stream().mapToLong(rig -> rig.counters.ooReq.get()).sum();
        assertEquals(3L * GUESTS * ENTRIES - served, refused);
        // Who comes with little when nobody floods is served, whoever he is.
        for (QueueRig rig : rigs) {
            rig.write(BlkifOp.READ, 1, 0, rig.grefs[0]);
            rig.publish();
            rig.queue.poll(1);
            release(List.of(rig));
            assertEquals(0, rig.take().status());
        }
        rigs.forEach(QueueRig::closeDevice);
        rigs.forEach(rig -> rig.guest.close());
    }

    /// A frontend that keeps eight reads going and looks every two microseconds.
    private static final class Client implements Runnable {
        private static final int DEPTH = 8;
        private final Simulation sim;
        private final SimulatedLoop loop;
        private final QueueRig rig;
        boolean scribbles;
        long done;
        private int outstanding;
        private long nextId;

        Client(Simulation sim, SimulatedLoop loop, QueueRig rig) {
            this.sim = sim;
            this.loop = loop;
            this.rig = rig;
        }

        @Override
        public void run() {
            while (rig.hasResponse()) {
                assertEquals(0, rig.take().status());
                outstanding--;
                done++;
            }
            int before = rig.reqProd;
            while (outstanding < DEPTH) {
                rig.write(BlkifOp.READ, nextId++, 0, rig.grefs[(int) (nextId % 32)]);
                outstanding++;
            }
            rig.publish();
            int reqEvent = rig.word(4);
            if (scribbles) {
                rig.word(4, sim.choose(Integer.MAX_VALUE) << 1 | sim.choose(2));
                rig.word(12, sim.choose(Integer.MAX_VALUE) << 1 | sim.choose(2));
                rig.frontPort.send(); // it has lost what it would know by
            } else {
                rig.word(12, rig.rspCons + 1);
                if (Integer.compareUnsigned(rig.reqProd - reqEvent, rig.reqProd - before) < 0) {
                    rig.frontPort.send();
                }
            }
            loop.schedule(this, 2_000);
        }
    }

    @Test
    void h011_randomEventWordsOfOneGuestDoNotSlowAnother() {
        DiskImage fast = DiskImage.of(new MemoryStore(1 << 20), DiskMode.WRITEBACK, Runnable::run);
        for (long seed = 1; seed <= 5; seed++) {
            Simulation sim = new Simulation(seed);
            SimulatedLoop backLoop = sim.loop("back", 2_000);
            LocalHypervisor hypervisor = new LocalHypervisor();
            List<Client> clients = new ArrayList<>();
            List<PortPoller> pollers = new ArrayList<>();
            for (int id = 1; id <= 2; id++) {
                QueueRig rig = new QueueRig(hypervisor, id, fast, Runnable::run, LIMITS, backLoop);
                PortPoller poller =
                        new PortPoller(
                                rig.backPort,
                                backLoop,
                                rig.queue,
                                64,
                                failure -> {
                                    throw new AssertionError(failure);
                                });
                poller.start();
                pollers.add(poller);
                SimulatedLoop loop = sim.loop("front " + id, 0);
                Client client = new Client(sim, loop, rig);
                clients.add(client);
                loop.execute(client);
            }
            Client hostile = clients.get(0);
            Client polite = clients.get(1);
            // In turn, so that whatever else changes over the run meets both.
            long[] progress = new long[2];
            for (int phase = 0; phase < 20; phase++) {
                hostile.scribbles = phase % 2 == 1;
                long before = polite.done;
                sim.runFor(500_000);
                progress[phase % 2] += polite.done - before;
            }
            String numbers =
                    "seed "
                            + seed
                            + ": "
                            + progress[0]
                            + " beside a polite guest, "
                            + progress[1]
                            + " beside one that scribbles";
            assertTrue(progress[0] > 1000, numbers);
            assertTrue(progress[1] >= 0.9 * progress[0], numbers);
            assertTrue(hostile.done > 100, "it is served all the same: " + hostile.done);
            pollers.forEach(PortPoller::stop);
            clients.forEach(client -> client.rig.closeDevice());
            clients.forEach(client -> client.rig.guest.close());
        }
    }
}
