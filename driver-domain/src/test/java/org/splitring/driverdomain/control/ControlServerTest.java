package org.splitring.driverdomain.control;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.Socket;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.splitring.hypervisor.attached.NettyDeviceLoops;
import tools.jackson.databind.json.JsonMapper;

/// What the control API lets through, over sockets, with routes of the test's own.
@Timeout(60)
class ControlServerTest {
    private static final JsonMapper JSON = JsonMapper.shared();

    @TempDir Path dir;
    private final NettyDeviceLoops loops = new NettyDeviceLoops("control", 1, 0);
    private final ExecutorService executor = Executors.newVirtualThreadPerTaskExecutor();
    private final Events events = new Events(JSON);
    private final List<String> changed = new ArrayList<>();
    private final CountDownLatch slow = new CountDownLatch(1);
    private ControlServer server;
    private Tokens tokens;
    private int port;

    @BeforeEach
    void listen() throws IOException {
        Routes routes =
                new Routes()
                        .open("/", request -> Answer.text("text/html", "<p>page</p>"))
                        .get(
                                "/v1/things/{thing}",
                                request -> Map.of("thing", request.name("thing")))
                        .get(
                                "/v1/slow",
                                request -> {
                                    slow.await();
                                    return Map.of("slow", true);
                                })
                        .get(
                                "/v1/fault",
                                request -> {
                                    throw new IllegalStateException("a fault");
                                })
                        .get("/v1/events", request -> events)
                        .post(
                                "/v1/things",
                                request -> {
                                    request.allow("name", "count");
                                    request.number("count");
                                    changed.add(request.needed("name"));
                                    return Map.of("done", changed.size());
                                });
        server = new ControlServer(routes, JSON, executor, loops.next().eventLoop());
        tokens = Tokens.make(dir.resolve("token"));
        server.listen(dir.resolve("control"));
        port = server.listen(0, tokens);
    }

    @AfterEach
    void close() {
        slow.countDown();
        server.close();
        executor.close();
        loops.close();
    }

    private record Reply(int status, String head, String body) {}

    /// One request over TCP, as it stands.
    private Reply tcp(String request) throws IOException {
        try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), port)) {
            socket.setSoTimeout(20_000);
            socket.getOutputStream().write(request.replace("\n", "\r\n").getBytes(UTF_8));
            return reply(socket.getInputStream());
        }
    }

    private Reply unix(String request) throws IOException {
        try (SocketChannel channel = connect()) {
            channel.write(ByteBuffer.wrap(request.replace("\n", "\r\n").getBytes(UTF_8)));
            return reply(Channels.newInputStream(channel));
        }
    }

    private SocketChannel connect() throws IOException {
        return SocketChannel.open(UnixDomainSocketAddress.of(dir.resolve("control")));
    }

    private static Reply reply(InputStream in) throws IOException {
        StringBuilder head = new StringBuilder();
        while (head.indexOf("\r\n\r\n") < 0) {
            int next = in.read();
            if (next < 0) {
                return new Reply(0, head.toString(), "");
            }
            head.append((char) next);
        }
        String text = head.toString();
        int length =
                text.lines()
                        .filter(line -> line.toLowerCase(Locale.ROOT).startsWith("content-length:"))
                        .mapToInt(line -> Integer.parseInt(line.substring(15).strip()))
                        .findFirst()
                        .orElse(0);
        String body = new String(in.readNBytes(length), UTF_8);
        return new Reply(Integer.parseInt(text.substring(9, 12)), text, body);
    }

    private String get(String path, String token) {
        return "GET "
                + path
                + " HTTP/1.1\nHost: localhost:"
                + port
                + "\n"
                + (token.isEmpty() ? "" : "Authorization: Bearer " + token + "\n")
                + "\n";
    }

    private String post(String path, String token, String body) {
        return "POST "
                + path
                + " HTTP/1.1\nHost: localhost:"
                + port
                + "\n"
                + (token.isEmpty() ? "" : "Authorization: Bearer " + token + "\n")
                + "Content-Type: application/json\nContent-Length: "
                + body.length()
                + "\n\n"
                + body;
    }

    private String readToken() throws IOException {
        return Files.readAllLines(dir.resolve("token")).get(0).substring("read ".length());
    }

    @Test
    void overTcpATokenSaysWhoMayDoWhat() throws Exception {
        assertEquals(200, tcp(get("/", "")).status());
        assertEquals(401, tcp(get("/v1/things/a", "")).status());
        assertEquals(401, tcp(get("/v1/things/a", "x".repeat(32))).status());
        assertEquals(401, tcp(post("/v1/things", "", "{\"name\":\"a\"}")).status());
        assertEquals(200, tcp(get("/v1/things/a", readToken())).status());
        Reply refused = tcp(post("/v1/things", readToken(), "{\"name\":\"a\"}"));
        assertEquals(403, refused.status());
        assertTrue(refused.body().contains("may read, and change nothing"), refused.body());
        assertEquals(List.of(), changed);
        assertEquals(200, tcp(post("/v1/things", tokens.change(), "{\"name\":\"a\"}")).status());
        assertEquals(200, tcp(get("/v1/things/a", tokens.change())).status());
        assertEquals(List.of("a"), changed);
    }

    @Test
    void overTheSocketItsOwnerMayDoEverythingAndNobodyElseCanOpenIt() throws Exception {
        assertEquals(200, unix(post("/v1/things", "", "{\"name\":\"b\"}")).status());
        assertEquals(List.of("b"), changed);
        for (String file : List.of("control", "token")) {
            assertEquals(
                    "rw-------",
                    PosixFilePermissions.toString(
                            Files.getPosixFilePermissions(dir.resolve(file))));
        }
    }

    /// A page of somebody else's, by the name of its own (DNS rebinding) or from its own place.
    @Test
    void foreignPagesAreNotHeard() throws Exception {
        String good = get("/v1/things/a", tokens.change());
        for (String host :
                List.of(
                        "evil.example:" + port,
                        "localhost",
                        "localhost:1",
                        "",
                        "localhost.:" + port)) {
            Reply reply = tcp(good.replace("localhost:" + port, host));
            assertEquals(421, reply.status(), host);
        }
        for (String host : List.of("127.0.0.1:" + port, "[::1]:" + port)) {
            assertEquals(200, tcp(good.replace("localhost:" + port, host)).status(), host);
        }
        String origin = "Origin: %s\n\n";
        String head = good.substring(0, good.length() - 1);
        assertEquals(200, tcp(head + origin.formatted("http://localhost:" + port)).status());
        for (String foreign :
                List.of(
                        "http://evil.example",
                        "null",
                        "https://localhost:" + port,
                        "http://localhost:1")) {
            assertEquals(403, tcp(head + origin.formatted(foreign)).status(), foreign);
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "GET /v1/nothing | 404 | there is no /v1/nothing",
                "GET /v1/things/a/b | 404 | there is no",
                "PUT /v1/things/a | 405 | knows GET, not PUT",
                "DELETE /v1/things | 405 | knows POST, not DELETE",
                "GET /v1/things/%zz | 400 | makes no sense",
                "GET /v1/fault | 500 | a fault",
            })
    void whatThereIsNotIsSaid(String request, int status, String said) throws Exception {
        Reply reply = unix(request + " HTTP/1.1\nHost: x\n\n");
        assertEquals(status, reply.status(), reply.body());
        assertTrue(reply.body().contains(said), reply.body());
        assertEquals(200, unix("GET /v1/things/a HTTP/1.1\nHost: x\n\n").status());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{\"name\":1} | \"name\" is 1, not a string",
                "{} | \"name\" is missing",
                "{\"name\":\"a\",\"nam\":2} | unknown key \"nam\"; there are name, count",
                "{\"name\":\"a\",\"count\":1.5} | \"count\" is 1.5, not a whole number",
                "[1] | no object",
                "{\"name\": | no JSON",
            })
    void bodiesThatMakeNoSenseChangeNothing(String body, String said) throws Exception {
        Reply reply = unix(post("/v1/things", "", body));
        assertEquals(400, reply.status(), reply.body());
        assertTrue(
                JSON.readTree(reply.body()).path("error").asString().contains(said), reply.body());
        assertEquals(List.of(), changed);
    }

    @Test
    void everySizeHasABound() throws Exception {
        int tooMuch = ControlServer.MAX_BODY_BYTES + 1;
        Reply big = unix(post("/v1/things", "", " ".repeat(tooMuch)));
        assertEquals(413, big.status(), big.head());
        assertEquals(400, unix("GET /" + "a".repeat(5000) + " HTTP/1.1\nHost: x\n\n").status());
        assertEquals(
                400, unix("GET / HTTP/1.1\nHost: x\nX-A: " + "a".repeat(9000) + "\n\n").status());
        Reply form =
                unix(
                        post("/v1/things", "", "{\"name\":\"a\"}")
                                .replace("application/json", "text/plain"));
        assertEquals(415, form.status());
        assertEquals(400, unix("nonsense\n\n").status());
        assertEquals(List.of(), changed);
    }

    @Test
    void answersComeInTheOrderOfTheRequestsAndTooManyAheadEndTheConnection() throws Exception {
        String one = "GET /v1/things/a HTTP/1.1\nHost: x\n\n".replace("\n", "\r\n");
        try (SocketChannel channel = connect()) {
            String both = "GET /v1/slow HTTP/1.1\nHost: x\n\n".replace("\n", "\r\n") + one;
            channel.write(ByteBuffer.wrap(both.getBytes(UTF_8)));
            Thread.sleep(50);
            slow.countDown();
            InputStream in = Channels.newInputStream(channel);
            assertEquals("{\"slow\":true}", reply(in).body());
            assertEquals("{\"thing\":\"a\"}", reply(in).body());
        }
        try (SocketChannel channel = connect()) {
            channel.write(ByteBuffer.wrap(one.repeat(20).getBytes(UTF_8)));
            InputStream in = Channels.newInputStream(channel);
            int answered = 0;
            try {
                while (reply(in).status() == 200) {
                    answered++;
                }
            } catch (IOException e) {
                assertEquals("Connection reset", e.getMessage()); // with requests unread
            }
            assertTrue(answered < 20, answered + " answered");
        }
    }

    @Test
    void connectionsBeyondTheBoundAreClosed() throws Exception {
        List<SocketChannel> all = new ArrayList<>();
        try {
            for (int i = 0; i < ControlServer.MAX_CONNECTIONS; i++) {
                all.add(connect());
            }
            // All of them have been accepted when the last one answers.
            all.getLast()
                    .write(ByteBuffer.wrap("GET / HTTP/1.1\r\nHost: x\r\n\r\n".getBytes(UTF_8)));
            assertEquals(200, reply(Channels.newInputStream(all.getLast())).status());
            try (SocketChannel more = connect()) {
                assertEquals(-1, more.read(ByteBuffer.allocate(1)));
            }
        } finally {
            for (SocketChannel each : all) {
                each.close();
            }
        }
        await().until(() -> unix("GET / HTTP/1.1\nHost: x\n\n").status() == 200);
    }

    private BufferedReader listenTo(SocketChannel channel) throws IOException {
        channel.write(
                ByteBuffer.wrap("GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n".getBytes(UTF_8)));
        BufferedReader lines =
                new BufferedReader(new InputStreamReader(Channels.newInputStream(channel), UTF_8));
        assertEquals("HTTP/1.1 200 OK", lines.readLine());
        return lines;
    }

    private static String nextEvent(BufferedReader lines) throws IOException {
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            if (line.startsWith("event: ")) {
                return line.substring("event: ".length()) + " " + lines.readLine();
            }
        }
        return "end";
    }

    @Test
    void eventsReachEveryListener() throws Exception {
        try (SocketChannel one = connect();
                SocketChannel two = connect()) {
            BufferedReader first = listenTo(one);
            BufferedReader second = listenTo(two);
            events.publish("news", Map.of("text", "hello"));
            assertEquals("news data: {\"text\":\"hello\"}", nextEvent(first));
            assertEquals("news data: {\"text\":\"hello\"}", nextEvent(second));
        }
    }

    @Test
    void aListenerThatDoesNotReadLosesEventsAndIsTold() throws Exception {
        try (SocketChannel lazy = connect();
                SocketChannel eager = connect()) {
            BufferedReader lines = listenTo(lazy);
            BufferedReader others = listenTo(eager);
            String text = "x".repeat(1000);
            int sent = 2000; // of 1 KB: more than sockets and the channel take
            int heard = 0;
            for (int i = 0; i < sent; i++) {
                events.publish("news", Map.of("text", text));
                if (nextEvent(others).startsWith("news ")) {
                    heard++;
                }
            }
            assertEquals(sent, heard);
            long news = 0;
            String event = nextEvent(lines);
            while (event.startsWith("news ")) {
                news++;
                event = nextEvent(lines);
            }
            assertTrue(event.startsWith("missed data: {\"events\":"), event);
            long missed =
                    JSON.readTree(event.substring("missed data: ".length()))
                            .path("events")
                            .asLong();
            assertTrue(news > 0 && news + missed <= sent, news + " and " + missed);
            events.publish("last", Map.of());
            while (!event.startsWith("last ")) {
                event = nextEvent(lines);
                assertFalse(event.equals("end"));
            }
        }
    }

    @Test
    void listenersHaveABoundAndMakeRoomWhenTheyGo() throws Exception {
        List<SocketChannel> all = new ArrayList<>();
        try {
            for (int i = 0; i < Events.MAX_LISTENERS; i++) {
                all.add(connect());
                listenTo(all.getLast());
            }
            assertEquals(503, unix("GET /v1/events HTTP/1.1\nHost: x\n\n").status());
        } finally {
            for (SocketChannel each : all) {
                each.close();
            }
        }
        await().untilAsserted(
                        () -> {
                            try (SocketChannel again = connect()) {
                                listenTo(again);
                            }
                        });
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "read abcdefghijklmnopqr | has no line \"read TOKEN\" or no \"change TOKEN\"",
                "read short | token2:1: not \"read TOKEN\" or \"change TOKEN\" with at least 16",
                "write abcdefghijklmnopqr | token2:1: \"write\" is no right",
            })
    void tokensThatAreNoneAreRefusedWithTheirPlace(String line, String said) throws Exception {
        Path file = Files.writeString(dir.resolve("token2"), line + "\n");
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));
        IOException refused = assertThrows(IOException.class, () -> Tokens.load(file));
        assertTrue(refused.toString().contains(said), refused.toString());
    }

    @Test
    void tokensThatOthersCanReadAreRefused() throws Exception {
        Path file = dir.resolve("token");
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r-----"));
        IOException refused = assertThrows(IOException.class, () -> Tokens.load(file));
        assertTrue(refused.toString().contains("chmod 600"), refused.toString());
    }

    @Test
    void aPortInUseIsNamed() {
        IOException refused = assertThrows(IOException.class, () -> server.listen(port, tokens));
        assertTrue(refused.toString().contains("port " + port), refused.toString());
    }
}
