package org.splitring.testkit;

import java.lang.foreign.MemorySegment;
import org.splitring.hypervisor.EventChannel;

/// A backend that does to a frontend what a hostile driver domain could: it answers what nobody
/// asked, answers twice or never, edits responses after publishing, floods events, vanishes.
public final class HostileBackend extends RawRing {
    private final EventChannel channel;
    private int nextResponse;

    /// @param ring pages that the frontend uses too
    /// @param entrySizeBytes distance of the slots
    /// @param channel its end of the event channel
    /// @param index where the ring's indices stand
    public HostileBackend(MemorySegment ring, int entrySizeBytes, EventChannel channel, int index) {
        super(ring, entrySizeBytes);
        this.channel = channel;
        nextResponse = index;
    }

    /// Writes a response and publishes it, whether there is a request for it or not.
    ///
    /// @return its index, to edit it later
    public int publish(MemorySegment response) {
        int index = nextResponse++;
        MemorySegment.copy(response, 0, slot(index), 0, response.byteSize());
        rspProd(nextResponse);
        return index;
    }

    /// As [#publish], and tells the frontend.
    public int publishAndKick(MemorySegment response) {
        int index = publish(response);
        kick(1);
        return index;
    }

    /// Claims one response more than there are requests.
    public void answerTooMuch() {
        rspProd(reqProd() + 1);
    }

    /// Moves the producer index backwards.
    public void goBackwards() {
        rspProd(nextResponse - 1);
    }

    /// Repairs the index after an attack: a frontend that has stopped must not start again for it.
    public void pretendNothingHappened() {
        rspProd(nextResponse);
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
