package org.splitring.driverdomain.lab;

import java.nio.file.Path;
import java.util.List;
import org.splitring.blkback.DiskEngine;

/// A checked lab.
///
/// @param file where it was read
/// @param diskEngine what moves bytes between guests and images when that has to wait
/// @param backingFolders where the files may be that images are based on, besides the images' own
///     folders; absolute
/// @param networks in the order of the file
/// @param domains in the order of the file
public record Lab(
        Path file,
        DiskEngine diskEngine,
        List<Path> backingFolders,
        List<LabNetwork> networks,
        List<LabDomain> domains) {
    public Lab {
        backingFolders = List.copyOf(backingFolders);
        networks = List.copyOf(networks);
        domains = List.copyOf(domains);
    }
}
