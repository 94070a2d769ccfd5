package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// What a guest wrote and what it was told, and the check of an image against it. Written from the
/// promise to guests alone:
///
/// - a write that was answered OKAY survives a kill of the backend;
/// - a flush that was answered OKAY covers every write answered before the flush was submitted;
/// - a sector is never torn.
///
/// One write at a time goes to each block, and in each sector are its number and the write's
/// version, as the C frontend (`cfront.c`) and [VerifiedDisk] write them.
final class WriteHistory {
    private static final int SECTOR = 512;
    private static final long MAGIC = 0x5350524E47000000L;
    private static final long GOLDEN = 0x9E3779B97F4A7C15L;

    private final Map<Integer, Integer> issued = new HashMap<>();
    private final Map<Integer, Integer> answered = new HashMap<>();
    private final Map<Integer, Map<Integer, Integer>> coveredByFlush = new HashMap<>();
    private final Map<Integer, Integer> flushed = new HashMap<>();
    private int flushes;

    /// Reads a history file.
    ///
    /// @throws IllegalArgumentException when it contradicts itself
    static WriteHistory read(Path file) throws IOException {
        WriteHistory history = new WriteHistory();
        for (String line : Files.readAllLines(file)) {
            history.note(line.split(" ", -1));
        }
        return history;
    }

    void note(String... words) {
        int first = Integer.parseInt(words[1]);
        switch (words[0]) {
            case "W" -> issued.put(first, Integer.parseInt(words[2]));
            case "w" -> {
                int version = Integer.parseInt(words[2]);
                if (issued.getOrDefault(first, 0) != version) {
                    throw new IllegalArgumentException("answer without a write: block " + first);
                }
                answered.put(first, version);
            }
            case "F" -> coveredByFlush.put(first, Map.copyOf(answered));
            case "f" -> {
                Map<Integer, Integer> covered = coveredByFlush.remove(first);
                if (covered == null) {
                    throw new IllegalArgumentException("answer without a flush: " + first);
                }
                covered.forEach((block, version) -> flushed.merge(block, version, Math::max));
                flushes++;
            }
            default -> throw new IllegalArgumentException("history: " + String.join(" ", words));
        }
    }

    int flushesAnswered() {
        return flushes;
    }

    /// Version of the last write to a block that was answered; 0 when there was none.
    int answered(int block) {
        return answered.getOrDefault(block, 0);
    }

    /// How many blocks hold something that a flush covers.
    int flushedBlocks() {
        return flushed.size();
    }

    int writesAnswered() {
        return answered.values().stream().mapToInt(Integer::intValue).sum();
    }

    /// Compares an image with the history, for a backend that was killed while the host lived on.
    ///
    /// @param seed of the guest that wrote
    /// @param blockSectors sectors of a block
    /// @return every promise that was broken, in words
    List<String> broken(Path image, long seed, int blockSectors) throws IOException {
        List<String> found = new ArrayList<>();
        try (FileChannel channel = FileChannel.open(image, StandardOpenOption.READ)) {
            for (int block : issued.keySet()) {
                for (int s = 0; s < blockSectors; s++) {
                    long sector = (long) block * blockSectors + s;
                    check(channel, block, sector, seed, found);
                }
            }
        }
        return found;
    }

    private void check(FileChannel image, int block, long sector, long seed, List<String> found)
            throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(SECTOR).order(ByteOrder.LITTLE_ENDIAN);
        while (bytes.hasRemaining()) {
            if (image.read(bytes, sector * SECTOR + bytes.position()) < 0) {
                throw new IOException("image ends before sector " + sector);
            }
        }
        int version = version(bytes.flip(), sector, seed);
        int safe = answered.getOrDefault(block, 0);
        int stable = flushed.getOrDefault(block, 0);
        String where = "block " + block + " sector " + sector;
        if (version < 0) {
            found.add(where + " is torn or holds something that was never written there");
        } else if (version < stable) {
            found.add(where + " lost a flushed write: holds " + version + ", flushed " + stable);
        } else if (version < safe) {
            found.add(where + " lost an answered write: holds " + version + ", answered " + safe);
        } else if (version > issued.getOrDefault(block, 0)) {
            found.add(where + " holds version " + version + " that was never sent");
        }
    }

    /// Version that a whole sector consistently holds: 0 when it is all zero, -1 when it is none.
    static int version(ByteBuffer sector, long number, long seed) {
        long first = sector.getLong(0);
        if (first == 0) {
            return sector.equals(ByteBuffer.allocate(SECTOR)) ? 0 : -1;
        }
        int version = (int) (first & 0xFFFFFF);
        ByteBuffer expected = ByteBuffer.allocate(SECTOR);
        fill(expected, number, version, seed);
        return sector.equals(expected) ? version : -1;
    }

    /// What the C frontend puts into a sector.
    static void fill(ByteBuffer sector, long number, int version, long seed) {
        sector.order(ByteOrder.LITTLE_ENDIAN);
        long x = mix(seed ^ (number << 20) ^ version);
        sector.putLong(0, MAGIC | version);
        sector.putLong(Long.BYTES, number);
        for (int i = 2; i < SECTOR / Long.BYTES; i++) {
            sector.putLong(i * Long.BYTES, x + i * GOLDEN);
        }
    }

    private static long mix(long seed) {
        long x = seed + GOLDEN;
        x = (x ^ (x >>> 30)) * 0xBF58476D1CE4E5B9L;
        x = (x ^ (x >>> 27)) * 0x94D049BB133111EBL;
        return x ^ (x >>> 31);
    }
}
