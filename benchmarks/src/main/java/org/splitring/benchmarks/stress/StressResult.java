package org.splitring.benchmarks.stress;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.splitring.benchmarks.Machine;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/// Everything that a command has measured: what `--json` writes and `compare` reads. The form
/// is in `docs/stress.md`.
///
/// @param format [#FORMAT]
/// @param test `block`
/// @param settings option and value, in the order in which people want to read them
/// @param command as it was typed
/// @param began date and time, ISO 8601
/// @param outcome `complete`, `interrupted` or `failed`
/// @param failure what was found, when it failed
record StressResult(
        String format,
        String test,
        Map<String, String> settings,
        Machine machine,
        List<String> command,
        String began,
        String outcome,
        @Nullable String failure,
        List<StressPoint> points) {
    static final String FORMAT = "splitring-stress-1";

    private static final JsonMapper JSON =
            JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).build();

    StressResult {
        settings = new LinkedHashMap<>(settings);
        command = List.copyOf(command);
        points = List.copyOf(points);
    }

    String toJson() {
        return JSON.writeValueAsString(this) + "\n";
    }

    /// Reads what `--json` has written.
    ///
    /// @throws StressException when it is not that
    static StressResult read(Path file) throws StressException {
        try {
            String text = Files.readString(file);
            StressResult result = JSON.readValue(text, StressResult.class);
            if (!FORMAT.equals(result.format)) {
                throw new StressException(
                        file + ": not a report of stress (no \"format\": \"" + FORMAT + "\")");
            }
            return result;
        } catch (NoSuchFileException e) {
            throw new StressException(file + ": no such file", e);
        } catch (StressException e) {
            throw e;
        } catch (IOException e) {
            throw new StressException(file + ": cannot be read: " + e.getMessage(), e);
        } catch (JacksonException e) {
            throw new StressException(
                    file + ": not a report of stress, which --json of a run writes", e);
        }
    }
}
