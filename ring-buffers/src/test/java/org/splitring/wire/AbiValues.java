package org.splitring.wire;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// What a C compiler says about Xen's headers, kept in `abi-values.txt`: for each ABI, lines of
/// `struct.field offset size`, `struct - size` and `NAME value`, in the order of `abi_values.c`.
final class AbiValues {
    static final List<String> ABIS = List.of("x86_64", "x86_32");

    /// ABI, then name, then the numbers behind it.
    private final Map<String, Map<String, String>> values = new LinkedHashMap<>();

    static String text() {
        try (InputStream in = AbiValues.class.getResourceAsStream("/abi-values.txt")) {
            if (in == null) {
                throw new IllegalStateException("abi-values.txt is not on the class path");
            }
            return new String(in.readAllBytes(), StandardCharsets.US_ASCII);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static AbiValues parse(String text) {
        AbiValues result = new AbiValues();
        for (String line : text.lines().toList()) {
            if (line.startsWith("#")) {
                continue;
            }
            String[] words = line.split(" ", 3);
            if (words.length != 3
                    || result.values
                                    .computeIfAbsent(words[0], abi -> new LinkedHashMap<>())
                                    .put(words[1], words[2])
                            != null) {
                throw new IllegalStateException("bad or double line: " + line);
            }
        }
        return result;
    }

    Map<String, String> of(String abi) {
        Map<String, String> found = values.get(abi);
        if (found == null) {
            throw new IllegalStateException("no values of " + abi);
        }
        return found;
    }
}
