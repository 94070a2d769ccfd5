package org.splitring.driverdomain;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.splitring.driverdomain.lab.GuestTable;
import org.splitring.driverdomain.lab.Lab;
import org.splitring.driverdomain.lab.LabException;
import org.splitring.driverdomain.lab.LabFile;
import tools.jackson.core.JacksonException;

/// What makes a running lab another one than its file: guests that were created or restored, and
/// domains of the file that were taken out. With them the domid of each, which stays the same when
/// another driver domain takes over, whatever came and went before.
///
/// Guarded by whoever changes domains.
final class LabChanges {
    private static final int FIRST_DOMID = 1;

    /// Xen `DOMID_FIRST_RESERVED`.
    private static final int DOMIDS = 0x7FF0;

    private final List<GuestTable> created = new ArrayList<>();
    private final Set<String> gone = new TreeSet<>();
    private final Map<String, Integer> domids = new TreeMap<>();
    private int nextDomid = FIRST_DOMID;

    /// As it stands in the run directory.
    ///
    /// @param created files of their tables
    /// @param nextDomid none was given out from here on
    record Noted(
            List<String> created, Set<String> gone, Map<String, Integer> domids, int nextDomid) {}

    /// What a driver domain has noted in a run directory; nothing where none has.
    static LabChanges read(Path runDir) throws CommandException, LabException {
        LabChanges changes = new LabChanges();
        Path file = RunDirectory.changes(runDir);
        try {
            Noted noted = LabApi.JSON.readValue(Files.readString(file), Noted.class);
            for (String table : noted.created()) {
                changes.created.add(GuestTable.read(Path.of(table)));
            }
            changes.gone.addAll(noted.gone());
            changes.domids.putAll(noted.domids());
            changes.nextDomid = noted.nextDomid();
        } catch (NoSuchFileException e) {
            return changes;
        } catch (IOException | JacksonException e) {
            throw new CommandException(file + " cannot be read: " + e.getMessage(), e);
        }
        return changes;
    }

    /// Notes it for the next driver domain, all or nothing.
    void write(Path runDir) throws CommandException {
        Path file = RunDirectory.changes(runDir);
        Noted noted =
                new Noted(
                        created.stream().map(table -> table.file().toString()).toList(),
                        gone,
                        domids,
                        nextDomid);
        Path draft = file.resolveSibling(file.getFileName() + ".new");
        try {
            Files.writeString(draft, LabApi.JSON.writeValueAsString(noted));
            Files.move(draft, file, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            throw new CommandException("run directory " + runDir + " cannot be used: " + e, e);
        }
    }

    /// The lab as it is with these changes.
    Lab lab(Path file) throws LabException {
        return LabFile.read(file, created, gone);
    }

    /// Adds a guest of its own file.
    void add(GuestTable guest) {
        created.add(guest);
    }

    /// Takes a guest out, of its own file or of the lab's.
    void takeOut(String name) {
        if (!created.removeIf(each -> each.name().equals(name))) {
            gone.add(name);
        }
        domids.remove(name);
    }

    /// The same, to be changed and perhaps given up.
    LabChanges copy() {
        LabChanges copy = new LabChanges();
        copy.created.addAll(created);
        copy.gone.addAll(gone);
        copy.domids.putAll(domids);
        copy.nextDomid = nextDomid;
        return copy;
    }

    boolean isCreated(String name) {
        return created.stream().anyMatch(each -> each.name().equals(name));
    }

    /// The domid of a guest; when it has none one that was not given out lately.
    int domid(String name) {
        return domids.computeIfAbsent(name, any -> freeDomid());
    }

    private int freeDomid() {
        while (nextDomid >= DOMIDS || domids.containsValue(nextDomid)) {
            nextDomid = nextDomid >= DOMIDS ? FIRST_DOMID : nextDomid + 1;
        }
        return nextDomid++;
    }

    /// Gives a guest that has none a certain domid, when nobody else has it.
    void claimDomid(String name, int domid) {
        if (!domids.containsValue(domid)) {
            domids.putIfAbsent(name, domid);
        }
    }
}
