package org.splitring.driverdomain.control;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufInputStream;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.handler.codec.http.DefaultFullHttpResponse;
import io.netty.handler.codec.http.DefaultHttpResponse;
import io.netty.handler.codec.http.FullHttpRequest;
import io.netty.handler.codec.http.FullHttpResponse;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpHeaderValues;
import io.netty.handler.codec.http.HttpHeaders;
import io.netty.handler.codec.http.HttpMethod;
import io.netty.handler.codec.http.HttpResponse;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.HttpUtil;
import io.netty.handler.codec.http.HttpVersion;
import io.netty.handler.codec.http.QueryStringDecoder;
import java.net.InetSocketAddress;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// One connection: its requests one after the other, each checked before anybody else sees it.
final class ControlHandler extends SimpleChannelInboundHandler<FullHttpRequest> {
    private static final Logger LOG = LoggerFactory.getLogger(ControlHandler.class);

    /// Requests that a client may send ahead of the answers.
    private static final int MAX_WAITING = 8;

    private static final Set<String> HOSTS = Set.of("localhost", "127.0.0.1", "[::1]");
    private static final String BEARER = "Bearer ";

    private final Routes routes;
    private final JsonMapper json;
    private final Executor executor;
    private final @Nullable Tokens tokens;
    private final ArrayDeque<FullHttpRequest> waiting = new ArrayDeque<>();
    private boolean busy;
    private @Nullable EventConnection events;

    /// @param tokens who may do what; `null` where everybody may do everything
    ControlHandler(Routes routes, JsonMapper json, Executor executor, @Nullable Tokens tokens) {
        this.routes = routes;
        this.json = json;
        this.executor = executor;
        this.tokens = tokens;
    }

    @Override
    protected void channelRead0(ChannelHandlerContext context, FullHttpRequest request) {
        if (events != null || waiting.size() == MAX_WAITING) {
            var ignored = context.close();
            return;
        }
        waiting.add(request.retain());
        next(context);
    }

    private void next(ChannelHandlerContext context) {
        if (busy) {
            return;
        }
        FullHttpRequest request = waiting.poll();
        if (request == null) {
            return;
        }
        busy = true;
        try {
            begin(context, request);
        } catch (ControlException e) {
            finish(context, HttpUtil.isKeepAlive(request), refusal(e));
        } finally {
            request.release();
        }
    }

    private void begin(ChannelHandlerContext context, FullHttpRequest request)
            throws ControlException {
        if (request.decoderResult().isFailure()) {
            throw ControlException.badRequest(
                    "no request of HTTP: " + request.decoderResult().cause().getMessage());
        }
        QueryStringDecoder uri;
        String[] path;
        Map<String, String> query = new HashMap<>();
        try {
            uri = new QueryStringDecoder(request.uri(), UTF_8, true, 32);
            path = parts(uri.rawPath());
            for (Map.Entry<String, List<String>> each : uri.parameters().entrySet()) {
                query.put(each.getKey(), each.getValue().getLast());
            }
        } catch (IllegalArgumentException e) {
            throw ControlException.badRequest("the address makes no sense: " + e.getMessage());
        }
        if (tokens != null) {
            checkOrigin(context, request.headers());
        }
        HttpMethod method =
                request.method().equals(HttpMethod.HEAD) ? HttpMethod.GET : request.method();
        Routes.Found found = routes.find(method, path);
        checkRight(request.headers(), found.route().right());
        ControlRequest asked = new ControlRequest(found.names(), query, body(request));
        boolean keepAlive = HttpUtil.isKeepAlive(request);
        boolean headOnly = request.method().equals(HttpMethod.HEAD);
        executor.execute(() -> answer(context, found.route(), asked, keepAlive, headOnly));
    }

    private static String[] parts(String rawPath) {
        String[] raw = rawPath.replaceFirst("^/", "").split("/", -1);
        for (int i = 0; i < raw.length; i++) {
            raw[i] = QueryStringDecoder.decodeComponent(raw[i].replace("+", "%2B"), UTF_8);
        }
        return raw;
    }

    /// A page of somebody else's in a browser may reach this port under a name of its own, or
    /// send what its user never wanted: neither is heard.
    private static void checkOrigin(ChannelHandlerContext context, HttpHeaders headers)
            throws ControlException {
        int port = ((InetSocketAddress) context.channel().localAddress()).getPort();
        String host = headers.get(HttpHeaderNames.HOST, "");
        boolean ours = HOSTS.stream().anyMatch(name -> host.equals(name + ":" + port));
        if (!ours) {
            throw new ControlException(
                    421, "Host is \"" + host + "\": only localhost:" + port + " is here");
        }
        String origin = headers.get(HttpHeaderNames.ORIGIN);
        if (origin != null && !origin.equals("http://" + host)) {
            throw new ControlException(403, "Origin is \"" + origin + "\": another page");
        }
    }

    private void checkRight(HttpHeaders headers, Right needed) throws ControlException {
        if (tokens == null || needed == Right.NONE) {
            return;
        }
        String said = headers.get(HttpHeaderNames.AUTHORIZATION, "");
        Right right =
                said.startsWith(BEARER)
                        ? tokens.right(said.substring(BEARER.length()))
                        : Right.NONE;
        if (right == Right.NONE) {
            throw new ControlException(
                    401, "no token, or an unknown one: send Authorization: Bearer TOKEN");
        }
        if (!right.includes(needed)) {
            throw new ControlException(403, "this token may read, and change nothing");
        }
    }

    private JsonNode body(FullHttpRequest request) throws ControlException {
        ByteBuf content = request.content();
        if (!content.isReadable()) {
            return json.createObjectNode();
        }
        String type = request.headers().get(HttpHeaderNames.CONTENT_TYPE, "");
        if (!type.toLowerCase(Locale.ROOT).startsWith("application/json")) {
            throw new ControlException(
                    415, "Content-Type is \"" + type + "\", not application/json");
        }
        try {
            JsonNode body = json.readTree(new ByteBufInputStream(content));
            if (body.isObject()) {
                return body;
            }
        } catch (JacksonException e) {
            throw ControlException.badRequest("the body is no JSON: " + e.getOriginalMessage());
        }
        throw ControlException.badRequest("the body is no object of JSON");
    }

    /// On a thread of the executor.
    private void answer(
            ChannelHandlerContext context,
            Routes.Route route,
            ControlRequest asked,
            boolean keepAlive,
            boolean headOnly) {
        FullHttpResponse response;
        try {
            Object result = route.handler().handle(asked);
            if (result instanceof EventSource source) {
                context.executor().execute(() -> stream(context, source));
                return;
            }
            response = response(result);
        } catch (ControlException e) {
            response = refusal(e);
        } catch (Exception e) {
            LOG.error("{} {} failed", route.method(), route.template(), e);
            response = refusal(new ControlException(500, "internal error: " + e));
        }
        FullHttpResponse done = response;
        if (headOnly) {
            done.headers().set(HttpHeaderNames.CONTENT_LENGTH, done.content().readableBytes());
            done.content().clear();
        }
        context.executor().execute(() -> finish(context, keepAlive, done));
    }

    private FullHttpResponse response(Object result) {
        Answer answer =
                result instanceof Answer ready
                        ? ready
                        : Answer.text("application/json", json.writeValueAsString(result));
        return response(HttpResponseStatus.OK, answer);
    }

    private FullHttpResponse refusal(ControlException refused) {
        String text =
                json.writeValueAsString(Map.of("error", String.valueOf(refused.getMessage())));
        FullHttpResponse response =
                response(
                        HttpResponseStatus.valueOf(refused.status()),
                        Answer.text("application/json", text));
        if (refused.status() == 401) {
            response.headers().set(HttpHeaderNames.WWW_AUTHENTICATE, "Bearer");
        }
        return response;
    }

    private static FullHttpResponse response(HttpResponseStatus status, Answer answer) {
        FullHttpResponse response =
                new DefaultFullHttpResponse(
                        HttpVersion.HTTP_1_1, status, Unpooled.wrappedBuffer(answer.bytes()));
        response.headers()
                .set(HttpHeaderNames.CONTENT_TYPE, answer.type())
                .set(HttpHeaderNames.CONTENT_LENGTH, answer.bytes().length);
        protect(response.headers());
        return response;
    }

    private static void protect(HttpHeaders headers) {
        headers.set(HttpHeaderNames.CACHE_CONTROL, "no-store")
                .set("X-Content-Type-Options", "nosniff")
                .set(
                        HttpHeaderNames.CONTENT_SECURITY_POLICY,
                        "default-src 'self'; frame-ancestors 'none'; base-uri 'none'");
    }

    private void finish(
            ChannelHandlerContext context, boolean keepAlive, FullHttpResponse response) {
        busy = false;
        HttpUtil.setKeepAlive(response, keepAlive);
        var written = context.writeAndFlush(response);
        if (keepAlive) {
            next(context);
        } else {
            written.addListener(ChannelFutureListener.CLOSE);
        }
    }

    private void stream(ChannelHandlerContext context, EventSource source) {
        HttpResponse head = new DefaultHttpResponse(HttpVersion.HTTP_1_1, HttpResponseStatus.OK);
        head.headers().set(HttpHeaderNames.CONTENT_TYPE, "text/event-stream; charset=utf-8");
        head.headers().set(HttpHeaderNames.TRANSFER_ENCODING, HttpHeaderValues.CHUNKED);
        protect(head.headers());
        EventConnection listener = new EventConnection(context);
        try {
            listener.open(source, head);
            events = listener;
        } catch (ControlException e) {
            finish(context, false, refusal(e));
        }
    }

    @Override
    public void channelWritabilityChanged(ChannelHandlerContext context) {
        if (events != null) {
            events.writable();
        }
    }

    @Override
    public void channelInactive(ChannelHandlerContext context) {
        if (events != null) {
            events.close();
        }
        waiting.forEach(FullHttpRequest::release);
        waiting.clear();
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
        LOG.debug("control connection ends: {}", cause.toString());
        var ignored = context.close();
    }
}
