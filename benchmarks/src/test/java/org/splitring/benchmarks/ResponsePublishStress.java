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

/// A response that the frontend counts is whole, also where the request lay a moment ago.
@JCStressTest
@Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "not published yet")
@Outcome(id = "1, 37", expect = ACCEPTABLE, desc = "published, and whole")
@Outcome(expect = FORBIDDEN, desc = "the index overtook the response")
@State
public class ResponsePublishStress {
    private static final BlkifLayout LAYOUT = BlkifLayout.X86_64;
    private static final int ENTRY_SIZE = LAYOUT.entrySizeBytes();
    private static final MemorySegment COPY = Arena.global().allocate(ENTRY_SIZE, 8);

    private final MemorySegment pages = StressMemory.page();
    private final FrontRing front = FrontRing.init(pages, ENTRY_SIZE);
    private final BackRing back = BackRing.init(pages, ENTRY_SIZE);

    /// For jcstress: one request is on its way.
    public ResponsePublishStress() {
        LAYOUT.writeRequest(pages, front.slotOffset(front.takeRequestIndex()), 0, 1, 0, 1, 2);
        var _ = front.pushRequestsAndCheckNotify();
        if (back.unconsumedRequests() != 1) {
            throw new IllegalStateException("no request: " + back);
        }
        int index = back.consumeRequestIndex();
        LAYOUT.writeResponse(pages, back.slotOffset(index), 0, 0, 0);
    }

    @Actor
    public void backend() {
        LAYOUT.writeResponse(pages, back.slotOffset(back.takeResponseIndex()), 33, 0, 4);
        var _ = back.pushResponsesAndCheckNotify();
    }

    @Actor
    public void frontend(IJ_Result r) {
        r.r1 = front.unconsumedResponses();
        if (r.r1 == 1) {
            front.copyResponse(COPY);
            r.r2 = LAYOUT.responseId(COPY, 0) + LAYOUT.responseStatus(COPY, 0);
        }
    }
}
