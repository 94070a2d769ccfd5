package org.splitring.blkback.image;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.splitring.testkit.ExternalTools;

/// QEMU's tools, as judges of what our code wrote and as makers of what it reads.
final class Qemu {
    private static final Pattern EXTENT =
            Pattern.compile("\"length\": (\\d+),[^}]*\"zero\": (\\w+), \"data\": (\\w+)");

    private Qemu() {}

    record Result(int code, String output) {}

    static Result run(String... words) throws IOException, InterruptedException {
        ExternalTools.require(words[0], "qemu-utils");
        return execute(words);
    }

    /// Runs any program.
    static Result execute(String... words) throws IOException, InterruptedException {
        Path output = Files.createTempFile("qemu", ".out");
        try {
            Process process =
                    new ProcessBuilder(words)
                            .redirectErrorStream(true)
                            .redirectOutput(output.toFile())
                            .start();
            if (!process.waitFor(60, TimeUnit.SECONDS)) {
                process.destroyForcibly();
                throw new IOException("hangs: " + String.join(" ", words));
            }
            return new Result(process.exitValue(), Files.readString(output));
        } finally {
            Files.delete(output);
        }
    }

    private static String succeed(List<String> words) throws IOException, InterruptedException {
        Result result = run(words.toArray(String[]::new));
        assertEquals(0, result.code(), String.join(" ", words) + "\n" + result.output());
        return result.output();
    }

    static String img(String... words) throws IOException, InterruptedException {
        List<String> all = new ArrayList<>(List.of("qemu-img"));
        all.addAll(List.of(words));
        return succeed(all);
    }

    /// Runs commands of qemu-io on an image.
    static String io(String format, Path image, String... commands)
            throws IOException, InterruptedException {
        List<String> all = new ArrayList<>(List.of("qemu-io", "-f", format));
        for (String command : commands) {
            all.add("-c");
            all.add(command);
        }
        all.add(image.toString());
        return succeed(all);
    }

    /// Neither damaged nor leaking.
    static void assertClean(Path image) throws IOException, InterruptedException {
        Result result = run("qemu-img", "check", "-f", "qcow2", image.toString());
        assertEquals(0, result.code(), result.output());
    }

    /// Perhaps leaking, and not damaged.
    static void assertUndamaged(Path image) throws IOException, InterruptedException {
        Result result = run("qemu-img", "check", "-f", "qcow2", image.toString());
        if (result.code() != 3) {
            assertEquals(0, result.code(), result.output());
        }
    }

    /// What a guest would read, by QEMU.
    static byte[] contents(String format, Path image) throws IOException, InterruptedException {
        Path raw = Files.createTempFile("qemu", ".raw");
        try {
            img("convert", "-f", format, "-O", "raw", image.toString(), raw.toString());
            return Files.readAllBytes(raw);
        } finally {
            Files.delete(raw);
        }
    }

    /// What QEMU says of the parts of an image, as [AllocationJudge#extents].
    static List<String> map(String format, Path image) throws IOException, InterruptedException {
        String json = img("map", "--output=json", "-f", format, image.toString());
        AllocationJudge.Joined all = new AllocationJudge.Joined();
        Matcher extent = EXTENT.matcher(json);
        while (extent.find()) {
            boolean data = extent.group(3).equals("true"); // perhaps where the file has a hole
            assertTrue(data || extent.group(2).equals("true"), json);
            all.add(!data, Long.parseLong(extent.group(1)));
        }
        return all.extents();
    }
}
