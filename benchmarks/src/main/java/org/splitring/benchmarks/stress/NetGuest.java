package org.splitring.benchmarks.stress;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.splitring.netfront.ReceivedFrame;
import org.splitring.netfront.TxFrame;
import org.splitring.netfront.VifFrontend;
import org.splitring.netfront.VifUser;

/// A guest that sends and receives numbered frames. State is that of its loop.
final class NetGuest implements VifUser {
    private static final long HELLO_NANOS = TimeUnit.SECONDS.toNanos(60); // a switch forgets

    private final int number;
    private final StressFrame frame;
    private final StressFrame hello = new StressFrame(StressFrame.LEAST_BYTES);
    private final List<FrameStream> outgoing = new ArrayList<>();
    private final List<FrameStream> incoming = new ArrayList<>();
    private List<FrameStream> streams = List.of(); // of all guests, by number
    private @Nullable VifFrontend vif;
    private long lastHello;

    /// @param number its address follows from it
    /// @param mostBytes of a frame
    NetGuest(int number, int mostBytes) {
        this.number = number;
        frame = new StressFrame(mostBytes);
        hello.address(number, number, StressFrame.LEAST_BYTES); // goes no further than the switch
    }

    int number() {
        return number;
    }

    /// What it sends through, once it is plugged in. Before anything is sent.
    void use(VifFrontend frontend) {
        vif = frontend;
    }

    VifFrontend vif() {
        VifFrontend now = vif;
        if (now == null) {
            throw new IllegalStateException("guest " + number + " has no vif yet");
        }
        return now;
    }

    /// Takes part in a load, and tells the switch where it is.
    ///
    /// @param all streams of the load, by number; empty when it ends
    void join(List<FrameStream> all) {
        streams = List.copyOf(all);
        outgoing.clear();
        incoming.clear();
        for (FrameStream stream : streams) {
            if (stream.sender() == this) {
                outgoing.add(stream);
            }
            if (stream.receiver() == this) {
                incoming.add(stream);
            }
        }
        if (!streams.isEmpty()) {
            sayHello(System.nanoTime());
        }
    }

    private void sayHello(long now) {
        TxFrame free = vif().acquire(0, StressFrame.LEAST_BYTES);
        if (free != null) {
            hello.number(0, 0, 0, now, now, true);
            free.append(hello.bytes(), 0, StressFrame.LEAST_BYTES);
            free.send();
            vif().flush();
            lastHello = now;
        }
    }

    @Override
    public void received(ReceivedFrame came) {
        if (!frame.read(came) || frame.epoch() == 0) {
            return;
        }
        int stream = frame.stream();
        if (stream < 0 || stream >= streams.size()) {
            return;
        }
        FrameStream to = streams.get(stream);
        if (to.receiver() == this) { // else the switch did not know yet where its receiver is
            to.received(frame, System.nanoTime());
        }
    }

    @Override
    public void batchEnd() {
        for (int i = 0; i < incoming.size(); i++) {
            incoming.get(i).batchEnd();
        }
        long now = System.nanoTime();
        if (now - lastHello > HELLO_NANOS && !streams.isEmpty()) {
            sayHello(now);
        }
    }

    @Override
    public void writable(int queue) {
        for (int i = 0; i < outgoing.size(); i++) {
            if (outgoing.get(i).queue() == queue) {
                outgoing.get(i).pump();
            }
        }
    }
}
