package org.splitring.blkback;

import java.util.concurrent.atomic.AtomicLong;
import org.splitring.xenbus.device.DeviceMeters;

/// What a vbd has done. Written by its loop only, read by any thread; lives as long as the backend,
/// over all connections of the frontend.
final class VbdCounters {
    final AtomicLong ooReq = new AtomicLong();
    final AtomicLong rdReq = new AtomicLong();
    final AtomicLong wrReq = new AtomicLong();
    final AtomicLong fReq = new AtomicLong();
    final AtomicLong dsReq = new AtomicLong();
    final AtomicLong rdSect = new AtomicLong();
    final AtomicLong wrSect = new AtomicLong();
    final AtomicLong dsSect = new AtomicLong();
    final AtomicLong errors = new AtomicLong();
    final AtomicLong inline = new AtomicLong();
    final AtomicLong inFlight = new AtomicLong();
    final AtomicLong persistent = new AtomicLong();
    final AtomicLong limited = new AtomicLong();
    final LatencyHistogram readLatency = new LatencyHistogram();
    final LatencyHistogram writeLatency = new LatencyHistogram(); // of barriers too
    final LatencyHistogram flushLatency = new LatencyHistogram();
    final LatencyHistogram discardLatency = new LatencyHistogram();

    /// Adds without a locked instruction: there is one writer.
    static void add(AtomicLong counter, long amount) {
        counter.setRelease(counter.getPlain() + amount);
    }

    /// Shows all as meters of the device, under the names of Linux's `xen-blkback` sysfs files
    /// ([VbdMetrics]).
    void register(DeviceMeters meters) {
        meters.counter("oo.req", this, all -> all.ooReq.getAcquire());
        meters.counter("rd.req", this, all -> all.rdReq.getAcquire());
        meters.counter("wr.req", this, all -> all.wrReq.getAcquire());
        meters.counter("f.req", this, all -> all.fReq.getAcquire());
        meters.counter("ds.req", this, all -> all.dsReq.getAcquire());
        meters.counter("rd.sect", this, all -> all.rdSect.getAcquire());
        meters.counter("wr.sect", this, all -> all.wrSect.getAcquire());
        meters.counter("ds.sect", this, all -> all.dsSect.getAcquire());
        meters.counter("errors", this, all -> all.errors.getAcquire());
        meters.counter("rate.limited", this, all -> all.limited.getAcquire());
        meters.counter("inline", this, all -> all.inline.getAcquire());
        meters.gauge("persistent.grants", this, all -> all.persistent.getAcquire());
        meters.gauge("in.flight", this, all -> all.inFlight.getAcquire());
        readLatency.register(meters, "read");
        writeLatency.register(meters, "write");
        flushLatency.register(meters, "flush");
        discardLatency.register(meters, "discard");
    }

    VbdMetrics snapshot() {
        return new VbdMetrics(
                ooReq.getAcquire(),
                rdReq.getAcquire(),
                wrReq.getAcquire(),
                fReq.getAcquire(),
                dsReq.getAcquire(),
                rdSect.getAcquire(),
                wrSect.getAcquire(),
                dsSect.getAcquire(),
                errors.getAcquire(),
                inline.getAcquire(),
                (int) inFlight.getAcquire());
    }
}
