package org.splitring.driverdomain;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.handler.codec.http.FullHttpResponse;
import io.netty.handler.codec.http.HttpObjectAggregator;
import io.netty.handler.codec.http.HttpResponseDecoder;
import java.io.IOException;
import java.io.PrintWriter;
import java.net.StandardProtocolFamily;
import java.net.URLEncoder;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// What a command asks of the driver domain of a running lab: one request of the control API on a
/// connection of its own.
final class ControlClient {
    private static final int MAX_ANSWER_BYTES = 64 << 20;
    private static final JsonMapper JSON = JsonMapper.shared();

    /// What an answer may take beyond the time that the request asks the lab to wait.
    private static final Duration GRACE = Duration.ofSeconds(15);

    private final Path runDir;

    ControlClient(Path runDir) {
        this.runDir = runDir;
    }

    /// A path, each part of it escaped.
    static String path(String... parts) {
        StringBuilder path = new StringBuilder("/v1");
        for (String part : parts) {
            path.append('/').append(URLEncoder.encode(part, UTF_8).replace("+", "%20"));
        }
        return path.toString();
    }

    /// Looks at something.
    JsonNode get(String path) throws CommandException {
        return json(exchange("GET", path, null, Duration.ZERO));
    }

    /// Looks at what is no JSON.
    String getText(String path) throws CommandException {
        return exchange("GET", path, null, Duration.ZERO);
    }

    /// Has something done.
    ///
    /// @param body what becomes JSON
    /// @param limit how long the lab itself may wait for it
    JsonNode call(String method, String path, Map<String, ?> body, Duration limit)
            throws CommandException {
        return json(exchange(method, path, JSON.writeValueAsString(body), limit));
    }

    /// Has something done, and prints what was.
    void print(String method, String path, Map<String, ?> body, Duration limit, PrintWriter out)
            throws CommandException {
        call(method, path, body, limit).path("done").forEach(line -> out.println(line.asString()));
    }

    private static JsonNode json(String text) throws CommandException {
        try {
            return JSON.readTree(text);
        } catch (JacksonException e) {
            throw new CommandException("the driver domain's answer is no JSON: " + text, e);
        }
    }

    private String exchange(String method, String path, @Nullable String body, Duration limit)
            throws CommandException {
        AtomicBoolean late = new AtomicBoolean();
        try (SocketChannel channel = connect()) {
            Thread watch = watch(channel, limit.plus(GRACE), late);
            try {
                write(channel, request(method, path, body));
                return read(channel);
            } finally {
                watch.interrupt();
            }
        } catch (IOException e) {
            throw new CommandException(
                    late.get()
                            ? "no answer within "
                                    + limit.plus(GRACE).toSeconds()
                                    + " s: the driver domain's log may say why"
                            : "the driver domain has ended before it answered: " + e.getMessage(),
                    e);
        }
    }

    private SocketChannel connect() throws CommandException, IOException {
        Path socket = RunDirectory.controlSocket(runDir);
        SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        try {
            channel.connect(UnixDomainSocketAddress.of(socket));
            return channel;
        } catch (IOException e) {
            channel.close();
            boolean forbidden = Files.exists(socket) && !Files.isWritable(socket);
            throw new CommandException(
                    forbidden
                            ? socket
                                    + " may not be opened by this user; run the command as "
                                    + Files.getOwner(socket)
                            : "nothing runs in run directory "
                                    + runDir
                                    + "; start a lab there with: ./splitring up LAB.toml --run-dir "
                                    + runDir,
                    e);
        }
    }

    /// Closes the connection when the time is over.
    private static Thread watch(SocketChannel channel, Duration limit, AtomicBoolean late) {
        return Thread.ofVirtual()
                .name("control answer")
                .start(
                        () -> {
                            try {
                                Thread.sleep(limit);
                                late.set(true);
                                channel.close();
                            } catch (InterruptedException | IOException e) {
                                // answered in time, or gone already
                            }
                        });
    }

    private static byte[] request(String method, String path, @Nullable String body) {
        byte[] content = body == null ? new byte[0] : body.getBytes(UTF_8);
        String head =
                method
                        + " "
                        + path
                        + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                        + (body == null ? "" : "Content-Type: application/json\r\n")
                        + "Content-Length: "
                        + content.length
                        + "\r\n\r\n";
        byte[] headBytes = head.getBytes(UTF_8);
        byte[] all = new byte[headBytes.length + content.length];
        System.arraycopy(headBytes, 0, all, 0, headBytes.length);
        System.arraycopy(content, 0, all, headBytes.length, content.length);
        return all;
    }

    private static void write(SocketChannel channel, byte[] bytes) throws IOException {
        ByteBuffer left = ByteBuffer.wrap(bytes);
        while (left.hasRemaining()) {
            channel.write(left);
        }
    }

    private static String read(SocketChannel channel) throws IOException, CommandException {
        EmbeddedChannel decoder =
                new EmbeddedChannel(
                        new HttpResponseDecoder(), new HttpObjectAggregator(MAX_ANSWER_BYTES));
        try {
            ByteBuffer bytes = ByteBuffer.allocate(16 << 10);
            FullHttpResponse response = null;
            while (response == null) {
                if (channel.read(bytes.clear()) < 0) {
                    throw new IOException("the connection was closed");
                }
                ByteBuf some = Unpooled.copiedBuffer(bytes.flip());
                decoder.writeInbound(some);
                response = decoder.readInbound();
            }
            try {
                String text = response.content().toString(UTF_8);
                if (response.status().code() >= 400) {
                    throw new CommandException(
                            json(text).path("error").asString(response.status().toString()));
                }
                return text;
            } finally {
                response.release();
            }
        } finally {
            decoder.finishAndReleaseAll();
        }
    }
}
