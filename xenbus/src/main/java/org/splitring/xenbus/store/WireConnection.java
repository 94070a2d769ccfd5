package org.splitring.xenbus.store;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.util.ReferenceCountUtil;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.RejectedExecutionException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DomId;
import org.splitring.wire.XsdSockmsgLayout;

/// The store's end of one connection. Everything runs on the channel's event loop.
///
/// While the peer does not read, nothing of it is read either, and events stay with their watches.
@SuppressWarnings("FutureReturnValueIgnored") // of close: its end is seen as inactivity
final class WireConnection extends ChannelInboundHandlerAdapter {
    private static final Logger LOG = LoggerFactory.getLogger(WireConnection.class);
    private static final byte[] OK = WireMessage.strings("OK");

    private record WatchKey(String path, String token) {}

    private final StoreTree tree;
    private final DomId domain;
    private final ByteBuf in = Unpooled.buffer(256, 64 * 1024);
    private final Map<Integer, TreeTransaction> transactions = new HashMap<>();
    private final Map<WatchKey, Watch> watches = new HashMap<>();
    private final Deque<Runnable> events = new ArrayDeque<>(); // one for each watch at most
    private @Nullable TreeConnection store;
    private int lastTransactionId;
    private boolean working;
    private boolean workAgain;
    private boolean ended;

    WireConnection(StoreTree tree, DomId domain) {
        this.tree = tree;
        this.domain = domain;
    }

    @Override
    public void handlerAdded(ChannelHandlerContext ctx) {
        StoreWireServer.configure(ctx.channel());
        store = tree.connect(domain, task -> later(ctx, task));
    }

    private void later(ChannelHandlerContext ctx, Runnable task) {
        try {
            ctx.executor()
                    .execute(
                            () -> {
                                events.add(task);
                                work(ctx);
                            });
        } catch (RejectedExecutionException e) {
            // The loop has been shut down, and this connection with it: nobody is there to be told.
            LOG.debug("store connection of domain {}: loop has ended", domain);
        }
    }

    @Override
    public void channelRead(ChannelHandlerContext ctx, Object message) {
        try {
            if (!ended) {
                in.writeBytes((ByteBuf) message);
            }
        } finally {
            ReferenceCountUtil.release(message);
        }
        work(ctx);
    }

    @Override
    public void channelWritabilityChanged(ChannelHandlerContext ctx) {
        work(ctx);
    }

    /// Handles what there is, as long as the peer takes the answers.
    private void work(ChannelHandlerContext ctx) {
        if (working) {
            workAgain = true; // a flush below made the channel writable again
            return;
        }
        working = true;
        do {
            workAgain = false;
            while (!ended && ctx.channel().isWritable() && handleNext(ctx)) {
                // next one
            }
            while (!ended && ctx.channel().isWritable() && !events.isEmpty()) {
                events.remove().run();
            }
            ctx.flush();
        } while (workAgain && !ended);
        in.discardReadBytes();
        working = false;
        if (!ended) {
            ctx.channel().config().setAutoRead(ctx.channel().isWritable());
        }
    }

    /// Answers the next request.
    ///
    /// @return whether there was one
    private boolean handleNext(ChannelHandlerContext ctx) {
        WireMessage request;
        try {
            request = WireMessage.take(in);
        } catch (WireMessage.TooLongException e) {
            LOG.warn("store connection of domain {} closed: {}", domain, e.getMessage());
            end(ctx);
            return false;
        }
        if (request == null) {
            return false;
        }
        WireMessage answer;
        try {
            answer = request.answer(handle(ctx, request));
        } catch (StoreException e) {
            answer = request.error(e.error());
        } catch (RuntimeException e) {
            LOG.error("store connection of domain {} closed: request failed", domain, e);
            end(ctx);
            return false;
        }
        send(ctx, answer);
        return true;
    }

    private void send(ChannelHandlerContext ctx, WireMessage message) {
        ctx.write(message.encode(ctx.alloc()), ctx.voidPromise());
    }

    private byte[] handle(ChannelHandlerContext ctx, WireMessage request) throws StoreException {
        return switch (request.type()) {
            case XsdSockmsgLayout.READ -> read(request);
            case XsdSockmsgLayout.WRITE -> write(request);
            case XsdSockmsgLayout.MKDIR -> {
                store().tree().makeNode(store(), transaction(request), only(request));
                yield OK;
            }
            case XsdSockmsgLayout.RM -> {
                store().tree().remove(store(), transaction(request), only(request));
                yield OK;
            }
            case XsdSockmsgLayout.DIRECTORY -> directory(request);
            case XsdSockmsgLayout.DIRECTORY_PART -> directoryPart(request);
            case XsdSockmsgLayout.GET_PERMS -> permissions(request);
            case XsdSockmsgLayout.SET_PERMS -> setPermissions(request);
            case XsdSockmsgLayout.WATCH -> watch(ctx, request);
            case XsdSockmsgLayout.UNWATCH -> unwatch(request);
            case XsdSockmsgLayout.RESET_WATCHES -> resetWatches();
            case XsdSockmsgLayout.TRANSACTION_START -> start(request);
            case XsdSockmsgLayout.TRANSACTION_END -> end(request);
            case XsdSockmsgLayout.GET_DOMAIN_PATH ->
                    WireMessage.strings("/local/domain/" + domainId(request));
            case XsdSockmsgLayout.IS_DOMAIN_INTRODUCED -> {
                requireControlDomain();
                yield WireMessage.strings(tree.isIntroduced(domainId(request)) ? "T" : "F");
            }
            case XsdSockmsgLayout.CONTROL,
                    XsdSockmsgLayout.INTRODUCE,
                    XsdSockmsgLayout.RELEASE,
                    XsdSockmsgLayout.RESUME,
                    XsdSockmsgLayout.SET_TARGET -> {
                requireControlDomain();
                throw new StoreException(StoreError.ENOSYS, "operation " + request.type());
            }
            default -> throw new StoreException(StoreError.ENOSYS, "operation " + request.type());
        };
    }

    private byte[] read(WireMessage request) throws StoreException {
        return node(request, only(request)).value();
    }

    private byte[] write(WireMessage request) throws StoreException {
        byte[] payload = request.payload();
        int pathEnd = 0;
        while (pathEnd < payload.length && payload[pathEnd] != 0) {
            pathEnd++;
        }
        if (pathEnd == payload.length) {
            throw new StoreException(StoreError.EINVAL, "no NUL after the path");
        }
        String path = new String(payload, 0, pathEnd, ISO_8859_1);
        byte[] value = new byte[payload.length - pathEnd - 1];
        System.arraycopy(payload, pathEnd + 1, value, 0, value.length);
        tree.write(store(), transaction(request), path, value);
        return OK;
    }

    private byte[] directory(WireMessage request) throws StoreException {
        byte[] names = WireMessage.strings(node(request, only(request)).childNames());
        if (names.length > XsdSockmsgLayout.PAYLOAD_MAX_BYTES) {
            throw new StoreException(StoreError.E2BIG, "list of " + names.length + " bytes");
        }
        return names;
    }

    /// A piece of a long list: the folder's generation, then names from an offset in bytes on,
    /// then, with the last of them, an empty name.
    private byte[] directoryPart(WireMessage request) throws StoreException {
        List<String> arguments = request.strings(2);
        long offset = number(arguments.get(1));
        Node node = node(request, arguments.get(0));
        String generation = Long.toString(node.generation());
        byte[] names = WireMessage.strings(node.childNames());
        int room = XsdSockmsgLayout.PAYLOAD_MAX_BYTES - generation.length() - 2;
        int start = (int) Math.min(offset, names.length);
        int end = start;
        while (end < names.length) {
            int next = end;
            while (names[next] != 0) {
                next++;
            }
            if (next + 1 - start > room) {
                break;
            }
            end = next + 1;
        }
        boolean last = end == names.length;
        byte[] head = WireMessage.strings(generation);
        byte[] part = new byte[head.length + (end - start) + (last ? 1 : 0)];
        System.arraycopy(head, 0, part, 0, head.length);
        System.arraycopy(names, start, part, head.length, end - start);
        return part;
    }

    private byte[] permissions(WireMessage request) throws StoreException {
        List<String> texts = new ArrayList<>();
        for (Permission permission : node(request, only(request)).permissions()) {
            texts.add(permission.toString());
        }
        return WireMessage.strings(texts);
    }

    private byte[] setPermissions(WireMessage request) throws StoreException {
        List<String> arguments = request.strings();
        if (arguments.size() < 2) {
            throw new StoreException(StoreError.EINVAL, "no permissions");
        }
        List<Permission> permissions = new ArrayList<>();
        for (String text : arguments.subList(1, arguments.size())) {
            permissions.add(
                    Permission.parse(text)
                            .orElseThrow(
                                    () -> new StoreException(StoreError.EINVAL, "permission")));
        }
        tree.setPermissions(store(), transaction(request), arguments.get(0), permissions);
        return OK;
    }

    private byte[] watch(ChannelHandlerContext ctx, WireMessage request) throws StoreException {
        List<String> arguments = request.strings(2);
        String path = arguments.get(0);
        String token = arguments.get(1);
        WatchKey key = new WatchKey(path, token);
        if (watches.containsKey(key)) {
            throw new StoreException(StoreError.EEXIST, "watch " + path);
        }
        // The first event comes after the answer: events are delivered by a task of the loop.
        watches.put(key, tree.watch(store(), path, changed -> sendEvent(ctx, key, changed)));
        return OK;
    }

    private void sendEvent(ChannelHandlerContext ctx, WatchKey key, String changed) {
        byte[] payload = WireMessage.strings(changed, key.token());
        if (payload.length > XsdSockmsgLayout.PAYLOAD_MAX_BYTES) {
            // Path and token came in one message, so they fit into one.
            payload = WireMessage.strings(key.path(), key.token());
        }
        send(ctx, new WireMessage(XsdSockmsgLayout.WATCH_EVENT, 0, 0, payload));
    }

    private byte[] unwatch(WireMessage request) throws StoreException {
        List<String> arguments = request.strings(2);
        Watch watch = watches.remove(new WatchKey(arguments.get(0), arguments.get(1)));
        if (watch == null) {
            throw new StoreException(StoreError.ENOENT, "no such watch");
        }
        watch.close();
        return OK;
    }

    /// Drops watches and transactions: what a guest does before it starts anew.
    private byte[] resetWatches() {
        watches.values().forEach(Watch::close);
        watches.clear();
        transactions.values().forEach(tree::drop);
        transactions.clear();
        return OK;
    }

    private byte[] start(WireMessage request) throws StoreException {
        if (request.transactionId() != 0) {
            throw new StoreException(StoreError.EBUSY, "transaction in a transaction");
        }
        TreeTransaction transaction = tree.start(store());
        do {
            lastTransactionId++;
        } while (lastTransactionId == 0 || transactions.containsKey(lastTransactionId));
        transactions.put(lastTransactionId, transaction);
        return WireMessage.strings(Integer.toUnsignedString(lastTransactionId));
    }

    private byte[] end(WireMessage request) throws StoreException {
        String how = only(request);
        if (!how.equals("T") && !how.equals("F")) {
            throw new StoreException(StoreError.EINVAL, "neither T nor F");
        }
        TreeTransaction transaction = transactions.remove(request.transactionId());
        if (transaction == null) {
            throw new StoreException(StoreError.ENOENT, "no such transaction");
        }
        if (how.equals("T")) {
            tree.commit(transaction);
        } else {
            tree.drop(transaction);
        }
        return OK;
    }

    private Node node(WireMessage request, String path) throws StoreException {
        Node node = tree.nodeToRead(store(), transaction(request), path);
        if (node == null) {
            throw new StoreException(StoreError.ENOENT, "no such node");
        }
        return node;
    }

    private @Nullable TreeTransaction transaction(WireMessage request) throws StoreException {
        if (request.transactionId() == 0) {
            return null;
        }
        TreeTransaction transaction = transactions.get(request.transactionId());
        if (transaction == null) {
            throw new StoreException(StoreError.ENOENT, "no such transaction");
        }
        return transaction;
    }

    private static String only(WireMessage request) throws StoreException {
        return request.strings(1).getFirst();
    }

    private static DomId domainId(WireMessage request) throws StoreException {
        long number = number(only(request));
        if (number >= DomId.FIRST_RESERVED) {
            throw new StoreException(StoreError.EINVAL, "domain " + number);
        }
        return new DomId((int) number);
    }

    private static long number(String text) throws StoreException {
        if (!text.matches("[0-9]{1,9}")) {
            throw new StoreException(StoreError.EINVAL, "not a number");
        }
        return Long.parseLong(text);
    }

    private void requireControlDomain() throws StoreException {
        if (!domain.equals(DomId.ZERO)) {
            throw new StoreException(StoreError.EACCES, "only for domain 0");
        }
    }

    private TreeConnection store() {
        if (store == null) {
            throw new IllegalStateException("not added to a channel");
        }
        return store;
    }

    private void end(ChannelHandlerContext ctx) {
        ended = true;
        in.clear();
        events.clear();
        if (store != null) {
            store.close();
        }
        ctx.close();
    }

    @Override
    public void channelInactive(ChannelHandlerContext ctx) {
        end(ctx);
        ctx.fireChannelInactive();
    }

    @Override
    public void handlerRemoved(ChannelHandlerContext ctx) {
        end(ctx);
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
        if (!(cause instanceof IOException)) { // a peer that hangs up is nothing to tell of
            LOG.error("store connection of domain {} closed", domain, cause);
        }
        end(ctx);
    }
}
