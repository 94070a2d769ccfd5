package org.splitring.driverdomain.lab;

import java.nio.file.Path;
import java.util.List;

/// A checked lab.
///
/// @param file where it was read
/// @param backingFolders where the files may be that images are based on, besides the images' own
///     folders; absolute
/// @param networks in the order of the file
/// @param domains in the order of the file
public record Lab(
        Path file, List<Path> backingFolders, List<LabNetwork> networks, List<LabDomain> domains) {
    public Lab {
        backingFolders = List.copyOf(backingFolders);
        networks = List.copyOf(networks);
        domains = List.copyOf(domains);
    }
}
