package org.splitring.driverdomain.lab;

import java.nio.file.Path;
import java.util.List;

/// A checked lab.
///
/// @param file where it was read
/// @param domains in the order of the file
public record Lab(Path file, List<LabDomain> domains) {
    public Lab {
        domains = List.copyOf(domains);
    }
}
