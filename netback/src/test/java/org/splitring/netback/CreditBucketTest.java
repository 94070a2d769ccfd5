package org.splitring.netback;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigInteger;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CreditBucketTest {
    private final CreditBucket bucket = new CreditBucket();

    @Test
    void withoutALimitEverythingPasses() {
        bucket.limit(VifRate.UNLIMITED, 0);
        for (int i = 0; i < 1000; i++) {
            assertTrue(bucket.take(65535, 0));
        }
    }

    @Test
    void theLargestFrameGetsThroughAtTheLowestRate() {
        bucket.limit(new VifRate(1, 1000), 5);
        long now = 5;
        assertFalse(bucket.take(65535, now));
        now += bucket.waitNanos(65535, now);
        assertTrue(bucket.take(65535, now));
    }

    /// Against exact arithmetic: what passed is never more than what was given and saved, and what
    /// waited as long as it was told to always passes.
    @Test
    void h052_creditIsWhatExactArithmeticSays() {
        long seed = Long.getLong("splitring.seed", 20_261_126L);
        SplittableRandom random = new SplittableRandom(seed);
        for (int round = 0; round < 200; round++) {
            long bytes =
                    switch (random.nextInt(4)) {
                        case 0 -> random.nextLong(1, 100);
                        case 1 -> random.nextLong(1, 1 << 20);
                        case 2 -> random.nextLong(1, 1L << 40);
                        default -> Long.MAX_VALUE / 10;
                    };
            long micros = random.nextLong(1, random.nextBoolean() ? 100 : 3_600_000_000L);
            long start = random.nextLong();
            bucket.limit(new VifRate(bytes, micros), start);
            BigInteger burst = BigInteger.valueOf(Math.max(CreditBucket.MIN_BURST_BYTES, bytes));
            BigInteger credit = BigInteger.valueOf(bytes);
            long elapsed = 0;
            long intervals = 0;
            long intervalNanos = micros * 1000;
            for (int i = 0; i < 300; i++) {
                elapsed += random.nextLong(0, 2 * intervalNanos);
                int size = random.nextInt(14, 65536);
                // Credit is looked at when it is short, for all intervals since.
                if (credit.compareTo(BigInteger.valueOf(size)) < 0) {
                    long now = elapsed / intervalNanos;
                    credit =
                            credit.add(
                                            BigInteger.valueOf(bytes)
                                                    .multiply(BigInteger.valueOf(now - intervals)))
                                    .min(burst);
                    intervals = now;
                }
                boolean expected = credit.compareTo(BigInteger.valueOf(size)) >= 0;
                assertEquals(expected, bucket.take(size, start + elapsed), "seed " + seed);
                if (expected) {
                    credit = credit.subtract(BigInteger.valueOf(size));
                } else {
                    long wait = bucket.waitNanos(size, start + elapsed);
                    assertTrue(wait > 0, "seed " + seed + " wait " + wait);
                    BigInteger then =
                            credit.add(
                                    BigInteger.valueOf(bytes)
                                            .multiply(
                                                    BigInteger.valueOf(
                                                            (elapsed + wait) / intervalNanos
                                                                    - intervals)));
                    assertTrue(then.compareTo(BigInteger.valueOf(size)) >= 0, "seed " + seed);
                }
            }
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "1",
                "1,",
                ",1",
                "1,2,3",
                "-1,5",
                "1,-5",
                "0,5",
                "5,0",
                "x,5",
                " 5,5",
                "5,3600000001",
                "99999999999999999999,1"
            })
    void aRateThatIsNoneIsNamed(String text) {
        IllegalArgumentException e =
                assertThrows(IllegalArgumentException.class, () -> VifRate.parse(text));
        assertTrue(String.valueOf(e.getMessage()).startsWith("rate "), e.getMessage());
    }

    @Test
    void aRateIsRead() {
        assertEquals(new VifRate(62500, 50000), VifRate.parse("62500,50000"));
    }
}
