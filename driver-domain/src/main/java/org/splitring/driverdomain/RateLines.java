package org.splitring.driverdomain;

import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.MeterRegistry;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.splitring.xenbus.DevicePaths;

/// What the disks of a lab have done since the last look, a line for each.
final class RateLines {
    private static final int SECTOR_BYTES = 512;

    /// Leaves room for other lines on a terminal of usual height.
    private static final int MAX_LINES = 12;

    private final List<LabGuest> guests;
    private final MeterRegistry meters;
    private final Map<DevicePaths, Counts> before = new HashMap<>();
    private long lastNanos = System.nanoTime();

    /// What a disk has done for the guest that is attached, under the names of its meters.
    private record Counts(double rdReq, double wrReq, double fReq, double rdSect, double wrSect) {
        static final Counts NOTHING = new Counts(0, 0, 0, 0, 0);
    }

    /// @param meters of the disks
    RateLines(List<LabGuest> guests, MeterRegistry meters) {
        this.guests = guests;
        this.meters = meters;
    }

    ///     web/xvda  read   1.2 GiB/s  310k/s  write     0 B/s     0/s  flush     0/s
    List<String> next() {
        long now = System.nanoTime();
        double seconds = Math.max(1e-3, (now - lastNanos) / 1e9);
        lastNanos = now;
        Map<String, String> rates = new LinkedHashMap<>(); // of all: the next look starts from here
        int width = 1;
        for (LabGuest guest : guests) {
            for (HeldDisks.Disk disk : guest.disks()) {
                String name = guest.domain().name() + "/" + disk.name();
                width = Math.max(width, name.length());
                rates.put(name, rates(disk.paths(), seconds));
            }
        }
        List<String> lines = new ArrayList<>();
        for (Map.Entry<String, String> disk : rates.entrySet()) {
            if (lines.size() == MAX_LINES) {
                lines.add("and " + (rates.size() - MAX_LINES) + " more");
                break;
            }
            String name = String.format(Locale.ROOT, "%-" + width + "s", disk.getKey());
            lines.add(name + "  " + disk.getValue());
        }
        return lines;
    }

    private double count(DevicePaths disk, String name) {
        FunctionCounter counter =
                meters.find("splitring.vbd." + name)
                        .tag("side", "backend")
                        .tag("guest", disk.frontendDomain().toString())
                        .tag("device", Integer.toString(disk.device()))
                        .functionCounter();
        return counter == null ? Double.NaN : counter.count();
    }

    private String rates(DevicePaths disk, double seconds) {
        Counts now =
                new Counts(
                        count(disk, "rd.req"),
                        count(disk, "wr.req"),
                        count(disk, "f.req"),
                        count(disk, "rd.sect"),
                        count(disk, "wr.sect"));
        if (Double.isNaN(now.rdReq())) {
            before.remove(disk);
            return "no guest";
        }
        Counts last = before.put(disk, now);
        // Another guest has attached since: its counts began at zero.
        if (last == null || last.rdReq() > now.rdReq() || last.wrReq() > now.wrReq()) {
            last = Counts.NOTHING;
        }
        double per = 1 / seconds;
        return String.format(
                Locale.ROOT,
                "read %10s/s %6s/s  write %10s/s %6s/s  flush %6s/s",
                Sizes.text(Math.rint((now.rdSect() - last.rdSect()) * per * SECTOR_BYTES)),
                Sizes.count((now.rdReq() - last.rdReq()) * per),
                Sizes.text(Math.rint((now.wrSect() - last.wrSect()) * per * SECTOR_BYTES)),
                Sizes.count((now.wrReq() - last.wrReq()) * per),
                Sizes.count((now.fReq() - last.fReq()) * per));
    }
}
