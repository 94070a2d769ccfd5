package org.splitring.testkit;

import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Assumptions;

/// Programs that tests use and that are no part of this project: compilers and storage clients.
public final class ExternalTools {
    private ExternalTools() {}

    /// Finds a program in the path. Without it the calling test is skipped, or fails where the
    /// environment says `CI=true`.
    ///
    /// @param debianPackage what to install, for the message
    public static Path require(String program, String debianPackage) {
        String path = Optional.ofNullable(System.getenv("PATH")).orElse("");
        for (String folder : path.split(File.pathSeparator, -1)) {
            Path candidate = Path.of(folder, program);
            if (Files.isExecutable(candidate)) {
                return candidate;
            }
        }
        return missing(program, debianPackage);
    }

    /// As [#require], for a file at a fixed place: a header.
    public static Path requireFile(String file, String debianPackage) {
        Path path = Path.of(file);
        return Files.isReadable(path) ? path : missing(file, debianPackage);
    }

    private static Path missing(String what, String debianPackage) {
        String message = what + " is not installed: apt-get install " + debianPackage;
        if (Optional.ofNullable(System.getenv("CI")).orElse("").equals("true")) {
            throw new AssertionError(message);
        }
        Assumptions.abort(message);
        throw new AssertionError(message);
    }
}
