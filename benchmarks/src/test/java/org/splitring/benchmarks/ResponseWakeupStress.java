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

/// As [RequestWakeupStress], in the other direction: else the frontend sleeps with a response on
/// the ring.
@JCStressTest
@Outcome(id = "true, false", expect = ACCEPTABLE, desc = "the frontend sleeps and is woken")
@Outcome(id = "false, true", expect = ACCEPTABLE, desc = "the frontend does not sleep")
@Outcome(id = "true, true", expect = ACCEPTABLE, desc = "both: a wake-up for nothing")
@Outcome(id = "false, false", expect = FORBIDDEN, desc = "a lost wake-up")
@State
public class ResponseWakeupStress {
    private static final int ENTRY_SIZE = 112;

    private final MemorySegment pages = StressMemory.page();
    private final FrontRing front = FrontRing.init(pages, ENTRY_SIZE);
    private final BackRing back = BackRing.init(pages, ENTRY_SIZE);

    /// For jcstress: two requests taken, one answered, the event index behind.
    public ResponseWakeupStress() {
        var _ = front.takeRequestIndex() + front.takeRequestIndex();
        boolean pushed = front.pushRequestsAndCheckNotify();
        if (!pushed || back.unconsumedRequests() != 2) {
            throw new IllegalStateException("the first push: " + front + " " + back);
        }
        var _ = back.consumeRequestIndex() + back.consumeRequestIndex();
        var _ = back.takeResponseIndex();
        boolean first = back.pushResponsesAndCheckNotify();
        if (!first || front.unconsumedResponses() != 1) {
            throw new IllegalStateException("the first response: " + front + " " + back);
        }
        var _ = front.consumeResponseIndex();
    }

    @Actor
    public void backend(ZZ_Result r) {
        var _ = back.takeResponseIndex();
        r.r1 = back.pushResponsesAndCheckNotify();
    }

    @Actor
    public void frontend(ZZ_Result r) {
        r.r2 = front.finalCheckForResponses();
    }
}
