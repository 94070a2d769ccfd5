package org.splitring.xenbus.device;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.splitring.xenbus.Keys;
import org.splitring.xenbus.store.StoreAccess;
import org.splitring.xenbus.store.StoreException;

/// Memory in which the backend of one connection notes what it has begun. It is this domain's own:
/// the guest can neither read nor write it.
///
/// The number of the connection stands in the backend's folder too, where a guest cannot write. So
/// a note that was left by another connection is not taken for this one's.
public final class DeviceNote {
    /// Key of the number in the backend's folder.
    private static final String KEY = "note";

    private final String id;
    private final MemorySegment memory;
    private final Runnable forget;

    /// @param id of the connection; empty for a note that nobody can find
    /// @param memory aligned to a cache line
    /// @param forget gives the memory back for good
    public DeviceNote(String id, MemorySegment memory, Runnable forget) {
        this.id = id;
        this.memory = memory;
        this.forget = forget;
    }

    /// One that ends with the process.
    public static DeviceNote unkept(long sizeBytes) {
        return new DeviceNote("", Arena.ofAuto().allocate(sizeBytes, 64), () -> {});
    }

    public MemorySegment memory() {
        return memory;
    }

    /// Shows the number of the connection, together with the state Connected.
    ///
    /// @param keys a transaction
    public void publish(StoreAccess keys, String folder) throws StoreException {
        if (id.isEmpty()) {
            unpublish(keys, folder);
        } else {
            keys.write(folder + "/" + KEY, id);
        }
    }

    /// Takes away the number of an earlier connection.
    ///
    /// @param keys a transaction
    public static void unpublish(StoreAccess keys, String folder) throws StoreException {
        keys.remove(folder + "/" + KEY);
    }

    /// The number that stands in a backend's folder.
    ///
    /// @throws DeviceException when there is none
    public static String published(Keys own) throws StoreException, DeviceException {
        return own.text(KEY)
                .orElseThrow(() -> new DeviceException("the backend before kept no note"));
    }

    /// The connection has ended in order: nobody goes on with it. Nobody uses the memory any more.
    public void forget() {
        forget.run();
    }
}
