package org.splitring.hypervisor.attached;

import static org.splitring.hypervisor.attached.AttachMessage.U32;
import static org.splitring.hypervisor.attached.AttachMessage.U64;

import io.netty.channel.epoll.EpollIoOps;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.GrantException;
import org.splitring.hypervisor.GrantPins;
import org.splitring.hypervisor.GuestMemory;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.Fd;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.hypervisor.linux.Mapping;
import org.splitring.hypervisor.linux.Packet;
import org.splitring.hypervisor.linux.UnixSocket;

/// One connection on an attach socket, from accept to its end. On the server's loop.
///
/// A message is copied out of the socket, checked as a whole, and answered before the next one is
/// read: a guest that does not read its replies stops only itself, and nothing is queued for it.
final class AttachConnection {
    /// Descriptors of a guest beside its connection and its ports: memory, our end of the store,
    /// and the reading end of the port of its xenstore page until the guest takes it.
    static final int GUEST_DESCRIPTORS = 3;

    private static final int MESSAGES_PER_TURN = 16;
    private static final EpollIoOps OPS =
            EpollIoOps.EPOLLIN.with(EpollIoOps.EPOLLOUT).with(EpollIoOps.EPOLLRDHUP);
    private static final int[] NO_DESCRIPTORS = {};

    private final AttachSocket place;
    private final AttachServer server;
    private final NettyDeviceLoop loop;
    private final UnixSocket socket;
    private final Packet packet = new Packet(AttachMessage.MAX_BYTES);
    private final MemorySegment reply = Arena.ofAuto().allocate(AttachMessage.MAX_BYTES, 8);
    private final Runnable turn = this::turn;

    private @Nullable FdWatch watch;
    private @Nullable Runnable cancelDeadline;
    private @Nullable AttachedPeer peer;

    /// A reply that the socket did not take yet; 0 when there is none.
    private int unsentBytes;
    private int[] unsentDescriptors = NO_DESCRIPTORS;
    private @Nullable Runnable afterSend;

    /// A checked hello that waits for the last guest to be gone.
    private boolean helloWaits;
    private int helloMemoryFd = -1;
    private boolean ended;

    AttachConnection(AttachSocket place, AttachServer server, UnixSocket socket) {
        this.place = place;
        this.server = server;
        loop = server.loop();
        this.socket = socket;
    }

    void start(long helloTimeoutNanos) {
        cancelDeadline = loop.schedule(this::deadline, helloTimeoutNanos);
        watch = FdWatch.start(loop, socket.fd(), OPS, turn, this::end);
    }

    private void deadline() {
        if (ended || peer != null) {
            return;
        }
        if (helloWaits) {
            helloWaits = false;
            refuseHello(Errno.EBUSY);
        } else {
            place.warn("a connection without a hello was closed");
            end();
        }
    }

    /// Takes messages that are there, and notices the end.
    void turn() {
        if (ended || helloWaits || !flush()) {
            return;
        }
        for (int i = 0; i < MESSAGES_PER_TURN; i++) {
            long received = socket.receive(packet);
            if (received == -Errno.EAGAIN) {
                return;
            }
            try {
                if (received <= 0) {
                    end(); // gone, by itself or with its process; an empty message too
                } else if (!handle()) {
                    place.warn(
                            "a message on the attach socket broke the protocol, type "
                                    + Integer.toUnsignedString(word(0))
                                    + " size "
                                    + packet.sizeBytes());
                    end();
                }
            } finally {
                packet.closeDescriptors(); // what the message did not have use for
            }
            if (ended || helloWaits || unsentBytes > 0) {
                return;
            }
        }
        // More may be there, and edge-triggered waiting will not say so again.
        loop.execute(turn);
    }

    /// Handles the message in the packet.
    ///
    /// @return `false` when it is none that a correct guest sends
    private boolean handle() {
        int size = packet.sizeBytes();
        if (packet.truncated() || size < AttachMessage.HEADER_BYTES) {
            return false;
        }
        int type = word(AttachMessage.TYPE_AT);
        int body = AttachMessage.requestBodyBytes(type);
        if (body < 0
                || word(AttachMessage.LENGTH_AT) != body
                || size != AttachMessage.HEADER_BYTES + body
                || packet.descriptorCount() != (type == AttachMessage.HELLO ? 1 : 0)) {
            return false;
        }
        AttachedPeer guest = peer;
        if (type == AttachMessage.HELLO) {
            if (guest != null) {
                return false;
            }
            hello();
            return true;
        }
        if (guest == null) {
            return false;
        }
        switch (type) {
            case AttachMessage.ALLOC_UNBOUND,
                    AttachMessage.BIND_INTERDOMAIN,
                    AttachMessage.BIND_STATIC ->
                    open(guest, type);
            case AttachMessage.CLOSE -> close(guest);
            default -> status(guest);
        }
        return true;
    }

    // --- hello ---

    private void hello() {
        int errno;
        if (word(AttachMessage.MAGIC_AT) != AttachMessage.MAGIC) {
            errno = Errno.EINVAL;
        } else if (word(AttachMessage.VERSION_AT) != AttachMessage.VERSION) {
            errno = Errno.EPROTONOSUPPORT; // before fields that another version may define anew
        } else if (word(AttachMessage.FLAGS_AT) != 0) {
            errno = Errno.EINVAL;
        } else {
            errno = checkCredentials();
        }
        if (errno != 0) {
            refuseHello(errno);
            return;
        }
        if (place.hasGuest()) {
            refuseHello(Errno.EBUSY);
            return;
        }
        helloMemoryFd = packet.takeDescriptor();
        if (place.isTaken()) {
            helloWaits = true; // the last one is on its way out; the deadline goes on
            return;
        }
        attach();
    }

    private int checkCredentials() {
        try {
            return AttachSocket.mayAttach(socket.credentials(), UnixSocket.effectiveUser())
                    ? 0
                    : Errno.EACCES;
        } catch (LinuxException e) {
            return Errno.EACCES;
        }
    }

    /// The last guest is gone.
    void placeFree() {
        if (ended || !helloWaits) {
            return;
        }
        helloWaits = false;
        if (place.isTaken()) {
            refuseHello(Errno.EBUSY); // another one was quicker
        } else {
            attach();
        }
        turn();
    }

    /// Checks what the hello offers, which is still in the packet, and takes it.
    private void attach() {
        int fd = helloMemoryFd;
        long memoryBytes = packet.data().get(U64, AttachMessage.MEMORY_BYTES_AT);
        long tableGfn = Integer.toUnsignedLong(word(AttachMessage.TABLE_GFN_AT));
        long frames = Integer.toUnsignedLong(word(AttachMessage.TABLE_FRAMES_AT));
        int storeGfn = word(AttachMessage.XENSTORE_GFN_AT);
        DomainLimits limits = place.limits();
        int errno = MemoryCheck.check(fd, memoryBytes, limits);
        if (errno == 0) {
            errno = checkLayout(memoryBytes, tableGfn, frames, storeGfn, limits);
        }
        if (errno != 0) {
            refuseHello(errno);
            return;
        }
        if (!server.descriptors().take(GUEST_DESCRIPTORS)) {
            refuseHello(Errno.EMFILE);
            return;
        }
        Mapping mapping = null;
        try {
            mapping = Mapping.of(fd, memoryBytes);
            GuestMemory memory = new GuestMemory(mapping.segment());
            GrantPins pins =
                    new GrantPins(
                            memory,
                            place.guest(),
                            (int) tableGfn,
                            (int) frames,
                            limits,
                            server.mappings());
            // The place was free, so nobody in this process maps this domain's memory; and whoever
            // listened here before us has ended, or we would not listen.
            GrantPins.forgetMappings(memory, (int) tableGfn, (int) frames);
            int[] store = UnixSocket.streamPair();
            AttachedPeer made =
                    new AttachedPeer(
                            place.guest(),
                            limits,
                            store[0],
                            fd,
                            mapping,
                            memory,
                            pins,
                            server.broker(),
                            server.driverDomain());
            if (storeGfn != AttachMessage.NO_GFN) {
                try {
                    made.makeXenstorePage((int) tableGfn, storeGfn, server.broker());
                } catch (EventChannelException e) {
                    Fd.close(store[0]);
                    Fd.close(store[1]);
                    throw e;
                }
            }
            welcome(made, store[1]);
        } catch (LinuxException e) {
            undoAttach(mapping, e.errno());
        } catch (EventChannelException e) {
            undoAttach(mapping, e.errno());
        } catch (GrantException e) {
            undoAttach(mapping, Errno.EINVAL);
        }
    }

    private void undoAttach(@Nullable Mapping mapping, int errno) {
        if (mapping != null) {
            mapping.close();
        }
        server.descriptors().give(GUEST_DESCRIPTORS);
        refuseHello(errno);
    }

    private static int checkLayout(
            long memoryBytes, long tableGfn, long frames, int storeGfn, DomainLimits limits) {
        long pages = memoryBytes / GuestMemory.PAGE_SIZE;
        long store = Integer.toUnsignedLong(storeGfn);
        boolean ok =
                frames >= 1
                        && frames <= limits.maxGrantFrames()
                        && tableGfn + frames <= pages
                        && (storeGfn == AttachMessage.NO_GFN
                                || (store < pages
                                        && (store < tableGfn || store >= tableGfn + frames)));
        return ok ? 0 : Errno.EINVAL;
    }

    private void welcome(AttachedPeer made, int guestStoreFd) {
        helloMemoryFd = -1; // the peer's
        peer = made;
        cancelDeadline();
        place.becomeGuest(this, made);
        if (ended) {
            Fd.close(guestStoreFd);
            return;
        }
        reply.set(U32, AttachMessage.REPLY_VERSION_AT, AttachMessage.VERSION);
        reply.set(U32, AttachMessage.REPLY_DOMID_AT, made.domid().value());
        reply.set(U32, AttachMessage.REPLY_BACKEND_AT, server.driverDomain().value());
        reply.set(U32, AttachMessage.REPLY_MAX_PORTS_AT, made.limits().maxPorts());
        send(
                0,
                (int) AttachMessage.HELLO_REPLY.byteSize(),
                new int[] {guestStoreFd},
                () -> Fd.close(guestStoreFd));
    }

    /// Says why, and ends the connection.
    private void refuseHello(int errno) {
        closeHelloMemory();
        place.warn("attach refused: " + Errno.describe(errno));
        reply.fill((byte) 0);
        reply.set(U32, AttachMessage.REPLY_VERSION_AT, AttachMessage.VERSION);
        reply.set(U32, AttachMessage.REPLY_DOMID_AT, place.guest().value());
        send(-errno, (int) AttachMessage.HELLO_REPLY.byteSize(), NO_DESCRIPTORS, this::end);
    }

    // --- event channels ---

    private void open(AttachedPeer guest, int type) {
        try {
            int remote = word(AttachMessage.WORD0_AT); // for BIND_STATIC the port itself
            GuestPort port =
                    switch (type) {
                        case AttachMessage.ALLOC_UNBOUND ->
                                server.broker().allocUnbound(guest, remote);
                        case AttachMessage.BIND_STATIC -> server.broker().staticPort(guest, remote);
                        default ->
                                server.broker()
                                        .bindInterdomain(
                                                guest, remote, word(AttachMessage.WORD1_AT));
                    };
            reply.set(U32, AttachMessage.WORD0_AT, port.number);
            send(0, AttachMessage.HEADER_BYTES + 4, port.descriptors(), port::handedOver);
        } catch (EventChannelException e) {
            sendStatus(-e.errno());
        }
    }

    private void close(AttachedPeer guest) {
        try {
            server.broker().closeGuestPort(guest, word(AttachMessage.WORD0_AT));
            sendStatus(0);
        } catch (EventChannelException e) {
            sendStatus(-e.errno());
        }
    }

    private void status(AttachedPeer guest) {
        int[] status = server.broker().guestPortStatus(guest, word(AttachMessage.WORD0_AT));
        reply.set(U32, AttachMessage.WORD0_AT, status[0]);
        reply.set(U32, AttachMessage.WORD1_AT, status[1]);
        reply.set(U32, AttachMessage.WORD2_AT, status[2]);
        send(0, (int) AttachMessage.WORDS.byteSize(), NO_DESCRIPTORS, null);
    }

    // --- replies ---

    private void sendStatus(int status) {
        send(status, AttachMessage.HEADER_BYTES, NO_DESCRIPTORS, null);
    }

    /// Sends the reply to the message in the packet, now or when the guest reads again.
    private void send(int status, int sizeBytes, int[] descriptors, @Nullable Runnable then) {
        reply.set(U32, AttachMessage.TYPE_AT, word(AttachMessage.TYPE_AT));
        reply.set(U32, AttachMessage.SEQ_AT, word(AttachMessage.SEQ_AT));
        reply.set(U32, AttachMessage.STATUS_AT, status);
        reply.set(U32, AttachMessage.LENGTH_AT, sizeBytes - AttachMessage.HEADER_BYTES);
        unsentBytes = sizeBytes;
        unsentDescriptors = descriptors;
        afterSend = then;
        flush();
    }

    /// Sends what is unsent.
    ///
    /// @return `false` when the socket did not take it, or the connection has ended
    private boolean flush() {
        if (unsentBytes == 0) {
            return !ended;
        }
        long sent = socket.send(reply, unsentBytes, unsentDescriptors);
        if (sent == -Errno.EAGAIN) {
            return false; // the socket becoming writable brings us back
        }
        sent(sent >= 0);
        return !ended;
    }

    private void sent(boolean well) {
        Runnable then = afterSend;
        unsentBytes = 0;
        unsentDescriptors = NO_DESCRIPTORS;
        afterSend = null;
        if (then != null) {
            then.run();
        }
        if (!well) {
            end();
        }
    }

    /// Ends the connection; a guest's attachment ends with it.
    void end() {
        if (ended) {
            return;
        }
        ended = true;
        cancelDeadline();
        if (unsentBytes > 0) {
            sent(true); // what belongs to the reply is given back
        }
        closeHelloMemory();
        FdWatch watching = watch;
        if (watching == null) {
            closeSocket();
        } else {
            watching.stop(this::closeSocket);
        }
        place.ended(this);
    }

    private void closeSocket() {
        socket.close();
        server.descriptors().give(1);
    }

    private void closeHelloMemory() {
        if (helloMemoryFd >= 0) {
            Fd.close(helloMemoryFd);
            helloMemoryFd = -1;
        }
    }

    private void cancelDeadline() {
        Runnable cancel = cancelDeadline;
        cancelDeadline = null;
        if (cancel != null) {
            cancel.run();
        }
    }

    /// A word of the message in the packet, which is private memory.
    private int word(long offset) {
        return packet.data().get(U32, offset);
    }
}
