package org.splitring.benchmarks;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import java.lang.foreign.MemorySegment;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.ZZ_Result;
import org.splitring.ring.BackRing;
import org.splitring.ring.FrontRing;

/// A push and a final check at the same time: at least one of the two sees the other. Else the
/// backend sleeps with a request on the ring.
///
/// First: does the push notify? Second: does the final check find work?
@JCStressTest
@Outcome(id = "true, false", expect = ACCEPTABLE, desc = "the backend sleeps and is woken")
@Outcome(id = "false, true", expect = ACCEPTABLE, desc = "the backend does not sleep")
@Outcome(id = "true, true", expect = ACCEPTABLE, desc = "both: a wake-up for nothing")
@Outcome(id = "false, false", expect = FORBIDDEN, desc = "a lost wake-up")
@State
public class RequestWakeupStress {
    private static final int ENTRY_SIZE = 112;

    private final MemorySegment pages = StressMemory.page();
    private final FrontRing front = FrontRing.init(pages, ENTRY_SIZE);
    private final BackRing back = BackRing.init(pages, ENTRY_SIZE);

    /// For jcstress: the event index is behind, so that a push notifies only after a final check.
    public RequestWakeupStress() {
        var _ = front.takeRequestIndex();
        boolean first = front.pushRequestsAndCheckNotify();
        if (!first || back.unconsumedRequests() != 1) {
            throw new IllegalStateException("the first push: " + front + " " + back);
        }
        var _ = back.consumeRequestIndex();
    }

    @Actor
    public void frontend(ZZ_Result r) {
        var _ = front.takeRequestIndex();
        r.r1 = front.pushRequestsAndCheckNotify();
    }

    @Actor
    public void backend(ZZ_Result r) {
        r.r2 = back.finalCheckForRequests();
    }
}
