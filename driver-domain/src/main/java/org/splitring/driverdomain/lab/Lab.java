package org.splitring.driverdomain.lab;

import java.nio.file.Path;
import java.util.List;

/// A checked lab.
///
/// @param file where it was read
/// @param networks in the order of the file
/// @param domains in the order of the file
public record Lab(Path file, List<LabNetwork> networks, List<LabDomain> domains) {
    public Lab {
        networks = List.copyOf(networks);
        domains = List.copyOf(domains);
    }
}
