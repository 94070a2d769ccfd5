package org.splitring.netback;

import java.lang.foreign.MemorySegment;
import org.splitring.netfront.ReceivedFrame;
import org.splitring.netfront.TxFrame;
import org.splitring.netfront.VifFrontend;
import org.splitring.netfront.VifFrontendOptions;
import org.splitring.netfront.VifUser;

/// Measures frames from ring to ring through the switch: one thread is both guests, the other
/// netback and switch. Arguments: bytes of a frame, seconds.
final class RingToRing {
    private RingToRing() {}

    private static final class Sink implements VifUser {
        long frames;

        @Override
        public void received(ReceivedFrame frame) {
            frames++;
        }
    }

    public static void main(String[] args) throws Exception {
        int size = Integer.parseInt(args[0]);
        int seconds = Integer.parseInt(args[1]);
        SpinLoop net = new SpinLoop(30_000);
        SpinLoop fronts = new SpinLoop(30_000);
        SpinLab lab = new SpinLab(net, fronts);
        boolean[] stop = {false};
        Thread back =
                new Thread(
                        () -> {
                            while (!stop[0]) {
                                net.round();
                            }
                        },
                        "netback");
        back.setDaemon(true);
        back.start();
        Sink one = new Sink();
        Sink two = new Sink();
        VifFrontend sender = lab.guest(1, one, VifFrontendOptions.DEFAULT);
        VifFrontend receiver = lab.guest(2, two, VifFrontendOptions.DEFAULT);
        fronts.until(() -> sender.hasCarrier() && receiver.hasCarrier());
        MemorySegment frame =
                MemorySegment.ofArray(Packets.frame(Packets.mac(2), Packets.mac(1), size));
        MemorySegment hello =
                MemorySegment.ofArray(Packets.frame(Packets.mac(1), Packets.mac(2), 60));
        send(receiver, hello, 60); // the switch learns where the receiver is
        receiver.flush();
        fronts.until(() -> one.frames > 0);
        for (int second = 0; second < seconds; second++) {
            long framesBefore = two.frames;
            long sent = 0;
            long begin = System.nanoTime();
            long end = begin + 1_000_000_000L;
            while (System.nanoTime() < end) {
                for (int i = 0; i < 32; i++) {
                    for (int j = 0; j < 32; j++) {
                        if (!send(sender, frame, size)) {
                            break;
                        }
                        sent++;
                    }
                    sender.flush();
                    fronts.round();
                }
            }
            double took = (System.nanoTime() - begin) / 1e9;
            System.out.printf(
                    "%d B: %.3f Mpps received, %.3f Mpps sent, %.2f Gbit/s%n",
                    size,
                    (two.frames - framesBefore) / took / 1e6,
                    sent / took / 1e6,
                    (two.frames - framesBefore) / took * size * 8 / 1e9);
        }
        stop[0] = true;
        System.exit(0);
    }

    private static boolean send(VifFrontend vif, MemorySegment bytes, int size) {
        TxFrame frame = vif.acquire(0, size);
        if (frame == null) {
            return false;
        }
        frame.append(bytes, 0, size);
        frame.send();
        return true;
    }
}
