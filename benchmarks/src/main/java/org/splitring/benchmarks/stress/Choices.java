package org.splitring.benchmarks.stress;

import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.DiskMode;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/// Words that options take, in lower case as they are typed.
final class Choices {
    private Choices() {}

    /// For `--arrivals`.
    static final class PacingName implements ITypeConverter<Arrivals.Pacing> {
        @Override
        public Arrivals.Pacing convert(String text) {
            return choose(text, Arrivals.Pacing.values());
        }
    }

    /// For `--pattern`.
    static final class PatternName implements ITypeConverter<BlockOptions.Pattern> {
        @Override
        public BlockOptions.Pattern convert(String text) {
            return choose(text, BlockOptions.Pattern.values());
        }
    }

    /// For `--placement`.
    static final class PlacementName implements ITypeConverter<StressRingCommand.Placement> {
        @Override
        public StressRingCommand.Placement convert(String text) {
            return choose(text, StressRingCommand.Placement.values());
        }
    }

    /// For `--waiting`.
    static final class WaitingName implements ITypeConverter<StressRingCommand.Waiting> {
        @Override
        public StressRingCommand.Waiting convert(String text) {
            return choose(text, StressRingCommand.Waiting.values());
        }
    }

    /// For `--cache`.
    static final class CacheName implements ITypeConverter<DiskMode> {
        @Override
        public DiskMode convert(String text) {
            try {
                return DiskMode.parse(text);
            } catch (DiskException e) {
                throw new TypeConversionException(e.getMessage());
            }
        }
    }

    static String word(Enum<?> value) {
        return value.name().toLowerCase(Locale.ROOT);
    }

    private static <E extends Enum<E>> E choose(String text, E[] values) {
        return Arrays.stream(values)
                .filter(value -> word(value).equals(text))
                .findFirst()
                .orElseThrow(
                        () ->
                                new TypeConversionException(
                                        "'"
                                                + text
                                                + "' is none of "
                                                + Arrays.stream(values)
                                                        .map(Choices::word)
                                                        .collect(Collectors.joining(", "))));
    }
}
