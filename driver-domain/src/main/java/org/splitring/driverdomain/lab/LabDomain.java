package org.splitring.driverdomain.lab;

import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/// One guest of a lab.
///
/// @param memoryMib memory of the guest in MiB
/// @param devices those of other classes than disks and network interfaces
/// @param tcpPort loopback port on which its disks are offered besides their Unix sockets
/// @param tls of that port; without it what passes there is not encrypted
/// @param program what a guest that we start runs; without one its disks are offered over NBD, and
///     its interfaces are for unmodified programs
/// @param exportPlace `file:line: key` of `export`, for messages
public record LabDomain(
        String name,
        int memoryMib,
        GuestKind guest,
        List<LabDisk> disks,
        List<LabVif> vifs,
        List<LabDevice> devices,
        OptionalInt tcpPort,
        Optional<LabTls> tls,
        Optional<LabProgram> program,
        String exportPlace) {
    public LabDomain {
        disks = List.copyOf(disks);
        vifs = List.copyOf(vifs);
        devices = List.copyOf(devices);
    }

    /// Who runs the guest.
    public enum GuestKind {
        /// A process that we start: the frontends, and an NBD server for each disk.
        JAVA,
        /// Nobody is started: any program may attach.
        EXTERNAL
    }
}
