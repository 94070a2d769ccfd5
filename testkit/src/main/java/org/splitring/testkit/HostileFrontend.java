package org.splitring.testkit;

import java.lang.foreign.MemorySegment;
import org.splitring.hypervisor.EventChannel;

/// A frontend that does to a backend what hostile guests have done: it publishes impossible
/// indices, edits requests after publishing, floods events, never takes a response, vanishes.
///
/// What it is not asked to do it does not do: a test scripts it, one attack after the other, and
/// then looks at what the backend and its other frontends made of it.
public final class HostileFrontend extends RawRing {
    private final EventChannel channel;
    private int nextRequest;

    /// @param ring pages that the backend has mapped too
    /// @param entrySizeBytes distance of the slots
    /// @param channel its end of the event channel
    /// @param index where the ring's indices stand
    public HostileFrontend(
            MemorySegment ring, int entrySizeBytes, EventChannel channel, int index) {
        super(ring, entrySizeBytes);
        this.channel = channel;
        nextRequest = index;
    }

    /// Writes a request like an honest frontend, and publishes it. Responses are never looked at,
    /// so a ring that is full is overwritten.
    ///
    /// @return its index, to edit it later
    public int publish(MemorySegment request) {
        int index = nextRequest++;
        MemorySegment.copy(request, 0, slot(index), 0, request.byteSize());
        reqProd(nextRequest);
        return index;
    }

    /// As [#publish], and tells the backend.
    public int publishAndKick(MemorySegment request) {
        int index = publish(request);
        kick(1);
        return index;
    }

    /// Claims more requests than the ring has slots.
    public void claimTooMuch() {
        reqProd(nextRequest + entries() + 1);
    }

    /// Moves the producer index backwards.
    public void goBackwards() {
        reqProd(nextRequest - 1);
    }

    /// Repairs the index after an attack: a backend that has stopped must not start again for it.
    public void pretendNothingHappened() {
        reqProd(nextRequest);
    }

    /// Sends events, with or without a reason.
    public void kick(int times) {
        for (int i = 0; i < times; i++) {
            channel.send();
        }
    }

    /// Closes its end, whatever is outstanding.
    public void vanish() {
        channel.close();
    }
}
