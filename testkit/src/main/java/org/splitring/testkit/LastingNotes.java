package org.splitring.testkit;

import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;
import org.splitring.xenbus.DevicePaths;
import org.splitring.xenbus.device.DeviceException;
import org.splitring.xenbus.device.DeviceNote;
import org.splitring.xenbus.device.DeviceNotes;

/// Notes that outlive the processes of a simulation.
public final class LastingNotes implements DeviceNotes {
    private final Map<DevicePaths, Kept> kept = new HashMap<>();
    private int made;

    private record Kept(String id, DeviceNote note) {}

    /// Nothing is noted yet.
    public LastingNotes() {}

    @Override
    public DeviceNote make(DevicePaths paths, long sizeBytes) {
        String id = "note-" + ++made;
        DeviceNote note =
                new DeviceNote(id, DeviceNote.unkept(sizeBytes).memory(), () -> kept.remove(paths));
        kept.put(paths, new Kept(id, note));
        return note;
    }

    @Override
    public DeviceNote find(DevicePaths paths, String id, long sizeBytes) throws DeviceException {
        Kept found = kept.get(paths);
        if (found == null
                || !found.id().equals(id)
                || found.note().memory().byteSize() != sizeBytes) {
            throw new DeviceException("no such note");
        }
        return found.note();
    }

    /// What is noted for a device.
    public MemorySegment memory(DevicePaths paths) {
        Kept found = kept.get(paths);
        if (found == null) {
            throw new AssertionError("no note of " + paths.backend());
        }
        return found.note().memory();
    }

    /// The host's memory is lost.
    public void clear() {
        kept.clear();
    }

    public boolean isEmpty() {
        return kept.isEmpty();
    }
}
