package org.splitring.hypervisor.attached;

import static org.splitring.hypervisor.attached.AttachMessage.U32;
import static org.splitring.hypervisor.attached.AttachMessage.U64;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.EventChannel;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.EventChannels;
import org.splitring.hypervisor.GrantTable;
import org.splitring.hypervisor.GuestDomain;
import org.splitring.hypervisor.GuestGrantTable;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.PageAllocator;
import org.splitring.hypervisor.XenstorePage;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.EventFd;
import org.splitring.hypervisor.linux.Fd;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.hypervisor.linux.Mapping;
import org.splitring.hypervisor.linux.Memfd;
import org.splitring.hypervisor.linux.Pipe;
import org.splitring.wire.XenstoreRingLayout;

/// A guest that is this process, attached to a driver domain that is another one.
///
/// Its memory is a sealed memfd of which every page exists before the driver domain sees it, and
/// which outlives the driver domain: [#attachAgain]. The attach socket is served by one loop; calls
/// that need an answer wait for it, so they must not come from that loop.
public final class AttachedGuest implements GuestDomain {
    private static final Logger LOG = LoggerFactory.getLogger(AttachedGuest.class);
    private static final int SEALS = Memfd.F_SEAL_SHRINK | Memfd.F_SEAL_GROW | Memfd.F_SEAL_SEAL;
    private static final int MAX_TABLE_FRAMES = 32;
    private static final Duration CROWD_PATIENCE = Duration.ofSeconds(10);
    private static final long RETRY_NANOS = 10_000_000L;

    private static final Set<Integer> CROWD = Set.of(Errno.EAGAIN);

    /// The same, or there is no socket yet, or one of a driver domain that is gone.
    private static final Set<Integer> NOT_YET =
            Set.of(Errno.EAGAIN, Errno.ECONNREFUSED, Errno.ENOENT);

    /// What is said at the door when there is no crowd and no refusal: somebody may come yet.
    private static final Set<Integer> NOBODY_YET =
            Set.of(
                    Errno.EAGAIN,
                    Errno.EBUSY,
                    Errno.ECONNREFUSED,
                    Errno.ECONNRESET,
                    Errno.ENOENT,
                    Errno.ENOTCONN,
                    Errno.EPIPE,
                    Errno.ETIMEDOUT);

    private final Path path;
    private final NettyDeviceLoop loop;
    private final Runnable onLost;
    private final int memoryFd;
    private final Mapping mapping;
    private final int tableFrames;
    private final GuestMemory memory;
    private final PageAllocator pages;
    private final GuestGrantTable grants;
    private final int xenstoreGfn;
    private final Ports ports = new Ports();

    // Of who attaches and closes, under this object's monitor; read by any thread.
    private volatile @Nullable AttachLink link;
    private volatile DomId id = DomId.ZERO;
    private volatile DomId backend = DomId.ZERO;
    private volatile int storeFd = -1;
    private volatile boolean closed;
    private boolean attaching;
    private @Nullable AttachLink mourned; // the last of which onLost was told

    private AttachedGuest(
            Path path,
            NettyDeviceLoop loop,
            Runnable onLost,
            int memoryFd,
            Mapping mapping,
            int tableFrames) {
        this.path = path;
        this.loop = loop;
        this.onLost = onLost;
        this.memoryFd = memoryFd;
        this.mapping = mapping;
        this.tableFrames = tableFrames;
        memory = new GuestMemory(mapping.segment());
        pages = new PageAllocator(memory, tableFrames);
        grants = new GuestGrantTable(memory, 0, tableFrames, pages);
        xenstoreGfn = pages.allocate(1);
    }

    /// Attaches as the guest whose socket this is. Waits for the driver domain; when its socket is
    /// crowded or the last guest is not quite gone, for up to ten seconds.
    ///
    /// @throws IOException when nobody listens there, or we are refused: the message says why
    public static AttachedGuest attach(
            Path path, long memoryBytes, NettyDeviceLoop loop, Runnable onLost) throws IOException {
        return attach(path, memoryBytes, loop, onLost, CROWD_PATIENCE, CROWD);
    }

    /// Attaches as the other one; when nobody listens there yet, waits for that as well.
    ///
    /// @param memoryBytes size of the memory, a multiple of 4096
    /// @param loop serves the attach socket; devices may use others
    /// @param onLost runs on the loop when the driver domain is gone, once for each attachment; not
    ///     after [#close]
    /// @param patience with who is not there
    /// @throws IOException when nobody comes, or we are refused: the message says why
    public static AttachedGuest attach(
            Path path, long memoryBytes, NettyDeviceLoop loop, Runnable onLost, Duration patience)
            throws IOException {
        return attach(path, memoryBytes, loop, onLost, patience, NOT_YET);
    }

    private static AttachedGuest attach(
            Path path,
            long memoryBytes,
            NettyDeviceLoop loop,
            Runnable onLost,
            Duration patience,
            Set<Integer> awaited)
            throws IOException {
        if (memoryBytes < 2L * GuestMemory.PAGE_SIZE || memoryBytes % GuestMemory.PAGE_SIZE != 0) {
            throw new IllegalArgumentException("guest memory of " + memoryBytes + " bytes");
        }
        if (loop.inLoop()) {
            throw new IllegalStateException("attach waits for the loop that it is called on");
        }
        long memoryPages = memoryBytes / GuestMemory.PAGE_SIZE;
        int frames = Math.clamp(memoryPages / 64, 1, MAX_TABLE_FRAMES);
        int fd = Memfd.create("splitring-guest", memoryBytes);
        AttachedGuest guest;
        try {
            Memfd.addSeals(fd, SEALS);
            // Every page now, and on our account: a page that the driver domain touched first
            // would be charged to it.
            Mapping mapping = Mapping.populated(fd, memoryBytes);
            guest = new AttachedGuest(path, loop, onLost, fd, mapping, frames);
        } catch (LinuxException e) {
            Fd.close(fd);
            throw e;
        }
        try {
            guest.attachWithin(patience, awaited);
            return guest;
        } catch (IOException e) {
            guest.close();
            throw new IOException("attach to " + path + ": " + e.getMessage(), e);
        }
    }

    /// Attaches again, with the memory as it is, after the driver domain was lost: to the one that
    /// takes its place. Waits for it to come. Ports and the store connection are gone for good, and
    /// are made anew; grants that the old one had mapped can be ended as soon as this returns,
    /// because whoever lets us in has seen the old one let go of this memory, and has cleared the
    /// marks that it left in the table. Not on the loop of the attach socket.
    ///
    /// @throws IOException when nobody lets us in before the time is over, or we are refused for
    ///     good: the message says why
    /// @throws IllegalStateException when the driver domain is not lost
    public void attachAgain(Duration patience) throws IOException {
        AttachLink before = link;
        if (before == null || !before.isLost()) {
            throw new IllegalStateException("still attached to " + path);
        }
        if (loop.inLoop()) {
            throw new IllegalStateException("attach waits for the loop that it is called on");
        }
        before.close();
        DomId was = id;
        try {
            attachWithin(patience, NOBODY_YET);
        } catch (IOException e) {
            throw new IOException("attach again to " + path + ": " + e.getMessage(), e);
        }
        if (!id.equals(was)) {
            throw new IOException(
                    "attach again to " + path + ": this is domain " + id + " now, was " + was);
        }
    }

    /// @param awaited the errors of which a later try is expected to be free
    private void attachWithin(Duration patience, Set<Integer> awaited) throws IOException {
        long start = System.nanoTime();
        while (true) {
            try {
                attachNow();
                return;
            } catch (LinuxException e) {
                if (closed
                        || !awaited.contains(e.errno())
                        || System.nanoTime() - start > patience.toNanos()
                        || Thread.currentThread().isInterrupted()) {
                    throw e;
                }
                LockSupport.parkNanos(RETRY_NANOS);
            }
        }
    }

    private void attachNow() throws IOException {
        synchronized (this) {
            if (closed) {
                throw new LinuxException("closed", Errno.ENOTCONN);
            }
            attaching = true;
        }
        AttachLink made = null;
        boolean attached = false;
        try {
            made = AttachLink.connect(path, loop, this::lost);
            hello(made);
            attached = true;
        } finally {
            attached = settle(made, attached);
        }
        if (!attached) {
            throw new LinuxException("closed meanwhile", Errno.ENOTCONN);
        }
        if (made.isLost()) {
            lost(made); // too early for its own event: it was not yet ours
        }
    }

    /// An attempt has ended; `false` when it failed, or [#close] came first and left us the rest.
    private synchronized boolean settle(@Nullable AttachLink made, boolean attached) {
        attaching = false;
        if (attached && !closed) {
            link = made;
            return true;
        }
        if (made != null) {
            made.close();
        }
        if (attached) {
            Fd.close(storeFd);
        }
        if (closed) {
            giveMemoryBack();
        }
        return false;
    }

    private void hello(AttachLink made) throws IOException {
        long memoryBytes = memory.segment().byteSize();
        AttachLink.Reply reply;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment hello = arena.allocate(AttachMessage.HELLO_REQUEST);
            hello.set(U32, AttachMessage.MAGIC_AT, AttachMessage.MAGIC);
            hello.set(U32, AttachMessage.VERSION_AT, AttachMessage.VERSION);
            hello.set(U64, AttachMessage.MEMORY_BYTES_AT, memoryBytes);
            hello.set(U32, AttachMessage.TABLE_GFN_AT, 0);
            hello.set(U32, AttachMessage.TABLE_FRAMES_AT, tableFrames);
            hello.set(U32, AttachMessage.XENSTORE_GFN_AT, xenstoreGfn);
            reply = made.await(made.request(AttachMessage.HELLO, hello, memoryFd));
        }
        if (reply.status() != 0) {
            throw new LinuxException(
                    switch (-reply.status()) {
                        case Errno.EBUSY -> "refused, another guest is attached";
                        case Errno.EACCES -> "refused, this user may not attach";
                        case Errno.EFBIG ->
                                "refused, " + memoryBytes + " bytes are more than allowed";
                        case Errno.EPROTONOSUPPORT ->
                                "refused, the driver domain speaks version " + reply.word0();
                        default -> "refused";
                    },
                    -reply.status());
        }
        if (reply.descriptors().size() != 1) {
            AttachLink.closeAll(reply.descriptors());
            throw new LinuxException("hello answered without a store", Errno.EPROTO);
        }
        storeFd = reply.descriptors().getFirst();
        id = new DomId(reply.word1());
        backend = new DomId(reply.word2());
    }

    private void lost(AttachLink which) {
        synchronized (this) {
            if (closed || link != which || mourned == which) {
                return;
            }
            mourned = which;
        }
        LOG.warn("domain {}: the driver domain is gone", id);
        onLost.run();
    }

    @Override
    public DomId id() {
        return id;
    }

    /// Domain of the backends.
    public DomId backendDomain() {
        return backend;
    }

    /// Our half of the xenstore connection of this attachment: a blocking stream socket that
    /// carries `xs_wire` messages. It belongs to the caller, who closes it before or after this.
    public int storeFd() {
        return storeFd;
    }

    /// Our end of the xenstore page, with the port that the driver domain made for it. Waits for
    /// the driver domain, so not from the loop of the attach socket; once for each attachment.
    ///
    /// @throws EventChannelException when the driver domain serves no such page: `ENOTSUP`; or when
    ///     the port was taken or closed before
    public XenstorePage openXenstorePage() throws EventChannelException {
        MemorySegment page = memory.pages(xenstoreGfn, 1);
        int port = page.get(U32, XenstoreRingLayout.EVTCHN_PORT);
        if (port == 0) {
            throw new EventChannelException(
                    Errno.EOPNOTSUPP, "the driver domain serves no xenstore page");
        }
        return new XenstorePage(page, ports.bindStatic(port), () -> {});
    }

    @Override
    public GuestMemory memory() {
        return memory;
    }

    @Override
    public PageAllocator pages() {
        return pages;
    }

    @Override
    public GrantTable grants() {
        return grants;
    }

    @Override
    public EventChannels eventChannels() {
        return ports;
    }

    /// Whether the driver domain is gone.
    public boolean isLost() {
        AttachLink now = link;
        return now == null || now.isLost();
    }

    private final class Ports implements EventChannels {
        @Override
        public EventChannel allocUnbound(DomId remote) throws EventChannelException {
            return open(AttachMessage.ALLOC_UNBOUND, remote.value(), 0);
        }

        @Override
        public EventChannel bindInterdomain(DomId remote, int remotePort)
                throws EventChannelException {
            return open(AttachMessage.BIND_INTERDOMAIN, remote.value(), remotePort);
        }

        EventChannel bindStatic(int port) throws EventChannelException {
            return open(AttachMessage.BIND_STATIC, port, 0);
        }

        private EventChannel open(int type, int remote, int remotePort)
                throws EventChannelException {
            String what =
                    switch (type) {
                        case AttachMessage.ALLOC_UNBOUND -> "port for domain " + remote;
                        case AttachMessage.BIND_STATIC ->
                                "port " + remote + " of the xenstore page";
                        default -> "bind to port " + remotePort + " of domain " + remote;
                    };
            AttachLink over = link;
            if (over == null) {
                throw new EventChannelException(Errno.ENOTCONN, what + ": not attached");
            }
            AttachLink.Reply reply;
            try {
                reply = over.await(over.request(type, remote, remotePort));
            } catch (LinuxException e) {
                throw new EventChannelException(e.errno(), what + ": " + e.getMessage());
            }
            if (reply.status() != 0) {
                throw new EventChannelException(
                        -reply.status(), what + ": " + Errno.describe(-reply.status()));
            }
            if (reply.descriptors().size() != 2) {
                AttachLink.closeAll(reply.descriptors());
                throw new EventChannelException(Errno.EPROTO, what + " came without descriptors");
            }
            EventFd kick = EventFd.adopt(reply.descriptors().get(0));
            Pipe.Reader wake;
            try {
                wake = Pipe.Reader.adopt(reply.descriptors().get(1));
            } catch (LinuxException e) {
                AttachLink.closeAll(reply.descriptors());
                throw new EventChannelException(e.errno(), what + ": " + e.getMessage());
            }
            GuestEventChannel channel = new GuestEventChannel(over, reply.word0(), kick, wake);
            over.opened(channel);
            return channel;
        }
    }

    /// Gives everything up; the driver domain sees the end of the connection. The descriptor of the
    /// store stays its user's. Closing twice does nothing.
    @Override
    public void close() {
        AttachLink last;
        boolean free;
        synchronized (this) {
            if (closed) {
                return;
            }
            closed = true;
            last = link;
            free = !attaching; // else whoever attaches does the rest
        }
        if (last != null) {
            last.close();
        }
        if (free) {
            giveMemoryBack();
        }
    }

    private void giveMemoryBack() {
        mapping.close();
        Fd.close(memoryFd);
    }
}
