package org.splitring.benchmarks;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.IJ_Result;
import org.splitring.ring.BackRing;
import org.splitring.ring.FrontRing;
import org.splitring.wire.BlkifLayout;

/// A request that the backend counts is whole: index and bytes do not part.
@JCStressTest
@Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "not published yet")
@Outcome(id = "1, 77", expect = ACCEPTABLE, desc = "published, and whole")
@Outcome(expect = FORBIDDEN, desc = "the index overtook the request")
@State
public class RequestPublishStress {
    private static final BlkifLayout LAYOUT = BlkifLayout.X86_64;
    private static final int ENTRY_SIZE = LAYOUT.entrySizeBytes();
    private static final MemorySegment COPY = Arena.global().allocate(ENTRY_SIZE, 8);

    private final MemorySegment pages = StressMemory.page();
    private final FrontRing front = FrontRing.init(pages, ENTRY_SIZE);
    private final BackRing back = BackRing.init(pages, ENTRY_SIZE);

    /// For jcstress.
    public RequestPublishStress() {
        // The slot that the request goes to: what an earlier request left there must not be seen.
        LAYOUT.writeRequest(pages, front.slotOffset(0), 0, 0, 0, 0, 0);
    }

    @Actor
    public void frontend() {
        long slot = front.slotOffset(front.takeRequestIndex());
        LAYOUT.writeRequest(pages, slot, 0, 1, 0, 33, 44);
        var _ = front.pushRequestsAndCheckNotify();
    }

    @Actor
    public void backend(IJ_Result r) {
        r.r1 = back.unconsumedRequests();
        if (r.r1 == 1) {
            back.copyRequest(COPY);
            r.r2 = LAYOUT.id(COPY, 0) + LAYOUT.sectorNumber(COPY, 0);
        }
    }
}
