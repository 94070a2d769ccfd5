package org.splitring.xenbus.store;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.util.ArrayDeque;
import java.util.Deque;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.splitring.hypervisor.DomId;
import org.splitring.wire.XsdSockmsgLayout;

/// The store's end of one connection, whatever carries its bytes: takes requests apart, has them
/// answered by [WireOperations], and sends answers and events as the peer takes them.
///
/// Everything runs on the thread of the transport. While too many messages wait for the peer,
/// nothing of it is read, and events stay with their watches: a connection costs one read of
/// requests and a bounded number of messages. A peer that sends faster than others get their turn
/// is served in turns.
final class WireSession {
    private static final Logger LOG = LoggerFactory.getLogger(WireSession.class);

    /// Requests answered before others on the same thread have their turn.
    private static final int TURN = 32;

    /// Messages of domain 0 that may wait for it to read; a guest's number is a quota.
    private static final int MAX_UNSENT_OF_DOMAIN_0 = 64;

    private final DomId domain;
    private final WireTransport transport;
    private final WireOperations operations;
    private final ByteBuf in = Unpooled.buffer(256, 64 * 1024);
    private final Deque<PendingEvents> events = new ArrayDeque<>(); // each watch once at most
    private int unsent;
    private boolean wantsBytes = true;
    private boolean resting;
    private boolean working;
    private boolean workAgain;
    private boolean ended;

    WireSession(StoreTree tree, DomId domain, WireTransport transport) {
        this.domain = domain;
        this.transport = transport;
        this.operations = new WireOperations(tree, domain, this::pending);
        operations.onLost(() -> transport.execute(this::end));
    }

    /// Any thread: a watch has something to tell.
    private void pending(PendingEvents watch) {
        transport.execute(
                () -> {
                    if (!ended) {
                        events.add(watch);
                        work();
                    }
                });
    }

    /// Takes bytes that the peer has sent, in pieces of any size up to 4096. They are copied.
    void receive(ByteBuf bytes) {
        if (!ended) {
            in.writeBytes(bytes);
            work();
        }
    }

    /// Does what there is to do, as long as the peer takes the answers.
    void work() {
        if (working || ended) {
            workAgain = true; // the flush below made room
            return;
        }
        working = true;
        int turn = TURN;
        boolean full;
        do {
            workAgain = false;
            if (unsent > 0) {
                unsent = transport.flush();
            }
            while (turn > 0 && hasRoom() && !rests() && handleNext()) {
                turn--;
            }
            while (hasRoom() && sendNextEvent()) {
                // next one
            }
            full = !hasRoom();
            unsent = transport.flush();
        } while ((workAgain || (full && hasRoom())) && turn > 0 && !ended);
        working = false;
        if (ended) {
            return;
        }
        in.discardReadBytes();
        if (turn == 0) {
            transport.execute(this::work);
        }
        want(turn > 0 && hasRoom() && !resting);
    }

    /// Whether requests have to wait because the domain spoils the transactions of others.
    private boolean rests() {
        if (!resting) {
            long nanos = operations.waitNanos();
            if (nanos > 0) {
                resting = true;
                transport.schedule(
                        () -> {
                            resting = false;
                            work();
                        },
                        nanos);
            }
        }
        return resting;
    }

    private boolean hasRoom() {
        return !ended && unsent < operations.maxUnsent(MAX_UNSENT_OF_DOMAIN_0);
    }

    private void want(boolean bytes) {
        if (wantsBytes != bytes) {
            wantsBytes = bytes;
            transport.wantBytes(bytes);
        }
    }

    /// Answers the next request.
    ///
    /// @return whether there was one
    private boolean handleNext() {
        WireMessage request;
        try {
            request = WireMessage.take(in);
        } catch (WireMessage.TooLongException e) {
            end(WireTransport.Ending.PROTOCOL, String.valueOf(e.getMessage()));
            return false;
        }
        if (request == null) {
            return false;
        }
        WireMessage answer;
        try {
            answer = request.answer(operations.handle(request));
        } catch (StoreException e) {
            answer = request.error(e.error());
        } catch (RuntimeException e) {
            LOG.error("store connection of domain {}: request failed", domain, e);
            end(WireTransport.Ending.FAILURE, "a request failed");
            return false;
        }
        send(answer);
        return true;
    }

    /// Sends one event of the watch whose turn it is.
    ///
    /// @return whether there was one
    private boolean sendNextEvent() {
        while (!events.isEmpty()) {
            PendingEvents watch = events.remove();
            String changed = watch.take();
            if (changed != null) {
                events.add(watch); // the others first
                send(
                        new WireMessage(
                                XsdSockmsgLayout.WATCH_EVENT, 0, 0, eventPayload(watch, changed)));
                return true;
            }
        }
        return false;
    }

    private static byte[] eventPayload(PendingEvents watch, String changed) {
        byte[] payload = WireMessage.strings(changed, watch.token());
        if (payload.length > XsdSockmsgLayout.PAYLOAD_MAX_BYTES) {
            // Path and token came in one message, so they fit into one.
            payload = WireMessage.strings(watch.path(), watch.token());
        }
        return payload;
    }

    private void send(WireMessage message) {
        transport.send(message);
        unsent++;
    }

    /// Ends the session and its transport. Ending twice does nothing.
    void end() {
        end(WireTransport.Ending.ASKED, "");
    }

    private void end(WireTransport.Ending why, String detail) {
        if (!ended) {
            ended = true;
            in.clear();
            events.clear();
            operations.close();
            transport.end(why, detail);
        }
    }
}
