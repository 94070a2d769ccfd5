package org.splitring.p9.back;

import java.lang.foreign.MemorySegment;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.FileAttributes;
import org.splitring.hypervisor.linux.FolderReader;
import org.splitring.hypervisor.linux.IoVector;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.hypervisor.linux.VectoredFile;
import org.splitring.hypervisor.linux.VectoredFile.HeldLock;
import org.splitring.hypervisor.linux.VectoredFile.RangeLock;
import org.splitring.wire.P9Message;

/// Serves 9P2000.L on a folder: each request is done and answered before the next is looked at.
///
/// So a reply tells that the operation is done: a write is in the kernel, an `fsync` answered
/// without error is on stable storage. A flush has nothing left to interrupt, it is answered at
/// once.
///
/// Files belong to the user that the driver domain runs as, and are used with its rights; owners
/// that the guest asks for are not set, and bits that would give a program other rights are left
/// out. What is refused: device nodes, extended attributes, authentication.
///
/// One thread at a time.
final class P9Session implements AutoCloseable {
    private static final String VERSION = "9P2000.L";

    /// What read and write messages need beside their data, rounded as all implementations do.
    private static final int DATA_HEADER_BYTES = 24;

    private static final int READ_REPLY_BYTES = P9Message.HEADER_BYTES + 4;
    private static final int MAX_WALK = 16;

    /// An error that is none: how a client that asks is told to attach without.
    private static final int NO_AUTHENTICATION = 0;
    private static final int NO_FID = -1;
    private static final int REMOVE_FOLDER = 0x200;
    private static final long ALL_BASIC = 0x7FF;

    private static final int SET_MODE = 1;
    private static final int SET_SIZE = 8;
    private static final int SET_ACCESSED = 0x10;
    private static final int SET_MODIFIED = 0x20;
    private static final int SET_ACCESSED_TO = 0x80;
    private static final int SET_MODIFIED_TO = 0x100;

    private static final int LOCK_DONE = 0;
    private static final int LOCK_BLOCKED = 1;
    private static final int LOCK_ERROR = 2;

    private final SharedFolder folder;
    private final P9Limits limits;
    private final FidTable fids;
    private final MessageReader in = new MessageReader();
    private final ReplyWriter out = new ReplyWriter();
    private final FolderReader lister = new FolderReader();
    private final IoVector piece = new IoVector(1);
    private boolean versioned;
    private int messageBytes;

    /// @param folder is not closed with the session
    P9Session(SharedFolder folder, P9Limits limits) {
        this.folder = folder;
        this.limits = limits;
        messageBytes = limits.messageBytes();
        fids = new FidTable(limits);
    }

    /// The longest message that was agreed; before that, the longest there can be.
    int messageBytes() {
        return messageBytes;
    }

    int fidCount() {
        return fids.size();
    }

    int openFiles() {
        return fids.openFiles();
    }

    /// Does what one request asks for.
    ///
    /// @param request private native memory
    /// @param sizeBytes of the request, from a header to [#messageBytes]
    /// @param reply native memory of `P9Limits.messageBytes`, receives the answer
    /// @return length of the answer
    int serve(MemorySegment request, int sizeBytes, MemorySegment reply) {
        in.start(request, sizeBytes);
        out.start(reply, messageBytes);
        int type = in.type();
        short tag = in.tag();
        try {
            if (!versioned && type != P9Message.TVERSION) {
                throw new P9Exception(Errno.EPROTO);
            }
            serve(type);
            return out.finish(type + 1, tag);
        } catch (P9Exception e) {
            return out.finishWithError(e.errno(), tag);
        } catch (LinuxException e) {
            return out.finishWithError(e.errno(), tag);
        }
    }

    private void serve(int type) throws P9Exception, LinuxException {
        switch (type) {
            case P9Message.TVERSION -> version();
            case P9Message.TATTACH -> attach();
            case P9Message.TFLUSH -> in.u16();
            case P9Message.TWALK -> walk();
            case P9Message.TLOPEN -> open();
            case P9Message.TLCREATE -> create();
            case P9Message.TREAD -> read();
            case P9Message.TWRITE -> write();
            case P9Message.TCLUNK -> clunk();
            case P9Message.TREMOVE -> remove();
            case P9Message.TREADDIR -> readFolder();
            case P9Message.TGETATTR -> getAttributes();
            case P9Message.TSETATTR -> setAttributes();
            case P9Message.TSTATFS -> fileSystem();
            case P9Message.TFSYNC -> sync();
            case P9Message.TMKDIR -> makeFolder();
            case P9Message.TSYMLINK -> makeSymbolicLink();
            case P9Message.TREADLINK -> out.text(folder.target(fids.get(in.u32())));
            case P9Message.TLINK -> makeHardLink();
            case P9Message.TRENAME -> rename();
            case P9Message.TRENAMEAT -> renameAt();
            case P9Message.TUNLINKAT -> unlinkAt();
            case P9Message.TLOCK -> lock();
            case P9Message.TGETLOCK -> getLock();
            case P9Message.TAUTH -> throw new P9Exception(NO_AUTHENTICATION);
            case P9Message.TMKNOD -> throw new P9Exception(Errno.EPERM);
            default -> throw new P9Exception(Errno.EOPNOTSUPP);
        }
    }

    /// Starts anew: every handle of what was before is gone.
    private void version() throws P9Exception {
        int asked = in.u32();
        String version = in.text();
        fids.clear();
        versioned = false;
        if (Integer.compareUnsigned(asked, P9Limits.LEAST_MESSAGE_BYTES) < 0) {
            throw new P9Exception(Errno.EMSGSIZE);
        }
        boolean known = version.equals(VERSION);
        int agreed =
                Integer.compareUnsigned(asked, limits.messageBytes()) < 0
                        ? asked
                        : limits.messageBytes();
        messageBytes = known ? agreed : limits.messageBytes();
        versioned = known;
        out.u32(agreed);
        out.text(known ? VERSION : "unknown");
    }

    /// Who the guest says it is, and which tree it wants, makes no difference.
    private void attach() throws P9Exception, LinuxException {
        int fid = in.u32();
        if (in.u32() != NO_FID) {
            throw new P9Exception(Errno.EOPNOTSUPP); // nobody authenticates here
        }
        in.text();
        in.text();
        fids.checkFree(fid);
        out.qid(folder.attributes(""));
        fids.put(fid, new Fid(""));
    }

    /// Goes from a handle along names; `..` of the folder itself is the folder itself.
    private void walk() throws P9Exception, LinuxException {
        Fid from = fids.get(in.u32());
        int number = in.u32();
        int count = in.u16();
        if (count > MAX_WALK) {
            throw new P9Exception(Errno.EINVAL);
        }
        boolean same = fids.isAt(number, from);
        if (!same) {
            fids.checkFree(number);
        } else if (from.file != null && count > 0) {
            throw new P9Exception(Errno.EBADF); // an open handle stays where it is
        }
        int countAt = out.take(2);
        String path = from.path;
        int done = 0;
        try {
            for (; done < count; done++) {
                path = step(path);
                out.qid(folder.attributes(path));
            }
        } catch (P9Exception e) {
            if (done == 0) {
                throw e;
            }
        }
        out.u16At(countAt, done);
        if (done < count) {
            return; // the reply says how far it went, and no handle is made
        }
        if (!same) {
            fids.put(number, new Fid(path));
        } else {
            from.path = path;
        }
    }

    private String step(String path) throws P9Exception {
        String name = in.nameOrDots();
        return switch (name) {
            case "." -> path;
            case ".." -> Fid.parent(path);
            default -> Fid.child(path, name);
        };
    }

    private void open() throws P9Exception, LinuxException {
        Fid fid = fids.get(in.u32());
        int flags = in.u32();
        if (fid.file != null) {
            throw new P9Exception(Errno.EBADF);
        }
        fids.checkOpenFiles();
        opened(fid, folder.open(fid, flags));
    }

    private void create() throws P9Exception, LinuxException {
        Fid fid = fids.get(in.u32());
        String name = in.name();
        int flags = in.u32();
        int mode = in.u32();
        if (fid.file != null) {
            throw new P9Exception(Errno.EBADF);
        }
        fids.checkOpenFiles();
        VectoredFile file = folder.create(fid.path, name, flags, mode);
        fid.path = Fid.child(fid.path, name);
        opened(fid, file);
    }

    private void opened(Fid fid, VectoredFile file) throws P9Exception, LinuxException {
        FileAttributes.All attributes;
        try {
            attributes = FileAttributes.read(file.fd());
        } catch (LinuxException e) {
            file.close();
            throw e;
        }
        fids.opened(fid, file, attributes.isFolder());
        fid.failed = false;
        out.qid(attributes);
        out.u32(messageBytes - DATA_HEADER_BYTES);
    }

    private void read() throws P9Exception, LinuxException {
        Fid fid = fids.get(in.u32());
        long offset = in.u64();
        int count = in.u32();
        VectoredFile file = fid.opened();
        if (fid.folder) {
            throw new P9Exception(Errno.EISDIR);
        }
        int countAt = out.take(4);
        int most = atMost(count, out.room());
        piece.clear();
        piece.add(out.message(), READ_REPLY_BYTES, most);
        int done = most == 0 ? 0 : (int) file.read(piece, checkOffset(offset));
        out.take(done);
        out.u32At(countAt, done);
    }

    private void write() throws P9Exception, LinuxException {
        Fid fid = fids.get(in.u32());
        long offset = in.u64();
        int count = in.u32();
        int start = in.take(count);
        VectoredFile file = fid.opened();
        folder.checkWritable();
        if (fid.failed) {
            throw new P9Exception(Errno.EIO);
        }
        piece.clear();
        piece.add(in.message(), start, count);
        if (count > 0) {
            file.write(piece, checkOffset(offset));
        }
        out.u32(count);
    }

    private static long checkOffset(long offset) throws P9Exception {
        if (offset < 0) {
            throw new P9Exception(Errno.EINVAL);
        }
        return offset;
    }

    private static int atMost(int unsigned, int most) {
        return Integer.compareUnsigned(unsigned, most) < 0 ? unsigned : most;
    }

    private void clunk() throws P9Exception {
        int number = in.u32();
        fids.get(number);
        fids.remove(number);
    }

    /// The handle goes whether or not the file does.
    private void remove() throws P9Exception {
        int number = in.u32();
        String path = fids.get(number).path;
        fids.remove(number);
        try {
            folder.removeFile(path);
        } catch (P9Exception e) {
            if (e.errno() != Errno.EISDIR) {
                throw e;
            }
            folder.removeFolder(path);
        }
    }

    private void readFolder() throws P9Exception {
        Fid fid = fids.get(in.u32());
        long place = in.u64();
        int count = in.u32();
        VectoredFile file = fid.opened();
        if (!fid.folder) {
            throw new P9Exception(Errno.ENOTDIR);
        }
        int countAt = out.take(4);
        int start = out.position();
        int end = start + atMost(count, out.room());
        boolean top = fid.path.isEmpty();
        boolean[] tooLong = new boolean[1];
        P9Exception.check(
                lister.list(
                        file.fd(),
                        place,
                        (name, inode, type, next) -> {
                            int length = ReplyWriter.QID_BYTES + 8 + 1 + 2 + name.length();
                            if (length > end - out.position()) {
                                tooLong[0] = true;
                                return false;
                            }
                            // what is above the shared folder is nobody's business
                            boolean hidden = top && name.equals("..");
                            entry(name, hidden ? folder.rootInode() : inode, type, next);
                            return true;
                        }));
        if (out.position() == start && tooLong[0]) {
            throw new P9Exception(Errno.EINVAL); // not one entry has room
        }
        out.u32At(countAt, out.position() - start);
    }

    private void entry(String name, long inode, int type, long next) {
        try {
            out.qid(
                    switch (type) {
                        case 4 -> ReplyWriter.QID_FOLDER;
                        case 10 -> ReplyWriter.QID_LINK;
                        default -> ReplyWriter.QID_FILE;
                    },
                    0,
                    inode);
            out.u64(next);
            out.u8(type);
            out.text(name);
        } catch (P9Exception e) {
            throw new IllegalStateException("entry of " + name.length() + " bytes has no room", e);
        }
    }

    private void getAttributes() throws P9Exception, LinuxException {
        Fid fid = fids.get(in.u32());
        in.u64(); // which ones: all of the basic ones cost the same
        FileAttributes.All file = folder.attributes(fid);
        out.u64(ALL_BASIC);
        out.qid(file);
        out.u32(file.mode());
        out.u32(file.uid());
        out.u32(file.gid());
        out.u64(Integer.toUnsignedLong(file.links()));
        out.u64(file.rdev());
        out.u64(file.sizeBytes());
        out.u64(Integer.toUnsignedLong(file.blockSizeBytes()));
        out.u64(file.blocks());
        out.time(file.accessed());
        out.time(file.modified());
        out.time(file.changed());
        out.time(file.born());
        out.u64(0); // generation
        out.u64(0); // data version
    }

    private void setAttributes() throws P9Exception, LinuxException {
        Fid fid = fids.get(in.u32());
        int valid = in.u32();
        int mode = in.u32();
        in.u32(); // user and group: files keep their owner
        in.u32();
        long size = in.u64();
        FileAttributes.Time accessed =
                time(valid, SET_ACCESSED, SET_ACCESSED_TO, in.u64(), in.u64());
        FileAttributes.Time modified =
                time(valid, SET_MODIFIED, SET_MODIFIED_TO, in.u64(), in.u64());
        folder.checkWritable();
        if ((valid & SET_MODE) != 0) {
            folder.setPermissions(fid, mode);
        }
        if ((valid & SET_SIZE) != 0) {
            folder.truncate(fid, checkOffset(size));
        }
        if ((valid & (SET_ACCESSED | SET_MODIFIED)) != 0) {
            folder.setTimes(fid, accessed, modified);
        }
    }

    private static FileAttributes.Time time(
            int valid, int set, int setTo, long seconds, long nanos) {
        if ((valid & set) == 0) {
            return new FileAttributes.Time(0, FileAttributes.KEEP);
        }
        return (valid & setTo) == 0
                ? new FileAttributes.Time(0, FileAttributes.NOW)
                : new FileAttributes.Time(seconds, nanos);
    }

    private void fileSystem() throws P9Exception, LinuxException {
        FileAttributes.FileSystem system = folder.fileSystem(fids.get(in.u32()));
        out.u32((int) system.type());
        out.u32((int) system.blockSizeBytes());
        out.u64(system.blocks());
        out.u64(system.freeBlocks());
        out.u64(system.availableBlocks());
        out.u64(system.files());
        out.u64(system.freeFiles());
        out.u64(system.id());
        out.u32((int) system.longestName());
    }

    private void sync() throws P9Exception, LinuxException {
        Fid fid = fids.get(in.u32());
        boolean dataOnly = in.u32() != 0;
        VectoredFile file = fid.opened();
        if (fid.failed) {
            throw new P9Exception(Errno.EIO);
        }
        try {
            if (dataOnly) {
                file.dataSync();
            } else {
                file.sync();
            }
        } catch (LinuxException e) {
            fid.failed = true;
            throw e;
        }
    }

    private void makeFolder() throws P9Exception, LinuxException {
        Fid parent = fids.get(in.u32());
        String name = in.name();
        folder.makeFolder(parent.path, name, in.u32());
        out.qid(folder.attributes(Fid.child(parent.path, name)));
    }

    private void makeSymbolicLink() throws P9Exception, LinuxException {
        Fid parent = fids.get(in.u32());
        String name = in.name();
        String target = in.text();
        if (target.isEmpty() || target.indexOf('\0') >= 0) {
            throw new P9Exception(Errno.EINVAL);
        }
        folder.makeSymbolicLink(parent.path, name, target);
        out.qid(folder.attributes(Fid.child(parent.path, name)));
    }

    private void makeHardLink() throws P9Exception {
        Fid parent = fids.get(in.u32());
        Fid file = fids.get(in.u32());
        folder.makeHardLink(file.path, parent.path, in.name());
    }

    private void rename() throws P9Exception {
        Fid file = fids.get(in.u32());
        Fid parent = fids.get(in.u32());
        rename(file.path, parent.path, in.name());
    }

    private void renameAt() throws P9Exception {
        Fid from = fids.get(in.u32());
        String oldName = in.name();
        Fid to = fids.get(in.u32());
        rename(Fid.child(from.path, oldName), to.path, in.name());
    }

    private void rename(String path, String parent, String name) throws P9Exception {
        folder.rename(path, parent, name);
        fids.renamed(path, Fid.child(parent, name));
    }

    private void unlinkAt() throws P9Exception {
        Fid parent = fids.get(in.u32());
        String path = Fid.child(parent.path, in.name());
        if ((in.u32() & REMOVE_FOLDER) != 0) {
            folder.removeFolder(path);
        } else {
            folder.removeFile(path);
        }
    }

    /// Locks are the host's own, so they hold against other guests and programs of the host too.
    private void lock() throws P9Exception {
        Fid fid = fids.get(in.u32());
        RangeLock kind = kind(in.u8());
        in.u32(); // whether the guest would wait: it asks again itself
        long start = checkOffset(in.u64());
        long length = checkOffset(in.u64());
        VectoredFile file = fid.opened();
        int status;
        try {
            status = file.tryLock(kind, start, length) ? LOCK_DONE : LOCK_BLOCKED;
        } catch (LinuxException e) {
            status = LOCK_ERROR;
        }
        out.u8(status);
    }

    private void getLock() throws P9Exception, LinuxException {
        Fid fid = fids.get(in.u32());
        RangeLock kind = kind(in.u8());
        long start = checkOffset(in.u64());
        long length = checkOffset(in.u64());
        int process = in.u32();
        String client = in.text();
        HeldLock held =
                fid.opened()
                        .lockInTheWay(kind, start, length)
                        .orElse(new HeldLock(RangeLock.NONE, start, length));
        out.u8(held.kind().number());
        out.u64(held.start());
        out.u64(held.length());
        out.u32(process);
        out.text(client);
    }

    private static RangeLock kind(int number) throws P9Exception {
        return RangeLock.of(number).orElseThrow(() -> new P9Exception(Errno.EINVAL));
    }

    /// Closes every file that is open.
    @Override
    public void close() {
        fids.clear();
    }
}
