package org.splitring.blkback.image;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.splitring.blkback.BlockStore;

/// Power is lost, or the process killed, at every synchronisation and between them: the image is
/// not damaged, and holds what was promised.
@Timeout(120)
class Qcow2PowerLossTest {
    private static final int SECTORS = 1200;

    private final long seed = Long.getLong("splitring.seed", 20_261_126L);
    private final Random random = new Random(seed);
    private final Random crashes = new Random(seed + 1);
    private int looked;
    private int judgedByQemu;

    @TempDir Path folder;

    enum Beginning {
        EMPTY_512,
        EMPTY_4096,
        EMPTY_65536,
        BACKING,
        SNAPSHOT,
        COMPRESSED
    }

    /// Numbers that fill a sector each.
    private byte[] numbered(int sectors) {
        byte[] bytes = new byte[sectors * 512];
        for (int i = 0; i < bytes.length; i += 8) {
            bytes[i] = (byte) (i / 512 % 5 == 0 ? 0 : 1);
        }
        return bytes;
    }

    private byte[] image(Beginning beginning) throws Exception {
        Path image = folder.resolve("begin.qcow2");
        Path raw = Files.write(folder.resolve("data.raw"), numbered(SECTORS));
        long size = SECTORS * 512L;
        switch (beginning) {
            case EMPTY_512, EMPTY_4096, EMPTY_65536 -> {
                int bits =
                        Integer.numberOfTrailingZeros(
                                Integer.parseInt(beginning.name().substring("EMPTY_".length())));
                RecordingFile file = new RecordingFile(new byte[0], false);
                new Qcow2Creation(size, bits, "", "").write(file);
                return file.afterKill();
            }
            case BACKING -> {
                RecordingFile file = new RecordingFile(new byte[0], false);
                new Qcow2Creation(size, 12, "data.raw", "raw").write(file);
                return file.afterKill();
            }
            case SNAPSHOT -> {
                Qemu.img(
                        "convert",
                        "-f",
                        "raw",
                        "-O",
                        "qcow2",
                        "-o",
                        "cluster_size=4096",
                        raw.toString(),
                        image.toString());
                Qemu.img("snapshot", "-c", "before", image.toString());
            }
            case COMPRESSED ->
                    Qemu.img(
                            "convert",
                            "-c",
                            "-f",
                            "raw",
                            "-O",
                            "qcow2",
                            "-o",
                            "cluster_size=4096",
                            raw.toString(),
                            image.toString());
        }
        return Files.readAllBytes(image);
    }

    private static BlockStore store(ImageFile file, @Nullable BlockStore backing)
            throws IOException {
        return Qcow2Store.open(file, Qcow2Header.read(file), backing);
    }

    private @Nullable BlockStore backing(Beginning beginning) throws IOException {
        return beginning == Beginning.BACKING
                ? new FileBytes(new RecordingFile(numbered(SECTORS), true))
                : null;
    }

    private void assertSurvives(
            byte[] left, SectorHistory history, boolean all, Beginning beginning, String what)
            throws IOException {
        looked++;
        RecordingFile after = new RecordingFile(left, true);
        CheckReport report =
                Qcow2Check.check(after, Qcow2Header.read(after), false, Progress.none());
        assertEquals(0, report.damageCount(), () -> what + ": " + report.damages());
        history.check(store(after, backing(beginning)), all, what);
        if (looked % 47 == 0) {
            judgedByQemu++;
            Path image = Files.write(folder.resolve("crashed.qcow2"), left);
            try {
                Qemu.assertUndamaged(image);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }

    @ParameterizedTest
    @EnumSource(Beginning.class)
    void nothingThatWasFlushedIsLost(Beginning beginning) throws Exception {
        byte[] begin = image(beginning);
        for (int life = 0; life < 4; life++) {
            RecordingFile file = new RecordingFile(begin, false);
            BlockStore store = store(file, backing(beginning));
            SectorHistory history = new SectorHistory(store, random);
            String what = "seed " + seed + ", " + beginning + ", life " + life;
            file.setWitness(
                    at -> {
                        if (beginning == Beginning.EMPTY_512 && crashes.nextInt(10) > 0) {
                            return; // tables of such clusters change all the time
                        }
                        assertSurvives(at.afterKill(), history, true, beginning, what + ", kill");
                        for (int i = 0; i < 3; i++) {
                            byte[] left = at.afterPowerLoss(crashes);
                            assertSurvives(left, history, false, beginning, what + ", power");
                        }
                    });
            for (int i = 0; i < 40; i++) {
                if (random.nextInt(5) == 0) {
                    history.discard(store);
                } else {
                    history.write(store);
                }
                if (random.nextInt(6) == 0) {
                    history.flush(store);
                }
            }
            // The next life begins with what a loss of power or a kill left, or with an orderly
            // end.
            switch (life) {
                case 0 -> begin = file.afterPowerLoss(crashes);
                case 1 -> begin = file.afterKill();
                default -> {
                    history.flush(store);
                    store.close();
                    begin = file.afterKill();
                    history.check(
                            store(new RecordingFile(begin, true), backing(beginning)), true, what);
                }
            }
        }
        assertTrue(looked > 100, "only " + looked + " cases");
        assertTrue(judgedByQemu > 1, "QEMU has looked at " + judgedByQemu);
    }

    /// Grows beyond what its tables have room for, shrinks, and grows again over what was cut off.
    /// Each life begins with what was left at some moment of the one before.
    @ParameterizedTest
    @EnumSource(names = {"EMPTY_512", "EMPTY_4096", "BACKING"})
    void anotherSizeIsThereOrNotAfterALossOfPower(Beginning beginning) throws Exception {
        byte[][] begin = {image(beginning)};
        for (int life = 0; life < 6; life++) {
            RecordingFile file = new RecordingFile(begin[0], false);
            BlockStore store = store(file, backing(beginning));
            SectorHistory history = new SectorHistory(store, random);
            String what = "seed " + seed + ", " + beginning + ", life " + life;
            int lookedBefore = looked;
            file.setWitness(
                    at -> {
                        if (beginning == Beginning.EMPTY_512 && crashes.nextInt(6) > 0) {
                            return; // tables of such clusters change all the time
                        }
                        assertSurvives(at.afterKill(), history, true, beginning, what + ", kill");
                        for (int i = 0; i < 3; i++) {
                            byte[] left = at.afterPowerLoss(crashes);
                            assertSurvives(left, history, false, beginning, what + ", power");
                            if (crashes.nextInt(looked - lookedBefore) < 2) {
                                begin[0] = left;
                            }
                        }
                    });
            for (int i = 0; i < 30; i++) {
                switch (random.nextInt(6)) {
                    case 0 -> {
                        history.resize(store, 60 + random.nextInt(300));
                        history.flush(store);
                        history.resize(store, 200 + random.nextInt(6000));
                    }
                    case 1 -> history.discard(store);
                    case 2 -> history.flush(store);
                    default -> history.write(store);
                }
            }
            store.close();
        }
        assertTrue(looked > 100, "only " + looked + " cases");
        assertTrue(judgedByQemu > 1, "QEMU has looked at " + judgedByQemu);
    }
}
