package org.splitring.p9.back;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.LongAdder;
import org.splitring.xenbus.device.DeviceMeters;

/// What a device counts, over all its connections.
///
/// @param requests answered
/// @param openFiles now
record P9Meters(LongAdder requests, AtomicInteger openFiles) {
    /// Meters `requests` and `open.files` of the device.
    static P9Meters of(DeviceMeters device) {
        P9Meters meters = new P9Meters(new LongAdder(), new AtomicInteger());
        device.counter("requests", meters.requests, LongAdder::sum);
        device.gauge("open.files", meters.openFiles, AtomicInteger::get);
        return meters;
    }
}
