package org.splitring.benchmarks;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.IIII_Result;
import org.splitring.hypervisor.CheckedForeignPages;
import org.splitring.hypervisor.ContiguousMapper;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.GrantBatch;
import org.splitring.hypervisor.GrantException;
import org.splitring.hypervisor.GrantPins;
import org.splitring.hypervisor.GuestGrantTable;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.MappingBudget;
import org.splitring.hypervisor.PageAllocator;

/// The guest ends a grant while the backend maps the page, writes into it, and unmaps it. Either
/// the
/// backend came first, and then its write is complete and visible when the page is private again;
/// or the mapping is refused; or the guest is told that the page is still in use.
///
/// Revoked? Mapped? What the guest read from its page after it had got it back (5 is the backend's
/// write), and what is there at the end.
@JCStressTest
@Outcome(id = "1, 0, 0, 0", expect = ACCEPTABLE, desc = "revoked first")
@Outcome(id = "1, 1, 5, 5", expect = ACCEPTABLE, desc = "mapped, unmapped, revoked")
@Outcome(id = "0, 1, -1, 5", expect = ACCEPTABLE, desc = "still in use")
@Outcome(expect = FORBIDDEN, desc = "private and mapped at the same time")
@State
public class GrantRevokeMapStress {
    private static final VarHandle INT = ValueLayout.JAVA_INT.varHandle();
    private static final DomId BACKEND = new DomId(0);
    private static final DomainLimits LIMITS = new DomainLimits(1 << 20, 1, 4, 4);
    private static final MappingBudget TOTAL = new MappingBudget(Integer.MAX_VALUE);

    private final GuestMemory memory = new GuestMemory(StressMemory.pair());
    private final GuestGrantTable grants =
            new GuestGrantTable(memory, 0, 1, new PageAllocator(memory, 1));
    private final MemorySegment page = memory.pages(1, 1);
    private final GrantBatch batch = new GrantBatch(1);
    private final CheckedForeignPages foreignPages;
    private final int gref;

    /// For jcstress: page 1 is granted.
    public GrantRevokeMapStress() {
        try {
            foreignPages =
                    new GrantPins(memory, new DomId(1), 0, 1, LIMITS, TOTAL)
                            .open(BACKEND, 1, ContiguousMapper.NONE);
        } catch (GrantException e) {
            throw new IllegalStateException(e);
        }
        gref = grants.claim();
        grants.grant(gref, BACKEND, 1, false);
        batch.add(gref, true);
    }

    @Actor
    public void guest(IIII_Result r) {
        boolean revoked = grants.tryRevoke(gref);
        r.r1 = revoked ? 1 : 0;
        r.r3 = revoked ? (int) INT.get(page, 0L) : -1;
    }

    @Actor
    public void backend(IIII_Result r) {
        boolean mapped = foreignPages.map(batch);
        r.r2 = mapped ? 1 : 0;
        if (mapped) {
            INT.set(batch.memory(0), batch.offset(0), 5);
        }
        foreignPages.unmap(batch);
    }

    @Arbiter
    public void end(IIII_Result r) {
        r.r4 = (int) INT.get(page, 0L);
    }
}
