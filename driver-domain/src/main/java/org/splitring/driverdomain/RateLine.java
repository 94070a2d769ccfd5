package org.splitring.driverdomain;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.splitring.blkback.VbdMetrics;

/// What the disks of a lab have done since the last look, as one line.
final class RateLine {
    private static final int SECTOR_BYTES = 512;

    private final List<LabGuest> guests;
    private final Map<LabGuest.Disk, VbdMetrics> before = new HashMap<>();
    private long lastNanos = System.nanoTime();

    RateLine(List<LabGuest> guests) {
        this.guests = guests;
    }

    /// `web/xvda  read 1.2 GiB/s 310k/s  write 0 B/s 0/s  flush 0/s`, disk after disk.
    String next() {
        long now = System.nanoTime();
        double seconds = Math.max(1e-3, (now - lastNanos) / 1e9);
        lastNanos = now;
        List<String> parts = new ArrayList<>();
        for (LabGuest guest : guests) {
            for (LabGuest.Disk disk : guest.disks()) {
                String name = guest.domain().name() + "/" + disk.lab.device().name();
                parts.add(name + "  " + rates(disk, seconds));
            }
        }
        return String.join("   ", parts);
    }

    private String rates(LabGuest.Disk disk, double seconds) {
        VbdMetrics now = disk.metrics();
        if (now == null) {
            before.remove(disk);
            return "no guest";
        }
        VbdMetrics last = before.put(disk, now);
        // Another guest has attached since: its counts began at zero.
        boolean fresh = last == null || last.rdReq() > now.rdReq() || last.wrReq() > now.wrReq();
        double per = 1 / seconds;
        double readSectors = (now.rdSect() - (fresh ? 0 : last.rdSect())) * per;
        double writtenSectors = (now.wrSect() - (fresh ? 0 : last.wrSect())) * per;
        return "read "
                + Sizes.text(Math.rint(readSectors * SECTOR_BYTES))
                + "/s "
                + Sizes.count((now.rdReq() - (fresh ? 0 : last.rdReq())) * per)
                + "/s  write "
                + Sizes.text(Math.rint(writtenSectors * SECTOR_BYTES))
                + "/s "
                + Sizes.count((now.wrReq() - (fresh ? 0 : last.wrReq())) * per)
                + "/s  flush "
                + Sizes.count((now.fReq() - (fresh ? 0 : last.fReq())) * per)
                + "/s";
    }
}
