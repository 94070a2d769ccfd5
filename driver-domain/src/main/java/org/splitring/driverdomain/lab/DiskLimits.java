package org.splitring.driverdomain.lab;

import org.splitring.blkback.DiskRate;
import org.splitring.blkback.WorkShares;

/// How much of the storage a disk may use.
///
/// @param weight beside other disks that want it at the same time
public record DiskLimits(DiskRate rate, int weight) {
    public static final DiskLimits NONE =
            new DiskLimits(DiskRate.UNLIMITED, WorkShares.DEFAULT_WEIGHT);

    /// Reads what people write, `null` for what they did not.
    ///
    /// @param bps bytes a second as a [Size]
    /// @param iops operations a second
    /// @param burst milliseconds
    /// @throws LabException that names the value
    public static DiskLimits parse(String bps, String iops, String burst, String weight)
            throws LabException {
        try {
            long burstMillis =
                    burst.isEmpty()
                            ? DiskRate.DEFAULT_BURST_MILLIS
                            : number("burst", burst.replaceFirst("ms$", ""));
            long bytes =
                    bps.isEmpty()
                            ? 0
                            : Size.parse(bps)
                                    .orElseThrow(
                                            () ->
                                                    new LabException(
                                                            "bps \""
                                                                    + bps
                                                                    + "\" is no size, such as 20MiB"));
            DiskRate rate =
                    new DiskRate(bytes, iops.isEmpty() ? 0 : number("iops", iops), burstMillis);
            long share = weight.isEmpty() ? WorkShares.DEFAULT_WEIGHT : number("weight", weight);
            if (share < 1 || share > WorkShares.MAX_WEIGHT) {
                throw new LabException(
                        "weight " + weight + " is not in 1.." + WorkShares.MAX_WEIGHT);
            }
            return new DiskLimits(rate.isLimited() ? rate : DiskRate.UNLIMITED, (int) share);
        } catch (IllegalArgumentException e) {
            throw new LabException(String.valueOf(e.getMessage()), e);
        }
    }

    private static long number(String key, String text) throws LabException {
        if (!text.matches("[0-9]{1,15}")) {
            throw new LabException(key + " \"" + text + "\" is no number");
        }
        return Long.parseLong(text);
    }
}
