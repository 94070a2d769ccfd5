package org.splitring.benchmarks.stress;

import java.io.IOException;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.splitring.blkback.DiskImage;
import org.splitring.blkfront.VbdFrontend;
import org.splitring.hypervisor.DeviceLoop;

/// Guests with disks that are filled and loaded; there may become more of them between runs.
final class BlockGuests implements AutoCloseable {
    private final BlockOptions options;
    private final StressSession session;
    private final StressImages images;
    private final GuestBed bed;
    private final Map<DeviceLoop, LoopPacer> pacers = new HashMap<>();
    private final List<StressDisk> disks = new ArrayList<>();
    private final long run = new SecureRandom().nextLong();

    BlockGuests(BlockOptions options, StressSession session, int loops, StressImages images) {
        this.options = options;
        this.session = session;
        this.images = images;
        bed = new GuestBed(loops);
    }

    /// Starts guests until there are so many, and fills the disks of the new ones.
    void growTo(int guests) throws IOException, InterruptedException {
        int before = disks.size();
        while (bed.size() < guests && !session.end().isEnded()) {
            GuestBed.Guest guest = bed.guest(options.memoryBytes());
            List<DiskImage> own = new ArrayList<>();
            for (int i = 0; i < options.disks(); i++) {
                own.add(images.open(session.end()));
            }
            List<VbdFrontend> frontends = guest.disks(own, options.frontend());
            LoopPacer pacer = pacers.computeIfAbsent(guest.loop(), LoopPacer::new);
            for (int i = 0; i < frontends.size(); i++) {
                disks.add(disk(pacer, frontends.get(i), own.get(i)));
            }
        }
        List<StressDisk> added = List.copyOf(disks.subList(before, disks.size()));
        if (options.fills() && !added.isEmpty()) {
            session.progress().stage("filling " + count(added.size(), "disk"));
            try (BlockLoad load = new BlockLoad(added, options.load(), session.options(), run)) {
                load.fill(session.end());
            }
        }
    }

    private StressDisk disk(LoopPacer pacer, VbdFrontend frontend, DiskImage image)
            throws StressException {
        DiskLoad.Settings load = options.load();
        long places = Math.min(image.sizeBytes() / load.sizeBytes(), PlaceTable.MOST);
        String name = "guest %d, %s (%s)".formatted(bed.size(), frontend.name(), image.name());
        if (places < 2L * load.depth()) {
            throw new StressException(
                    "%s has room for %d requests, and %d are needed: a larger image, or less --depth"
                            .formatted(name, places, 2L * load.depth()));
        }
        if (load.mix().has(Mix.Kind.DISCARD) && !frontend.geometry().discard().isOffered()) {
            throw new StressException(name + " cannot discard: leave discard out of --mix");
        }
        return new StressDisk(
                disks.size(),
                bed.size(),
                name,
                frontend,
                new PlaceTable((int) places, images.areFresh() ? 0 : PlaceTable.UNKNOWN),
                pacer);
    }

    static String count(int number, String what) {
        return number + " " + what + (number == 1 ? "" : "s");
    }

    /// Loads the disks of all guests.
    Optional<StressPoint> measure() throws IOException, InterruptedException {
        if (session.end().isEnded()) {
            return Optional.empty();
        }
        try (BlockLoad load = new BlockLoad(disks, options.load(), session.options(), run)) {
            return session.measure(count(bed.size(), "guest"), bed.size(), load);
        }
    }

    @Override
    public void close() {
        bed.close();
    }
}
