package org.splitring.benchmarks;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// A program of some files in C is written to the file system, compiled with one `gcc` for each
/// processor, and made stable. Every build has to give the same bytes, on every side, and a program
/// that says what was computed beforehand.
final class PaperCompile implements PaperWorkload {
    private static final int FUNCTIONS = 12; // of a file
    private static final int MOST_FILES = 40;
    private static final int FILES_PER_SECOND = 8;

    private @Nullable String digest; // of the first build

    @Override
    public String name() {
        return "compile";
    }

    @Override
    public String description() {
        return "gcc: files of C written, compiled, linked and synced";
    }

    @Override
    public List<Needed> needs() {
        return List.of(
                new Needed("gcc", "gcc"),
                new Needed("make", "make"),
                new Needed("sync", "coreutils"));
    }

    @Override
    public boolean usesDisk() {
        return true;
    }

    @Override
    public Figure run(PaperSide side, int seconds) throws IOException, InterruptedException {
        int files = Math.min(MOST_FILES, seconds * FILES_PER_SECOND);
        Path folder = side.disk().files().resolve("build");
        ToolProgram.run(List.of("rm", "-rf", folder.toString()));
        Files.createDirectory(folder);
        long begin = System.nanoTime();
        write(folder, files);
        String processors = Integer.toString(Runtime.getRuntime().availableProcessors());
        ToolProgram.run(
                List.of("make", "-s", "-C", folder.toString(), "-j" + processors), Map.of(), 300);
        ToolProgram.run(List.of("sync", "-f", folder.toString()));
        double took = (System.nanoTime() - begin) / 1e9;
        check(folder, files);
        return new Figure(name(), "files_per_second", files / took);
    }

    private static void write(Path folder, int files) throws IOException {
        StringBuilder main = new StringBuilder("#include <stdio.h>\n");
        StringBuilder calls = new StringBuilder();
        for (int file = 0; file < files; file++) {
            StringBuilder text =
                    new StringBuilder(
                            "#include <stdio.h>\n#include <stdlib.h>\n#include <math.h>\n");
            StringBuilder sum = new StringBuilder("0u");
            for (int function = 0; function < FUNCTIONS; function++) {
                text.append(
                        """
                        static unsigned f%1$d(unsigned n) {
                            unsigned a[16], i, s = n;
                            for (i = 0; i < 16; i++) a[i] = s = s * 1664525u + 1013904223u + %1$du;
                            for (i = 1; i < 16; i++) s ^= a[i] >> (i & 7);
                            switch (s & 3) { case 0: s += 3; break; case 1: s *= 5; break; default: s ^= n; }
                            return s;
                        }
                        """
                                .formatted(function));
                sum.append(" + f").append(function).append("(n)");
            }
            text.append("unsigned file%d(unsigned n) { return %s; }%n".formatted(file, sum));
            Files.writeString(folder.resolve("file" + file + ".c"), text);
            main.append("unsigned file%d(unsigned);%n".formatted(file));
            calls.append(" + file%1$d(%1$d)".formatted(file));
        }
        main.append("int main(void) { printf(\"%%u\\n\", 0u%s); return 0; }%n".formatted(calls));
        Files.writeString(folder.resolve("main.c"), main);
        Files.writeString(
                folder.resolve("Makefile"),
                """
                CFLAGS = -O2
                OBJECTS = $(patsubst %.c,%.o,$(sort $(wildcard *.c)))
                program: $(OBJECTS)
                \tgcc -o $@ $(OBJECTS)
                """);
    }

    /// What the program has to print: the same in Java, whose `int` wraps as C's `unsigned` does.
    private static String expected(int files) {
        int sum = 0;
        for (int file = 0; file < files; file++) {
            for (int function = 0; function < FUNCTIONS; function++) {
                sum += function(function, file);
            }
        }
        return Integer.toUnsignedString(sum);
    }

    private static int function(int function, int n) {
        int[] a = new int[16];
        int s = n;
        for (int i = 0; i < 16; i++) {
            s = s * 1664525 + 1013904223 + function;
            a[i] = s;
        }
        for (int i = 1; i < 16; i++) {
            s ^= a[i] >>> (i & 7);
        }
        return switch (s & 3) {
            case 0 -> s + 3;
            case 1 -> s * 5;
            default -> s ^ n;
        };
    }

    private void check(Path folder, int files) throws IOException, InterruptedException {
        Path program = folder.resolve("program");
        String said = ToolProgram.run(List.of(program.toString())).strip();
        if (!said.equals(expected(files))) {
            throw new IOException(
                    "compile: the program says " + said + ", and not " + expected(files));
        }
        String built = digest(program);
        if (digest == null) {
            digest = built;
        } else if (!digest.equals(built)) {
            throw new IOException("compile: " + program + " is not what the first build gave");
        }
    }

    private static String digest(Path file) throws IOException {
        try {
            MessageDigest sha = MessageDigest.getInstance("SHA-256");
            return HexFormat.of().formatHex(sha.digest(Files.readAllBytes(file)));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e); // every Java has it
        }
    }
}
