package org.splitring.driverdomain;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Path;
import org.splitring.driverdomain.lab.Lab;
import org.splitring.driverdomain.lab.LabDisk;
import org.splitring.driverdomain.lab.LabDomain;
import org.splitring.driverdomain.lab.LabTls;
import org.splitring.driverdomain.nbd.NbdTls;

/// What can be known of the places that a lab needs before anything is made: the lengths of socket
/// paths, ports that are taken, certificates.
final class LabPlaces {
    private final Path labFile;
    private final Path runDir;

    LabPlaces(Path labFile, Path runDir) {
        this.labFile = labFile;
        this.runDir = runDir;
    }

    void check(Lab lab) throws CommandException {
        RunDirectory.checkSocketPath(RunDirectory.storeSocket(runDir));
        RunDirectory.checkSocketPath(RunDirectory.controlSocket(runDir));
        for (LabDomain domain : lab.domains()) {
            check(domain);
        }
    }

    void check(LabDomain domain) throws CommandException {
        RunDirectory.checkSocketPath(RunDirectory.attachSocket(runDir, domain.name()));
        for (LabDisk disk : domain.disks()) {
            RunDirectory.checkSocketPath(
                    RunDirectory.nbdSocket(runDir, domain.name(), disk.device().name()));
        }
        if (domain.tcpPort().isPresent() && !hasLivingGuest(domain)) {
            checkPort(domain, domain.tcpPort().getAsInt());
        }
        if (domain.tls().isPresent()) {
            checkTls(domain.tls().get());
        }
    }

    private void checkTls(LabTls tls) throws CommandException {
        try {
            NbdTls.load(tls.certificate(), tls.key(), tls.clientCa().orElse(null));
        } catch (IOException e) {
            throw new CommandException(labFile + ": nbd_tls: " + e.getMessage(), e);
        }
    }

    private static void checkPort(LabDomain domain, int port) throws CommandException {
        try (ServerSocket probe = new ServerSocket(port, 1, InetAddress.getLoopbackAddress())) {
            probe.getLocalPort();
        } catch (IOException e) {
            throw new CommandException(
                    domain.exportPlace() + ": tcp port " + port + " is busy: " + e.getMessage(), e);
        }
    }

    private boolean hasLivingGuest(LabDomain domain) throws CommandException {
        try {
            return GuestRecord.living(RunDirectory.domain(runDir, domain.name())).isPresent();
        } catch (IOException e) {
            throw new CommandException("run directory " + runDir + " cannot be read: " + e, e);
        }
    }
}
