package org.splitring.benchmarks;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;

import java.lang.foreign.MemorySegment;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.ZZ_Result;
import org.splitring.ring.SringLayout;

/// [RequestWakeupStress] with the accesses of the ring classes and without their fences. It must
/// show the lost wake-up: the test that runs these fails when it does not, since then the harness
/// is too
/// blunt for the tests beside it to mean anything.
@JCStressTest
@Outcome(id = "false, false", expect = ACCEPTABLE_INTERESTING, desc = "a lost wake-up")
@Outcome(expect = ACCEPTABLE, desc = "one of the two sees the other")
@State
public class WakeupWithoutFenceStress {
    private final MemorySegment pages = StressMemory.page();

    /// For jcstress: one request was pushed and taken, and the event index is behind.
    public WakeupWithoutFenceStress() {
        SringLayout.REQ_PROD.set(pages, 1);
        SringLayout.REQ_EVENT.set(pages, 1);
    }

    @Actor
    public void frontend(ZZ_Result r) {
        int oldProd = 1;
        int newProd = 2;
        SringLayout.REQ_PROD.setRelease(pages, newProd);
        int reqEvent = (int) SringLayout.REQ_EVENT.getOpaque(pages);
        r.r1 = Integer.compareUnsigned(newProd - reqEvent, newProd - oldProd) < 0;
    }

    @Actor
    public void backend(ZZ_Result r) {
        int reqCons = 1;
        SringLayout.REQ_EVENT.setOpaque(pages, reqCons + 1);
        r.r2 = (int) SringLayout.REQ_PROD.getAcquire(pages) != reqCons;
    }
}
