package org.splitring.xenbus.store;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import io.netty.buffer.ByteBuf;
import io.netty.channel.EventLoop;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executor;
import java.util.concurrent.Semaphore;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DescriptorLoop;
import org.splitring.hypervisor.DeviceLoop;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.XenstorePage;
import org.splitring.wire.XsdSockmsgLayout;

/// A connection to the store with Xen's wire format, over a stream socket or the xenstore page:
/// what
/// a guest has. Any thread but the loop that reads the answers.
public final class StoreWireClient implements Store {
    private static final Logger LOG = LoggerFactory.getLogger(StoreWireClient.class);

    /// Requests under way at once; a guest may have 20 at Xen's daemon.
    private static final int MAX_OUTSTANDING = 8;

    private static final int MAX_LIST_BYTES = 1 << 20;

    private final DomId domain;
    private final Executor watchExecutor;
    private final Semaphore outstanding = new Semaphore(MAX_OUTSTANDING);
    private final Object lock = new Object();
    // Guarded by lock.
    private final Map<Integer, CompletableFuture<WireMessage>> answers = new HashMap<>();
    private final Map<String, PendingEvents> watches = new HashMap<>();
    private final List<Runnable> lostListeners = new ArrayList<>();
    private int lastRequestId;
    private long lastToken;
    private boolean closed;
    private boolean lost;
    private ClientTransport transport;

    @SuppressWarnings("NullAway.Init") // set by the factories, before anybody else sees the object
    private StoreWireClient(DomId domain, Executor watchExecutor) {
        this.domain = domain;
        this.watchExecutor = watchExecutor;
    }

    /// Speaks to a store over a connected stream socket.
    ///
    /// @param fd belongs to the connection from here on, also when this fails
    /// @param domain whose rights the other end gives to this connection
    /// @param loop an epoll event loop; calls from it are refused, since they would wait for
    ///     themselves
    /// @param watchExecutor runs listeners
    public static StoreWireClient open(int fd, DomId domain, EventLoop loop, Executor watchExecutor)
            throws IOException {
        StoreWireClient client = new StoreWireClient(domain, watchExecutor);
        client.transport = ClientSocket.open(fd, loop, client);
        return client;
    }

    /// Connects to the socket of a running store ([StoreSocket]), as a tool of the host does, with
    /// the rights of domain 0.
    ///
    /// @param loop as in [#open]
    /// @param watchExecutor runs listeners
    /// @throws IOException when nobody listens there, or we may not
    public static StoreWireClient connect(Path socket, EventLoop loop, Executor watchExecutor)
            throws IOException {
        return connect(socket, DomId.ZERO, loop, watchExecutor);
    }

    /// As [#connect(Path, EventLoop, Executor)], where the store runs in another domain than 0.
    ///
    /// @param domain that this is, which the socket's store calls its own
    public static StoreWireClient connect(
            Path socket, DomId domain, EventLoop loop, Executor watchExecutor) throws IOException {
        StoreWireClient client = new StoreWireClient(domain, watchExecutor);
        client.transport = ClientSocket.connect(socket, loop, client);
        return client;
    }

    /// Speaks to the store over the page that a guest has from its start.
    ///
    /// The page cannot tell that the store's process is gone: whoever learns it, from the attach
    /// socket, calls [#storeGone].
    ///
    /// @param page the guest's end; belongs to the connection from here on
    /// @param domain whose rights the other end gives to this connection
    /// @param loop as in [#open]
    /// @param watchExecutor runs listeners
    public static StoreWireClient overPage(
            XenstorePage page, DomId domain, DeviceLoop loop, Executor watchExecutor) {
        StoreWireClient client = new StoreWireClient(domain, watchExecutor);
        client.transport = ClientPage.open(page, loop, client);
        return client;
    }

    /// Speaks to the store through the kernel, as user space of any domain can: `/dev/xen/xenbus`.
    ///
    /// @param domain that this is, whose rights the connection has
    /// @param loop as in [#open]
    /// @param watchExecutor runs listeners
    /// @throws IOException when the device cannot be opened
    public static StoreWireClient overDevice(
            Path device, DomId domain, DescriptorLoop loop, Executor watchExecutor)
            throws IOException {
        StoreWireClient client = new StoreWireClient(domain, watchExecutor);
        client.transport = ClientDevice.open(device, loop, client);
        return client;
    }

    /// Whether the store serves a domain: not before it is built, nor once it is dying.
    public boolean isIntroduced(DomId guest) throws StoreException {
        byte[] answer = call(XsdSockmsgLayout.IS_DOMAIN_INTRODUCED, 0, guest.toString());
        return answer.length > 0 && answer[0] == 'T';
    }

    /// The store will not answer any more: calls fail from now on, and watches fire a last time.
    public void storeGone() {
        fail("the store is gone");
    }

    @Override
    public DomId domain() {
        return domain;
    }

    @Override
    public Optional<String> read(String path) throws StoreException {
        return read(0, path);
    }

    @Override
    public void write(String path, String value) throws StoreException {
        write(0, path, value);
    }

    @Override
    public void makeNode(String path) throws StoreException {
        call(XsdSockmsgLayout.MKDIR, 0, path);
    }

    @Override
    public void remove(String path) throws StoreException {
        remove(0, path);
    }

    @Override
    public List<String> list(String path) throws StoreException {
        return list(0, path);
    }

    @Override
    public List<Permission> permissions(String path) throws StoreException {
        return permissions(0, path);
    }

    @Override
    public void setPermissions(String path, List<Permission> permissions) throws StoreException {
        setPermissions(0, path, permissions);
    }

    @Override
    public Watch watch(String path, WatchListener listener) throws StoreException {
        PendingEvents events = PendingEvents.listening(path, listener, watchExecutor);
        String token;
        synchronized (lock) {
            token = Long.toString(++lastToken);
            watches.put(token, events);
        }
        boolean registered = false;
        try {
            call(XsdSockmsgLayout.WATCH, 0, path, token);
            registered = true;
        } finally {
            if (!registered) {
                forget(token);
            }
        }
        return new WireWatch(path, token);
    }

    @Override
    public void transaction(TransactionBody body) throws StoreException {
        transactionReturning(
                transaction -> {
                    body.run(transaction);
                    return Boolean.TRUE;
                });
    }

    @Override
    public <T> T transactionReturning(TransactionFunction<T> body) throws StoreException {
        return Retry.transaction(
                this::start,
                body,
                transaction -> call(XsdSockmsgLayout.TRANSACTION_END, transaction.id, "T"),
                this::drop);
    }

    @Override
    public void onLost(Runnable listener) {
        synchronized (lock) {
            if (!lost) {
                lostListeners.add(listener);
                return;
            }
        }
        watchExecutor.execute(listener);
    }

    @Override
    public void close() {
        synchronized (lock) {
            closed = true;
            watches.values().forEach(PendingEvents::end);
            watches.clear();
            lostListeners.clear();
        }
        transport.close();
        fail("the connection to the store is closed");
    }

    private Optional<String> read(int transactionId, String path) throws StoreException {
        try {
            byte[] value = call(XsdSockmsgLayout.READ, transactionId, path);
            return Optional.of(StoreTree.text(value));
        } catch (StoreException e) {
            // Also "no such transaction"; ours is open while its body runs, and its end would tell.
            if (e.error() == StoreError.ENOENT) {
                return Optional.empty();
            }
            throw e;
        }
    }

    private void write(int transactionId, String path, String value) throws StoreException {
        byte[] start = arguments(path);
        byte[] bytes = StoreTree.bytes(value);
        byte[] payload = new byte[start.length + bytes.length];
        System.arraycopy(start, 0, payload, 0, start.length);
        System.arraycopy(bytes, 0, payload, start.length, bytes.length);
        call(XsdSockmsgLayout.WRITE, transactionId, payload, path);
    }

    private void remove(int transactionId, String path) throws StoreException {
        try {
            call(XsdSockmsgLayout.RM, transactionId, path);
        } catch (StoreException e) {
            if (e.error() != StoreError.ENOENT) {
                throw e;
            }
        }
    }

    private List<String> list(int transactionId, String path) throws StoreException {
        try {
            return names(call(XsdSockmsgLayout.DIRECTORY, transactionId, path));
        } catch (StoreException e) {
            return switch (e.error()) {
                case ENOENT -> List.of();
                case E2BIG -> listInParts(transactionId, path);
                default -> throw e;
            };
        }
    }

    private List<String> listInParts(int transactionId, String path) throws StoreException {
        String generation = "";
        StringBuilder names = new StringBuilder();
        while (true) {
            byte[] part =
                    call(
                            XsdSockmsgLayout.DIRECTORY_PART,
                            transactionId,
                            path,
                            Integer.toString(names.length()));
            String text = new String(part, ISO_8859_1);
            int end = text.indexOf('\0');
            if (end < 0 || end + 1 == text.length()) {
                throw new StoreException(StoreError.EIO, "part of a list without names: " + path);
            }
            if (!text.substring(0, end).equals(generation)) { // changed meanwhile: from the start
                boolean first = generation.isEmpty();
                generation = text.substring(0, end);
                if (!first) {
                    names.setLength(0);
                    continue;
                }
            }
            names.append(text, end + 1, text.length());
            if (names.length() > MAX_LIST_BYTES) {
                throw new StoreException(StoreError.E2BIG, "list of " + path);
            }
            if (text.endsWith("\0\0") || text.length() == end + 2) {
                String all = names.substring(0, names.length() - 1);
                return names(all.getBytes(ISO_8859_1));
            }
        }
    }

    private List<Permission> permissions(int transactionId, String path) throws StoreException {
        List<Permission> found = new ArrayList<>();
        for (String text : names(call(XsdSockmsgLayout.GET_PERMS, transactionId, path))) {
            found.add(
                    Permission.parse(text)
                            .orElseThrow(
                                    () ->
                                            new StoreException(
                                                    StoreError.EIO, "permission " + text)));
        }
        return found;
    }

    private void setPermissions(int transactionId, String path, List<Permission> permissions)
            throws StoreException {
        List<String> arguments = new ArrayList<>();
        arguments.add(path);
        permissions.forEach(permission -> arguments.add(permission.toString()));
        call(XsdSockmsgLayout.SET_PERMS, transactionId, arguments.toArray(String[]::new));
    }

    private static List<String> names(byte[] payload) {
        List<String> names = new ArrayList<>();
        int start = 0;
        for (int i = 0; i < payload.length; i++) {
            if (payload[i] == 0) {
                names.add(new String(payload, start, i - start, ISO_8859_1));
                start = i + 1;
            }
        }
        return names;
    }

    private WireTransaction start() throws StoreException {
        byte[] answer = call(XsdSockmsgLayout.TRANSACTION_START, 0, "");
        String id = names(answer).stream().findFirst().orElse("");
        try {
            return new WireTransaction(Integer.parseUnsignedInt(id));
        } catch (NumberFormatException e) {
            throw new StoreException(StoreError.EIO, "transaction number " + id);
        }
    }

    private void drop(WireTransaction transaction) {
        try {
            call(XsdSockmsgLayout.TRANSACTION_END, transaction.id, "F");
        } catch (StoreException e) {
            LOG.debug("transaction {} was gone already", transaction.id, e);
        }
    }

    private byte[] call(int type, int transactionId, String... arguments) throws StoreException {
        return call(type, transactionId, arguments(arguments), arguments[0]);
    }

    private static byte[] arguments(String... arguments) throws StoreException {
        for (String argument : arguments) {
            if (argument.indexOf('\0') >= 0) {
                throw new StoreException(StoreError.EINVAL, "NUL in an argument");
            }
        }
        return WireMessage.strings(arguments);
    }

    /// Sends a request and waits for its answer.
    ///
    /// @param what the path, for messages
    private byte[] call(int type, int transactionId, byte[] payload, String what)
            throws StoreException {
        if (transport.inLoop()) {
            throw new IllegalStateException("store call on the loop that reads its answer");
        }
        if (payload.length > XsdSockmsgLayout.PAYLOAD_MAX_BYTES) {
            throw new StoreException(StoreError.E2BIG, "request of " + payload.length + " bytes");
        }
        try {
            outstanding.acquire();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new StoreException(StoreError.EIO, "interrupted");
        }
        CompletableFuture<WireMessage> answer = send(type, transactionId, payload);
        var ignored = answer.whenComplete((message, failure) -> outstanding.release());
        WireMessage message;
        try {
            message = answer.get();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new StoreException(StoreError.EIO, "interrupted");
        } catch (ExecutionException e) {
            throw new StoreException(StoreError.EIO, "the connection to the store is gone");
        }
        if (message.type() == XsdSockmsgLayout.ERROR) {
            String name = names(message.payload()).stream().findFirst().orElse("");
            throw new StoreException(
                    StoreError.byName(name).orElse(StoreError.EIO),
                    "operation " + type + " on " + what + " as domain " + domain);
        }
        if (message.type() != type) {
            transport.close();
            throw new StoreException(
                    StoreError.EIO, "answer of type " + message.type() + " to " + type);
        }
        return message.payload();
    }

    private CompletableFuture<WireMessage> send(int type, int transactionId, byte[] payload) {
        CompletableFuture<WireMessage> answer = new CompletableFuture<>();
        int requestId;
        synchronized (lock) {
            if (closed || lost) {
                answer.completeExceptionally(new IOException("closed"));
                return answer;
            }
            do {
                requestId = ++lastRequestId;
            } while (answers.containsKey(requestId));
            answers.put(requestId, answer);
        }
        transport.send(new WireMessage(type, requestId, transactionId, payload));
        return answer;
    }

    private void forget(String token) {
        PendingEvents events;
        synchronized (lock) {
            events = watches.remove(token);
        }
        if (events != null) {
            events.end();
        }
    }

    /// Ends everything that waits. Any thread; the first call counts.
    void fail(String why) {
        List<CompletableFuture<WireMessage>> waiting;
        List<PendingEvents> told = new ArrayList<>();
        List<Runnable> listeners;
        synchronized (lock) {
            if (lost) {
                return;
            }
            lost = true;
            waiting = List.copyOf(answers.values());
            answers.clear();
            for (PendingEvents events : watches.values()) {
                if (events.note(events.path(), System.nanoTime())) {
                    told.add(events);
                }
            }
            listeners = List.copyOf(lostListeners);
            lostListeners.clear();
        }
        IOException failure = new IOException(why);
        waiting.forEach(answer -> answer.completeExceptionally(failure));
        told.forEach(PendingEvents::schedule);
        listeners.forEach(watchExecutor::execute);
    }

    /// Takes whole messages out of what the store has sent. On the transport's loop.
    ///
    /// @param in what came, and what was left over
    /// @return `false` when it is none that a store sends: the transport ends
    boolean received(ByteBuf in) {
        try {
            for (WireMessage next = WireMessage.take(in);
                    next != null;
                    next = WireMessage.take(in)) {
                accept(next);
            }
            in.discardReadBytes();
            return true;
        } catch (WireMessage.TooLongException e) {
            LOG.warn("store of domain {}: {}", domain, e.getMessage());
            return false;
        }
    }

    private void accept(WireMessage message) {
        if (message.type() == XsdSockmsgLayout.WATCH_EVENT) {
            List<String> event = names(message.payload());
            if (event.size() < 2) {
                return; // not ours to understand
            }
            PendingEvents events;
            synchronized (lock) {
                events = watches.get(event.get(1));
            }
            if (events != null && events.note(event.get(0), System.nanoTime())) {
                events.schedule();
            }
            return;
        }
        transport.answered();
        CompletableFuture<WireMessage> answer;
        synchronized (lock) {
            answer = answers.remove(message.requestId());
        }
        if (answer != null) {
            answer.complete(message);
        }
    }

    private final class WireWatch implements Watch {
        private final String path;
        private final String token;

        WireWatch(String path, String token) {
            this.path = path;
            this.token = token;
        }

        @Override
        public String path() {
            return path;
        }

        /// Does not wait: events that are under way already find nobody.
        @Override
        public void close() {
            boolean open;
            synchronized (lock) {
                open = watches.containsKey(token);
            }
            if (open) {
                forget(token);
                CompletableFuture<WireMessage> ignored =
                        send(XsdSockmsgLayout.UNWATCH, 0, WireMessage.strings(path, token));
            }
        }
    }

    private final class WireTransaction implements StoreAccess {
        private final int id;

        WireTransaction(int id) {
            this.id = id;
        }

        @Override
        public Optional<String> read(String path) throws StoreException {
            return StoreWireClient.this.read(id, path);
        }

        @Override
        public void write(String path, String value) throws StoreException {
            StoreWireClient.this.write(id, path, value);
        }

        @Override
        public void makeNode(String path) throws StoreException {
            call(XsdSockmsgLayout.MKDIR, id, path);
        }

        @Override
        public void remove(String path) throws StoreException {
            StoreWireClient.this.remove(id, path);
        }

        @Override
        public List<String> list(String path) throws StoreException {
            return StoreWireClient.this.list(id, path);
        }

        @Override
        public List<Permission> permissions(String path) throws StoreException {
            return StoreWireClient.this.permissions(id, path);
        }

        @Override
        public void setPermissions(String path, List<Permission> permissions)
                throws StoreException {
            StoreWireClient.this.setPermissions(id, path, permissions);
        }
    }
}
