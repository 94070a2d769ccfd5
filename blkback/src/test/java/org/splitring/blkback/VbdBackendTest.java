package org.splitring.blkback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.xenbus.device.DeviceNotes;

/// What a guest is told of a disk, node by node, and for how long the disk is listened to.
@Timeout(60)
class VbdBackendTest {
    private static final int DISK = 1 << 20;

    private final VbdLab lab = new VbdLab();
    private final PumpedLoop loop = new PumpedLoop();
    private final List<String> heard = new ArrayList<>();

    @AfterEach
    void close() {
        lab.close();
    }

    /// @param granularityBytes of discards, 0 for none
    private static DiskImage disk(int granularityBytes, boolean zeroes) {
        return DiskImage.of(
                new MemoryStore(DISK) {
                    @Override
                    public int discardGranularityBytes() {
                        return granularityBytes;
                    }

                    @Override
                    public boolean discardZeroes() {
                        return zeroes;
                    }

                    @Override
                    public void resize(long newSizeBytes) {}
                },
                DiskMode.WRITEBACK,
                Runnable::run);
    }

    private VbdBackend backend(DiskImage disk, VbdFeatures features) {
        return new VbdBackend(
                lab.driver,
                lab.paths,
                disk,
                loop,
                new VbdBackendOptions(lab.workers, 2, 64, features),
                0,
                DeviceNotes.NONE);
    }

    /// The nodes that an offer leaves in the backend's folder, whoever wrote them.
    private Map<String, String> offered(DiskImage disk, VbdFeatures features) throws Exception {
        String folder = lab.paths.backend();
        backend(disk, features).offer(lab.toolstack, folder);
        Map<String, String> nodes = new TreeMap<>();
        for (String name : lab.toolstack.list(folder)) {
            if (name.matches("feature-.*|discard-.*|max-.*|multi-.*|disk-.*")) {
                nodes.put(name, lab.toolstack.read(folder + "/" + name).orElseThrow());
            }
        }
        return nodes;
    }

    private static Map<String, String> nodes(String... namesAndValues) {
        Map<String, String> nodes = new TreeMap<>();
        for (int i = 0; i < namesAndValues.length; i += 2) {
            nodes.put(namesAndValues[i], namesAndValues[i + 1]);
        }
        return nodes;
    }

    private static Map<String, String> everything(String granularity, String zeroes) {
        return nodes(
                "feature-flush-cache", "1",
                "feature-barrier", "1",
                "feature-persistent", "1",
                "feature-max-indirect-segments", "256",
                "feature-discard", "1",
                "discard-granularity", granularity,
                "discard-alignment", "0",
                "discard-secure", "0",
                "discard-zeroes", zeroes,
                "multi-queue-max-queues", "4",
                "max-ring-page-order", "2",
                "max-ring-pages", "4");
    }

    private static Map<String, String> nothing() {
        return nodes(
                "feature-flush-cache", "0",
                "feature-barrier", "0",
                "feature-persistent", "0",
                "feature-discard", "0",
                "multi-queue-max-queues", "1",
                "max-ring-page-order", "2",
                "max-ring-pages", "4");
    }

    @Test
    void everythingIsOfferedAsTheDiskCanDoIt() throws Exception {
        assertEquals(everything("65536", "1"), offered(disk(65536, true), VbdFeatures.ALL));
        assertEquals(everything("4096", "0"), offered(disk(4096, false), VbdFeatures.ALL));
    }

    /// Also what a backend before this one has offered.
    @Test
    void whatIsNotOfferedIsNotThere() throws Exception {
        offered(disk(65536, true), VbdFeatures.ALL);
        assertEquals(nothing(), offered(disk(65536, true), VbdFeatures.NONE));
    }

    @Test
    void aDiskThatCannotDiscardDoesNotOfferIt() throws Exception {
        Map<String, String> expected = everything("", "");
        expected.keySet().removeIf(name -> name.startsWith("discard-"));
        expected.put("feature-discard", "0");
        assertEquals(expected, offered(disk(0, false), VbdFeatures.ALL));
    }

    @Test
    void eachFeatureStandsInItsOwnNode() throws Exception {
        DiskImage disk = disk(512, true);
        Map<String, String> expected = nothing();
        expected.put("feature-flush-cache", "1");
        assertEquals(expected, offered(disk, VbdFeatures.NONE.withFlush(true)));
        expected = nothing();
        expected.put("feature-barrier", "1");
        assertEquals(expected, offered(disk, VbdFeatures.NONE.withBarrier(true)));
        expected = nothing();
        expected.put("feature-persistent", "1");
        assertEquals(expected, offered(disk, VbdFeatures.NONE.withMaxPersistentGrants(1)));
        expected = nothing();
        expected.put("feature-max-indirect-segments", "12");
        assertEquals(expected, offered(disk, VbdFeatures.NONE.withMaxIndirectSegments(12)));
        expected = nothing();
        expected.put("multi-queue-max-queues", "3");
        assertEquals(expected, offered(disk, VbdFeatures.NONE.withMaxQueues(3)));
    }

    @Test
    void aFailureOfTheDiskBeforeIsForgottenAndOneOfThisDiskIsNot() throws Exception {
        lab.toolstack.write(lab.paths.backend() + "/" + VbdBackend.FAILURE, "EIO");
        DiskImage disk = disk(512, true);
        disk.written(8, Errno.EIO);
        String failure = offered(disk, VbdFeatures.ALL).get(VbdBackend.FAILURE);
        assertEquals("EIO", failure);
        Map<String, String> after = offered(disk(512, true), VbdFeatures.ALL);
        assertFalse(after.containsKey(VbdBackend.FAILURE));
    }

    private void listen(VbdBackend backend) {
        backend.watchDisk(failure -> heard.add("failed"));
        backend.watchSize(() -> heard.add("resized"));
    }

    @Test
    void theDiskIsListenedToUntilTheDeviceEnds() throws Exception {
        DiskImage disk = disk(512, true);
        VbdBackend backend = backend(disk, VbdFeatures.ALL);
        listen(backend);
        disk.resize(DISK / 2);
        assertEquals(List.of("resized"), heard);
        backend.ended();
        disk.resize(DISK);
        disk.written(8, Errno.EIO);
        assertEquals(List.of("resized"), heard);
    }

    @Test
    void whoEndedBeforeItListenedHearsNothing() throws Exception {
        DiskImage disk = disk(512, true);
        VbdBackend backend = backend(disk, VbdFeatures.ALL);
        backend.ended();
        listen(backend);
        disk.resize(DISK / 2);
        disk.written(8, Errno.EIO);
        assertEquals(List.of(), heard);
    }
}
