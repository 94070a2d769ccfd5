package org.splitring.driverdomain;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.Base64;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import org.splitring.driverdomain.control.ControlException;
import org.splitring.driverdomain.control.EventSource;

/// Consoles of guests, for viewers who come through the control API: each has a connection to the
/// console's socket, as `splitring console` has.
///
///     event: session   data: {"session": "web-1"}     what to type into
///     event: output    data: "aGVsbG8="               bytes in Base64
final class ConsoleSessions {
    private static final int MAX_SESSIONS = 16;
    private static final int READ_BYTES = 4096;

    private final Path runDir;
    private final Map<String, SocketChannel> sessions = new ConcurrentHashMap<>();
    private final AtomicLong numbers = new AtomicLong();

    ConsoleSessions(Path runDir) {
        this.runDir = runDir;
    }

    /// A viewer of a domain's console; connected when he listens.
    EventSource open(String domain) {
        return listener -> {
            if (sessions.size() >= MAX_SESSIONS) {
                throw new ControlException(
                        503, "there are " + MAX_SESSIONS + " viewers of consoles, the most");
            }
            SocketChannel channel = connect(domain);
            String session = domain + "-" + numbers.incrementAndGet();
            sessions.put(session, channel);
            listener.send("session", "{\"session\":\"" + session + "\"}");
            Thread.ofVirtual()
                    .name("console of " + domain)
                    .start(() -> show(session, channel, listener));
            return () -> end(session);
        };
    }

    private SocketChannel connect(String domain) throws ControlException {
        try {
            return SocketChannel.open(
                    UnixDomainSocketAddress.of(RunDirectory.consoleSocket(runDir, domain)));
        } catch (IOException e) {
            throw new ControlException(409, "no console of " + domain + ": " + e.getMessage());
        }
    }

    private void show(String session, SocketChannel channel, EventSource.Listener listener) {
        ByteBuffer bytes = ByteBuffer.allocate(READ_BYTES);
        try {
            while (channel.read(bytes.clear()) >= 0) {
                String text = UTF_8.decode(Base64.getEncoder().encode(bytes.flip())).toString();
                listener.send("output", "\"" + text + "\"");
            }
        } catch (IOException e) {
            // closed by either side: the stream ends
        } finally {
            end(session);
            listener.end();
        }
    }

    /// Types into a console.
    void type(String session, String keys) throws ControlException {
        SocketChannel channel = sessions.get(session);
        if (channel == null) {
            throw ControlException.notFound("no session \"" + session + "\" of a console");
        }
        try {
            ByteBuffer left = UTF_8.encode(keys);
            while (left.hasRemaining()) {
                channel.write(left);
            }
        } catch (IOException e) {
            throw new ControlException(409, "the console has gone: " + e.getMessage());
        }
    }

    private void end(String session) {
        SocketChannel channel = sessions.remove(session);
        if (channel != null) {
            try {
                channel.close();
            } catch (IOException e) {
                // nothing was written that could be lost
            }
        }
    }
}
