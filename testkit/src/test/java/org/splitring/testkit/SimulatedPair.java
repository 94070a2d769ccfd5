package org.splitring.testkit;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.BitSet;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.DriverDomain;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantBatch;
import org.splitring.hypervisor.GrantStatus;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.PortPoller;
import org.splitring.hypervisor.RingWork;
import org.splitring.hypervisor.local.LocalGuestDomain;
import org.splitring.hypervisor.local.LocalHypervisor;
import org.splitring.ring.BackRing;
import org.splitring.ring.FrontRing;

/// A frontend and a backend in a [Simulation]: ring, grants, event channel, doorbells. The frontend
/// sends numbered requests, each with a granted page; the backend maps the page, at once or later
/// changes what is in it, unmaps, answers.
final class SimulatedPair {
    /// A rule of the sleeping side to break.
    enum Fault {
        NONE,
        /// Goes to sleep without asking for an event.
        BACKEND_SKIPS_FINAL_CHECK,
        /// Asks for an event, and does not look again.
        BACKEND_LOOKS_ONLY_ONCE,
        FRONTEND_SKIPS_FINAL_CHECK,
        FRONTEND_LOOKS_ONLY_ONCE
    }

    private static final DomId GUEST = new DomId(5);
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
    private static final int ENTRY_BYTES = 112;
    private static final int FIRST_INDEX = 0xFFFFFFF0;
    private static final int DATA_PAGES = 40; // more than slots: the ring gets full
    private static final int MARK = 0x5A5A5A5A;
    private static final int BUDGET = 4;

    final Simulation sim;
    final LocalHypervisor hypervisor = new LocalHypervisor();
    final LocalGuestDomain guest;
    final int requests;
    final int freeGrefs;

    private final Fault fault;
    private final SimulatedLoop frontLoop;
    private final SimulatedLoop backLoop;
    private final RawRing raw;

    // Frontend's state, on its loop.
    private final EventChannel frontChannel;
    private final FrontRing front;
    private final PortPoller frontPoller;
    private final ArrayDeque<Integer> freePages = new ArrayDeque<>();
    private final BitSet outstanding = new BitSet();
    private final int[] gfnOf;
    private final int[] grefOf;
    private final MemorySegment response = Arena.ofAuto().allocate(ENTRY_BYTES);
    private final int ringGref;
    private final int ringGfn;
    private boolean frontClosed;
    private boolean submitQueued;
    int submitted;
    int completed;

    // Backend's state, on its loop.
    private final EventChannel backChannel;
    private final ForeignPages pages;
    private final MemorySegment ringPages;
    private final BackRing back;
    private final PortPoller backPoller;
    private final MemorySegment request = Arena.ofAuto().allocate(ENTRY_BYTES);
    private boolean backClosed;

    private @Nullable Throwable failure;

    SimulatedPair(long seed, int requests, Fault fault) throws Exception {
        this.fault = fault;
        this.requests = requests;
        sim = new Simulation(seed);
        int spin = 2_000 * sim.choose(3);
        frontLoop = sim.loop("front", spin);
        backLoop = sim.loop("back", spin);
        guest = hypervisor.createGuest(GUEST, 64L * GuestMemory.PAGE_SIZE, DomainLimits.DEFAULT);
        DriverDomain driver = hypervisor.driverDomain(DomId.ZERO);
        freeGrefs = guest.grants().freeCount();
        gfnOf = new int[requests];
        grefOf = new int[requests];

        ringGfn = guest.pages().allocate(1);
        MemorySegment ring = guest.memory().pages(ringGfn, 1);
        raw = new RawRing(ring, ENTRY_BYTES);
        raw.initialiseAt(FIRST_INDEX);
        front = FrontRing.attach(ring, ENTRY_BYTES, FIRST_INDEX);
        for (int i = 0; i < DATA_PAGES; i++) {
            freePages.add(guest.pages().allocate(1));
        }
        ringGref = guest.grants().claim();
        guest.grants().grant(ringGref, DomId.ZERO, ringGfn, false);
        frontChannel = guest.eventChannels().allocUnbound(DomId.ZERO);
        frontPoller =
                new PortPoller(
                        frontChannel,
                        frontLoop,
                        new RingWork() {
                            @Override
                            public int poll(int budget) {
                                return takeResponses(budget);
                            }

                            @Override
                            public boolean finalCheck() {
                                return frontFinalCheck();
                            }
                        },
                        BUDGET,
                        this::fail);

        pages = driver.foreignPages(GUEST, 64);
        ringPages = pages.mapContiguous(new int[] {ringGref});
        back = BackRing.attach(ringPages, ENTRY_BYTES, FIRST_INDEX);
        backChannel = driver.eventChannels().bindInterdomain(GUEST, frontChannel.port());
        backPoller =
                new PortPoller(
                        backChannel,
                        backLoop,
                        new RingWork() {
                            @Override
                            public int poll(int budget) {
                                return takeRequests(budget);
                            }

                            @Override
                            public boolean finalCheck() {
                                return backFinalCheck();
                            }
                        },
                        BUDGET,
                        this::fail);
        frontPoller.start();
        backPoller.start();
        queueSubmit();
    }

    /// A poller hands its error to whoever made it: here, to the test.
    private void fail(Throwable t) {
        failure = t;
    }

    /// Runs to the end.
    ///
    /// @throws AssertionError with the seed, when a request was lost or answered twice
    void run() {
        if (sim.choose(3) == 0) {
            boolean frontFirst = sim.choose(2) == 0;
            long when = 1_000L * sim.choose(400);
            (frontFirst ? frontLoop : backLoop)
                    .schedule(frontFirst ? this::closeFront : this::closeBack, when);
        }
        sim.run(200_000);
        if (failure != null) {
            throw new AssertionError("seed " + sim.seed() + ": " + failure, failure);
        }
        if (!frontClosed && !backClosed && completed < requests) {
            throw new AssertionError(
                    "seed "
                            + sim.seed()
                            + ": lost wake-up, all asleep with "
                            + completed
                            + " of "
                            + requests
                            + " requests done: "
                            + front
                            + " "
                            + back);
        }
        frontLoop.execute(this::closeFront);
        backLoop.execute(this::closeBack);
        sim.run(1_000);
    }

    // Frontend

    private void queueSubmit() {
        if (!submitQueued && submitted < requests) {
            submitQueued = true;
            if (sim.choose(3) == 0) {
                frontLoop.schedule(this::submit, 100L * sim.choose(300));
            } else {
                frontLoop.execute(this::submit);
            }
        }
    }

    private void submit() {
        submitQueued = false;
        if (frontClosed) {
            return;
        }
        int batch = 1 + sim.choose(8);
        while (batch > 0 && submitted < requests && !front.isFull() && !freePages.isEmpty()) {
            int id = submitted++;
            int gfn = freePages.remove();
            int gref = guest.grants().claim();
            gfnOf[id] = gfn;
            grefOf[id] = gref;
            guest.memory().pages(gfn, 1).set(INT, 0, id ^ MARK);
            guest.grants().grant(gref, DomId.ZERO, gfn, false);
            MemorySegment slot = front.slot(front.takeRequestIndex());
            slot.set(INT, 0, id);
            slot.set(INT, 4, gref);
            outstanding.set(id);
            sim.trace("submit", id);
            batch--;
        }
        sim.preemptionPoint();
        boolean notify = front.pushRequestsAndCheckNotify();
        sim.preemptionPoint();
        if (notify) {
            frontChannel.send();
        }
        if (!front.isFull() && !freePages.isEmpty()) {
            queueSubmit();
        }
    }

    private int takeResponses(int budget) {
        int taken = 0;
        if (!frontClosed) {
            int count = Math.min(budget, front.unconsumedResponses());
            while (taken < count) {
                front.copyResponse(response);
                complete(response.get(INT, 0), response.get(INT, 4));
                taken++;
            }
            if (taken > 0) {
                queueSubmit();
            }
        }
        sim.preemptionPoint();
        return taken;
    }

    private void complete(int id, int status) {
        check(outstanding.get(id), "answered twice or never asked", id);
        check(status == 0, "status " + status, id);
        outstanding.clear(id);
        check(guest.grants().tryRevoke(grefOf[id]), "answered before it was unmapped", id);
        guest.grants().unclaim(grefOf[id]);
        int content = guest.memory().pages(gfnOf[id], 1).get(INT, 0);
        check(content == ~(id ^ MARK), "wrong bytes", id);
        freePages.add(gfnOf[id]);
        completed++;
        sim.trace("done", id);
    }

    private void check(boolean holds, String what, int id) {
        if (!holds) {
            throw new AssertionError("request " + id + ": " + what);
        }
    }

    private boolean frontFinalCheck() {
        if (frontClosed || fault == Fault.FRONTEND_SKIPS_FINAL_CHECK) {
            return false;
        }
        if (fault == Fault.FRONTEND_LOOKS_ONLY_ONCE) {
            raw.rspEvent(FIRST_INDEX + completed + 1);
            return false;
        }
        sim.preemptionPoint();
        return front.finalCheckForResponses();
    }

    private void closeFront() {
        if (frontClosed) {
            return;
        }
        frontClosed = true;
        sim.trace("front closes", completed);
        frontPoller.stop();
        frontChannel.close();
        for (int id = outstanding.nextSetBit(0); id >= 0; id = outstanding.nextSetBit(id + 1)) {
            endGrant(grefOf[id], gfnOf[id]);
        }
        while (!freePages.isEmpty()) {
            guest.pages().free(freePages.remove(), 1);
        }
    }

    private void endGrant(int gref, int gfn) {
        if (guest.grants().tryRevoke(gref)) {
            guest.grants().unclaim(gref);
            guest.pages().free(gfn, 1);
        } else {
            guest.grants().quarantine(gref, gfn);
        }
    }

    // Backend

    private int takeRequests(int budget) {
        int taken = 0;
        if (!backClosed) {
            int count = Math.min(budget, back.unconsumedRequests());
            while (taken < count) {
                back.copyRequest(request);
                serve(request.get(INT, 0), request.get(INT, 4));
                taken++;
            }
        }
        sim.preemptionPoint();
        return taken;
    }

    private void serve(int id, int gref) {
        sim.trace("take", id);
        GrantBatch batch = new GrantBatch(1);
        batch.add(gref, true);
        check(pages.map(batch) || frontClosed, GrantStatus.name(batch.status(0)), id);
        if (sim.choose(2) == 0) {
            backLoop.schedule(() -> answer(id, batch), 100L * sim.choose(200));
        } else {
            answer(id, batch);
        }
    }

    private void answer(int id, GrantBatch batch) {
        if (backClosed) {
            return;
        }
        int status = batch.status(0);
        if (status == GrantStatus.OKAY) {
            MemorySegment page = batch.memory(0).asSlice(batch.offset(0), GuestMemory.PAGE_SIZE);
            page.set(INT, 0, ~page.get(INT, 0));
            pages.unmap(batch);
        }
        MemorySegment slot = back.slot(back.takeResponseIndex());
        slot.set(INT, 0, id);
        slot.set(INT, 4, status);
        boolean notify = back.pushResponsesAndCheckNotify();
        sim.preemptionPoint();
        if (notify) {
            backChannel.send();
        }
    }

    private boolean backFinalCheck() {
        if (backClosed || fault == Fault.BACKEND_SKIPS_FINAL_CHECK) {
            return false;
        }
        if (fault == Fault.BACKEND_LOOKS_ONLY_ONCE) {
            int reqCons = FIRST_INDEX + taken();
            sim.preemptionPoint();
            raw.reqEvent(reqCons + 1);
            return false;
        }
        sim.preemptionPoint();
        return back.finalCheckForRequests();
    }

    private int taken() {
        return raw.rspProd() - FIRST_INDEX + back.unansweredRequests();
    }

    private void closeBack() {
        if (backClosed) {
            return;
        }
        backClosed = true;
        sim.trace("back closes", pages.mappedCount());
        backPoller.stop();
        backChannel.close();
        pages.close();
    }

    /// Gives up the ring page too, and what was quarantined; then nothing is left of the pair.
    void closeAll() {
        endGrant(ringGref, ringGfn);
        guest.grants().retryQuarantined();
    }
}
