package org.splitring.xenbus.device;

import org.splitring.xenbus.DevicePaths;

/// Keeps memory for devices that outlives the process, so that the backend of a later process can
/// go on where this one is killed. A program lends it to drivers ([HostServices]) where frontends
/// do not connect a second time. Any thread.
public interface DeviceNotes {
    /// Notes that nobody will find.
    DeviceNotes NONE =
            new DeviceNotes() {
                @Override
                public DeviceNote make(DevicePaths paths, long sizeBytes) {
                    return DeviceNote.unkept(sizeBytes);
                }

                @Override
                public DeviceNote find(DevicePaths paths, String id, long sizeBytes)
                        throws DeviceException {
                    throw new DeviceException("notes are not kept");
                }
            };

    /// Makes zeroed memory for a connection of a device, in place of what an earlier one had.
    ///
    /// @throws DeviceException when there is no room for it
    DeviceNote make(DevicePaths paths, long sizeBytes) throws DeviceException;

    /// Finds what a process before this one has made.
    ///
    /// @param id of the connection, as that process has published it
    /// @throws DeviceException when it is not there or is not what it should be: what is wrong with
    ///     it
    DeviceNote find(DevicePaths paths, String id, long sizeBytes) throws DeviceException;
}
