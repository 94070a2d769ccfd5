package org.splitring.hypervisor.attached;

import java.util.concurrent.atomic.AtomicInteger;
import org.splitring.hypervisor.linux.Fd;
import org.splitring.hypervisor.linux.LinuxException;

/// How many descriptors all guests together may make this process hold. What is left of the
/// process's own limit is for the control plane, disks and clients (hostile catalogue H-069,
/// H-128). Any thread.
final class DescriptorBudget {
    private final int limit;
    private final AtomicInteger taken = new AtomicInteger();

    DescriptorBudget(int limit) {
        this.limit = limit;
    }

    /// Three quarters of the limit of the process, less when that would leave under 64.
    static DescriptorBudget ofProcess() throws LinuxException {
        long limit = Math.min(Fd.limit(), 1 << 20);
        return new DescriptorBudget((int) Math.max(0, limit - Math.max(64, limit / 4)));
    }

    /// Takes `count` or nothing.
    boolean take(int count) {
        while (true) {
            int now = taken.get();
            if (count > limit - now) {
                return false;
            }
            if (taken.compareAndSet(now, now + count)) {
                return true;
            }
        }
    }

    void give(int count) {
        if (taken.addAndGet(-count) < 0) {
            throw new IllegalStateException("more descriptors given back than taken: " + count);
        }
    }

    int taken() {
        return taken.get();
    }
}
