package org.splitring.driverdomain.lab;

import java.nio.file.Path;
import java.util.List;

/// A Java class that runs in a guest.
///
/// @param jar an absolute path
public record LabProgram(String className, Path jar, List<String> arguments) {
    public LabProgram {
        arguments = List.copyOf(arguments);
    }
}
