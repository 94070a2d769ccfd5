package org.splitring.driverdomain;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.splitring.blkback.VbdMetrics;

/// What the disks of a lab have done since the last look, a line for each.
final class RateLines {
    private static final int SECTOR_BYTES = 512;

    /// Leaves room for other lines on a terminal of usual height.
    private static final int MAX_LINES = 12;

    private final List<LabGuest> guests;
    private final String nameFormat;
    private final Map<LabGuest.Disk, VbdMetrics> before = new HashMap<>();
    private long lastNanos = System.nanoTime();

    RateLines(List<LabGuest> guests) {
        this.guests = guests;
        int width =
                guests.stream()
                        .flatMap(guest -> guest.disks().stream().map(disk -> name(guest, disk)))
                        .mapToInt(String::length)
                        .max()
                        .orElse(1);
        nameFormat = "%-" + width + "s";
    }

    ///     web/xvda  read   1.2 GiB/s  310k/s  write     0 B/s     0/s  flush     0/s
    List<String> next() {
        long now = System.nanoTime();
        double seconds = Math.max(1e-3, (now - lastNanos) / 1e9);
        lastNanos = now;
        List<String> lines = new ArrayList<>();
        int more = 0;
        for (LabGuest guest : guests) {
            for (LabGuest.Disk disk : guest.disks()) {
                String rates = rates(disk, seconds); // of all: the next look starts from here
                if (lines.size() < MAX_LINES) {
                    lines.add(
                            String.format(Locale.ROOT, nameFormat, name(guest, disk))
                                    + "  "
                                    + rates);
                } else {
                    more++;
                }
            }
        }
        if (more > 0) {
            lines.add("and " + more + " more");
        }
        return lines;
    }

    private static String name(LabGuest guest, LabGuest.Disk disk) {
        return guest.domain().name() + "/" + disk.lab.device().name();
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
        return String.format(
                Locale.ROOT,
                "read %10s/s %6s/s  write %10s/s %6s/s  flush %6s/s",
                Sizes.text(Math.rint(readSectors * SECTOR_BYTES)),
                Sizes.count((now.rdReq() - (fresh ? 0 : last.rdReq())) * per),
                Sizes.text(Math.rint(writtenSectors * SECTOR_BYTES)),
                Sizes.count((now.wrReq() - (fresh ? 0 : last.wrReq())) * per),
                Sizes.count((now.fReq() - (fresh ? 0 : last.fReq())) * per));
    }
}
