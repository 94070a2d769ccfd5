package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.image.DiskSource;
import org.splitring.driverdomain.lab.LabDomain;
import org.splitring.driverdomain.lab.LabException;
import org.splitring.driverdomain.lab.MemoryDisks;
import org.splitring.driverdomain.lab.SavedDomain;
import org.splitring.xenbus.store.StoreException;

/// Writes guests of a running lab into files, and makes them anew from those.
final class DomainSaving {
    private final RunningLab lab;

    DomainSaving(RunningLab lab) {
        this.lab = lab;
    }

    /// Suspends a guest, makes its disks stable, writes what its devices are, and takes it out of
    /// the lab. When it cannot be written the guest goes on.
    ///
    /// @param file must not be there
    /// @param leaveRunning the guest goes on in any case
    /// @param limit for the guest, to close its devices
    void save(LabGuest guest, Path file, boolean leaveRunning, Duration limit)
            throws CommandException, StoreException, InterruptedException {
        synchronized (lab.domainChanges()) {
            LabDomain domain = guest.domain();
            lab.checkOurs(domain);
            if (Files.exists(file)) {
                throw new CommandException(
                        file + " is there already, and is not overwritten; give another file");
            }
            // What cannot be saved is refused before anything stands still.
            SavedMemory memory = new SavedMemory(file);
            memory.checkFree(guest.disks());
            describe(guest, Map.of());
            boolean wasSuspended = guest.suspension().isSuspended();
            if (!wasSuspended) {
                guest.suspension().suspend(limit);
            }
            boolean written = false;
            try {
                makeStable(guest);
                write(guest, memory, file);
                written = true;
            } catch (NoSuchFileException e) {
                throw new CommandException(
                        file + " cannot be written: there is no folder " + file.getParent(), e);
            } catch (IOException e) {
                throw new CommandException(file + " cannot be written: " + e, e);
            } finally {
                if ((leaveRunning || !written) && !wasSuspended) {
                    guest.suspension().resume(limit);
                }
            }
            if (!leaveRunning) {
                lab.takeOut(guest);
            }
        }
    }

    private void write(LabGuest guest, SavedMemory memory, Path file)
            throws CommandException, StoreException, IOException {
        Map<String, String> memoryDisks = memory.write(guest.disks());
        boolean written = false;
        try {
            describe(guest, memoryDisks).write(file);
            written = true;
        } finally {
            if (!written) {
                memory.delete(memoryDisks);
            }
        }
    }

    private SavedDomain describe(LabGuest guest, Map<String, String> memoryDisks)
            throws CommandException, StoreException {
        List<DeviceNodes.Attached> devices =
                new DeviceNodes(lab.control()).remembered(guest.domid());
        return new SavedDomain(
                guest.domain().name(),
                guest.domid().value(),
                Splitring.VERSION,
                Instant.now().truncatedTo(ChronoUnit.SECONDS).toString(),
                DomainTable.of(guest.domain(), devices),
                memoryDisks);
    }

    private static void makeStable(LabGuest guest) throws CommandException {
        try {
            for (HeldDisks.Disk disk : guest.disks()) {
                disk.hold().makeStable();
            }
        } catch (DiskException e) {
            throw new CommandException(guest.domain().name() + ": " + e.getMessage(), e);
        }
    }

    /// Makes and starts a guest as it was saved. It takes the place of one of the same name that
    /// does not run. When it cannot be, nothing has changed.
    ///
    /// @return what was done
    String restore(Path file)
            throws CommandException, LabException, StoreException, InterruptedException {
        synchronized (lab.domainChanges()) {
            SavedDomain saved = SavedDomain.read(file);
            Optional<LabGuest> old = old(saved.name());
            LabChanges changes = lab.changes().copy();
            old.ifPresent(guest -> changes.takeOut(saved.name()));
            LabChanges with = changes.copy();
            with.add(saved.table(file));
            with.lab(lab.file()); // while everything is as it was
            LabGuest guest =
                    old.isEmpty()
                            ? add(saved, file, changes)
                            : replace(old.get(), saved, file, changes);
            return "restored " + saved.name() + ", domid " + guest.domid();
        }
    }

    private Optional<LabGuest> old(String name) throws CommandException {
        Optional<LabGuest> old =
                lab.guests().stream().filter(each -> each.domain().name().equals(name)).findFirst();
        if (old.isPresent()) {
            lab.checkOurs(old.get().domain());
            if (lab.processes().isAlive(old.get().domain())) {
                throw new CommandException(
                        "domain "
                                + name
                                + " runs in this lab; ./splitring stop "
                                + name
                                + " makes room for the one that was saved");
            }
        }
        return old;
    }

    /// The file is copied: whoever saved it may do with it what he likes.
    private LabGuest add(SavedDomain saved, Path file, LabChanges with)
            throws CommandException, LabException, InterruptedException {
        Path copy = RunDirectory.restored(lab.runDir(), saved.name());
        boolean added = false;
        try {
            Files.createDirectories(copy.resolveSibling(""));
            Files.deleteIfExists(copy);
            saved.write(copy);
            with.claimDomid(saved.name(), saved.domid());
            with.add(saved.table(copy));
            SavedMemory memory = new SavedMemory(file);
            LabGuest guest = lab.add(with, made -> memory.read(saved, made));
            added = true;
            return guest;
        } catch (IOException e) {
            throw new CommandException(copy + " cannot be written: " + e, e);
        } finally {
            if (!added) {
                delete(copy);
            }
        }
    }

    private static void delete(Path file) throws CommandException {
        try {
            Files.deleteIfExists(file);
        } catch (IOException e) {
            throw new CommandException(file + " cannot be taken away: " + e, e);
        }
    }

    private LabGuest replace(LabGuest old, SavedDomain saved, Path file, LabChanges with)
            throws CommandException, LabException, StoreException, InterruptedException {
        List<DeviceNodes.Attached> devices = new DeviceNodes(lab.control()).remembered(old.domid());
        List<DiskSource> memory =
                old.disks().stream().map(HeldDisks.Disk::image).filter(MemoryDisks::isOne).toList();
        int place = lab.guests().indexOf(old);
        lab.release(old);
        boolean added = false;
        try {
            for (DiskSource image : memory) {
                move(Path.of(image.name()), MemoryDisks.aside(image));
            }
            LabGuest guest = add(saved, file, with);
            added = true;
            for (DiskSource image : memory) {
                delete(MemoryDisks.aside(image));
            }
            return guest;
        } finally {
            if (!added) {
                for (DiskSource image : memory) {
                    move(MemoryDisks.aside(image), Path.of(image.name()));
                }
                putBack(old.domain(), devices, place);
            }
        }
    }

    private static void move(Path from, Path to) throws CommandException {
        try {
            if (Files.exists(from)) {
                Files.move(from, to, StandardCopyOption.REPLACE_EXISTING);
            }
        } catch (IOException e) {
            throw new CommandException(from + " cannot be moved: " + e, e);
        }
    }

    private void putBack(LabDomain old, List<DeviceNodes.Attached> devices, int place)
            throws CommandException, StoreException {
        try {
            lab.putBack(old, devices, place);
        } catch (CommandException e) {
            throw new CommandException(
                    "nothing was restored, and domain "
                            + old.name()
                            + ", which was stopped, cannot be put back: "
                            + e.getMessage(),
                    e);
        }
    }
}
