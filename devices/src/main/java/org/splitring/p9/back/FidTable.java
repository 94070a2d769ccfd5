package org.splitring.p9.back;

import io.netty.util.collection.IntObjectHashMap;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.VectoredFile;

/// The handles of one session, within its limits.
final class FidTable {
    private static final int NO_FID = -1;

    private final P9Limits limits;
    private final IntObjectHashMap<Fid> fids = new IntObjectHashMap<>();
    private int openFiles;

    FidTable(P9Limits limits) {
        this.limits = limits;
    }

    int size() {
        return fids.size();
    }

    int openFiles() {
        return openFiles;
    }

    Fid get(int number) throws P9Exception {
        Fid fid = fids.get(number);
        if (fid == null) {
            throw new P9Exception(Errno.EBADF);
        }
        return fid;
    }

    /// Whether `fid` is the handle of that number.
    boolean isAt(int number, Fid fid) {
        return fids.get(number) == fid;
    }

    /// Fails unless a new handle of that number may be made.
    void checkFree(int number) throws P9Exception {
        if (number == NO_FID || fids.containsKey(number)) {
            throw new P9Exception(Errno.EBADF);
        }
        if (fids.size() >= limits.fids()) {
            throw new P9Exception(Errno.EMFILE);
        }
    }

    void put(int number, Fid fid) {
        fids.put(number, fid);
    }

    /// Fails unless one file more may be opened.
    void checkOpenFiles() throws P9Exception {
        if (openFiles >= limits.openFiles()) {
            throw new P9Exception(Errno.EMFILE);
        }
    }

    void opened(Fid fid, VectoredFile file, boolean folder) {
        fid.file = file;
        fid.folder = folder;
        openFiles++;
    }

    void remove(int number) {
        close(fids.remove(number));
    }

    void clear() {
        for (Fid fid : fids.values()) {
            close(fid);
        }
        fids.clear();
    }

    /// Something has another name now: so have the handles on it and below it.
    void renamed(String from, String to) {
        String below = from + "/";
        for (Fid fid : fids.values()) {
            if (fid.path.equals(from)) {
                fid.path = to;
            } else if (fid.path.startsWith(below)) {
                fid.path = to + fid.path.substring(from.length());
            }
        }
    }

    private void close(@Nullable Fid fid) {
        if (fid != null && fid.file != null) {
            fid.file.close();
            fid.file = null;
            openFiles--;
        }
    }
}
