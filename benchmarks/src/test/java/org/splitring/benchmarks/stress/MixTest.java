package org.splitring.benchmarks.stress;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.splitring.benchmarks.stress.Mix.Kind;

/// What `--mix` takes.
final class MixTest {
    @Test
    void kindsComeInTheirShares() {
        Mix mix = Mix.parse("write=25,read=70,flush=5");
        assertEquals(List.of(Kind.READ, Kind.WRITE, Kind.FLUSH), mix.kinds());
        assertEquals("read=70,write=25,flush=5", mix.toString());
        SplittableRandom random = new SplittableRandom(3);
        int[] counts = new int[3];
        for (int i = 0; i < 100_000; i++) {
            counts[mix.pick(random)]++;
        }
        assertEquals(70_000, counts[0], 1000);
        assertEquals(25_000, counts[1], 1000);
        assertEquals(5_000, counts[2], 500);
    }

    @Test
    void whatHasNoShareIsNotThere() {
        Mix mix = Mix.parse("read=1,write=0");
        assertEquals(List.of(Kind.READ), mix.kinds());
        assertTrue(mix.isReadOnly());
        assertEquals(0, mix.pick(new SplittableRandom(1)));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "read|'read' is not KIND=SHARE",
                "read=x|'read=x' is not KIND=SHARE",
                "erase=1|'erase' is not KIND=SHARE",
                "read=1,read=2|'read' is there twice",
                "read=0|leaves nothing to do",
                "read=9999999|at most 1000000"
            })
    void wrongOnesAreNamed(String text, String message) {
        var e = assertThrows(IllegalArgumentException.class, () -> Mix.parse(text));
        assertTrue(String.valueOf(e.getMessage()).contains(message), e::getMessage);
    }
}
