package org.splitring.driverdomain;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.splitring.driverdomain.LabUnderTest.Ended;
import org.splitring.testkit.ExternalTools;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// The control API of a running lab: with curl on its socket and its port, and the commands that go
/// through it.
@Timeout(180)
class LabApiIT {
    private static final JsonMapper JSON = JsonMapper.shared();
    private static final String LAB =
            """
            [domains.web]
            disk = ["memory:16MiB,raw,xvda,rw"]

            [domains.other]
            guest = "external"
            disk = ["memory:1MiB,raw,xvda,rw"]

            [networks.lan]
            subnet = "10.94.0.0/24"
            ports = "stream, listen=./lan.sock, vifname=vm"
            """;

    @TempDir private static Path dir;
    private static LabUnderTest lab;
    private static int port;
    private static String said;

    @BeforeAll
    static void up() throws Exception {
        ExternalTools.require("curl", "curl");
        lab = new LabUnderTest(dir);
        Files.writeString(lab.lab(), LAB);
        try (ServerSocket probe = new ServerSocket(0)) {
            port = probe.getLocalPort();
        }
        Ended up =
                lab.splitring(
                        "up",
                        lab.lab() + "",
                        "--run-dir",
                        lab.run() + "",
                        "--detach",
                        "--http",
                        port + "");
        said = up.output();
        assertEquals(0, up.code(), said);
    }

    @AfterAll
    static void down() throws Exception {
        if (lab != null) {
            lab.cleanUp();
        }
    }

    /// What curl says, on the Unix socket.
    private static String curl(String... arguments) throws Exception {
        List<String> words = new ArrayList<>(List.of("-s", "--max-time", "30", "--unix-socket"));
        words.add(lab.run().resolve("control").toString());
        words.addAll(Arrays.asList(arguments));
        return lab.tool("curl", "curl", words.toArray(String[]::new)).output();
    }

    private static JsonNode get(String path) throws Exception {
        return JSON.readTree(curl("http://localhost" + path));
    }

    private static JsonNode send(String method, String path, String body) throws Exception {
        return JSON.readTree(
                curl(
                        "-X",
                        method,
                        "-H",
                        "Content-Type: application/json",
                        "-d",
                        body,
                        "http://localhost" + path));
    }

    @Test
    void theLabShowsItselfOnItsSocketAndItsPort() throws Exception {
        JsonNode shown = get("/v1/lab");
        assertEquals(lab.lab().toString(), shown.path("file").asString());
        assertEquals(2, shown.path("domains").asInt());
        String page =
                said.lines()
                        .filter(line -> line.startsWith("see and steer it: "))
                        .findFirst()
                        .orElseThrow();
        String address = page.substring(page.indexOf("http"), page.indexOf('#'));
        String token = page.substring(page.indexOf('#') + 1);
        assertEquals("http://localhost:" + port + "/", address);
        Ended open = lab.tool("curl", "curl", "-s", address);
        assertTrue(open.output().contains("<title>Splitring</title>"), open.output());
        String place = address + "v1/lab";
        Ended refused = lab.tool("curl", "curl", "-s", place);
        assertTrue(refused.output().contains("no token"), refused.output());
        Ended allowed =
                lab.tool("curl", "curl", "-s", "-H", "Authorization: Bearer " + token, place);
        assertEquals(shown.path("pid"), JSON.readTree(allowed.output()).path("pid"));
    }

    /// Every request that the description names is known, and answers with what it says.
    @Test
    void theDescriptionIsWhatThereIs() throws Exception {
        JsonNode description = get("/openapi.json");
        assertEquals("3.1.0", description.path("openapi").asString());
        int looked = 0;
        for (Map.Entry<String, JsonNode> path : description.path("paths").properties()) {
            for (String method : path.getValue().propertyNames()) {
                String place =
                        path.getKey()
                                .replace("{domain}", "web")
                                .replace("{class}", "vbd")
                                .replace("{id}", "xvda")
                                .replace("{network}", "lan")
                                .replace("{file}", "app.js")
                                .replaceAll("\\{.*?}", "nothing");
                JsonNode operation = path.getValue().path(method);
                JsonNode content = operation.path("responses").path("200").path("content");
                if (content.has("text/event-stream")) {
                    continue;
                }
                String answer =
                        method.equals("get")
                                ? curl("http://localhost" + place)
                                // Keys that nobody knows: it is found, and changes nothing.
                                : send(
                                                method.toUpperCase(Locale.ROOT),
                                                place,
                                                "{\"no-such-key\":1}")
                                        .toString();
                looked++;
                if (place.equals("/v1/reload")) {
                    assertEquals("{\"done\":[\"nothing has changed\"]}", answer);
                } else if (!method.equals("get")) {
                    assertTrue(
                            answer.contains("unknown key"), method + " " + place + ": " + answer);
                } else if (content.has("application/json")
                        && content.path("application/json").path("schema").size() > 0
                        && !place.equals("/openapi.json")) {
                    conforms(
                            place,
                            JSON.readTree(answer),
                            content.path("application/json").path("schema"),
                            description);
                }
            }
        }
        assertTrue(looked > 15, looked + " requests");
    }

    /// Objects have the keys that their schema says, and no others.
    private static void conforms(
            String place, JsonNode value, JsonNode given, JsonNode description) {
        JsonNode schema = given;
        if (given.has("$ref")) {
            schema = description.at(given.path("$ref").asString().substring(1));
        }
        if (value.isArray()) {
            assertFalse(value.isEmpty() && place.equals("/v1/domains"), "nothing to look at");
            for (JsonNode each : value) {
                conforms(place + "[]", each, schema.path("items"), description);
            }
        } else if (value.isObject() && schema.has("properties")) {
            SortedSet<String> keys = new TreeSet<>(value.propertyNames());
            keys.removeAll(schema.path("properties").propertyNames());
            assertEquals(new TreeSet<>(), keys, place + " has keys that are not described");
            for (JsonNode required : schema.path("required")) {
                assertTrue(value.has(required.asString()), place + " lacks " + required);
            }
            for (Map.Entry<String, JsonNode> each : value.properties()) {
                conforms(
                        place + "." + each.getKey(),
                        each.getValue(),
                        schema.path("properties").path(each.getKey()),
                        description);
            }
        } else if (value.isObject()) {
            assertTrue(schema.has("additionalProperties"), place + " is not described");
            for (JsonNode each : value) {
                conforms(place + ".*", each, schema.path("additionalProperties"), description);
            }
        } else if (schema.has("enum")) {
            assertTrue(contains(schema.path("enum"), value), place + " is " + value);
        }
    }

    private static boolean contains(JsonNode list, JsonNode value) {
        for (JsonNode each : list) {
            if (each.equals(value)) {
                return true;
            }
        }
        return false;
    }

    private static String sizeOf(String disk) throws Exception {
        return lab.tool("nbdinfo", "libnbd-bin", "--size", lab.uri(disk)).output().strip();
    }

    @Test
    void aDiskIsAttachedChangedAndTakenAway() throws Exception {
        String disk = "{\"device\":\"vbd,memory:4MiB,raw,xvdb\"}";
        JsonNode attached = send("POST", "/v1/domains/web/devices", disk);
        assertEquals("{\"done\":[\"attached vbd/xvdb to web\"]}", attached.toString());
        JsonNode again = send("POST", "/v1/domains/web/devices", disk);
        assertTrue(again.path("error").asString().contains("has a device vbd/xvdb already"));
        assertEquals(
                "connected",
                get("/v1/domains/web/devices/vbd/xvdb").at("/device/backend_state").asString());

        lab.io(lab.uri("xvdb"), "write -P 7 0 4M", "read -P 7 0 1M");
        JsonNode device = get("/v1/domains/web/devices/vbd/51728");
        assertEquals(8192, device.at("/device/meters/wr_sect").asInt());
        assertEquals(2048, device.at("/device/meters/rd_sect").asInt());
        JsonNode counts = device.at("/latency/write/counts");
        assertEquals(
                device.at("/device/meters/wr_req").asInt(), counts.path(counts.size() - 1).asInt());

        JsonNode both =
                send(
                        "PATCH",
                        "/v1/domains/web/disks/xvdb",
                        "{\"size_bytes\":8388608,\"limits\":{\"bps\":\"2MiB\"}}");
        assertEquals("xvdb of web has 8 MiB now", both.at("/done/0").asString());
        assertEquals("xvdb of web is limited now; weight 100", both.at("/done/1").asString());
        // The guest hears of it when the backend has it.
        await().atMost(LabUnderTest.PATIENCE).until(() -> sizeOf("xvdb").equals("8388608"));
        long begin = System.nanoTime();
        lab.io(lab.uri("xvdb"), "read -P 0 4M 3M");
        long took = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - begin);
        assertTrue(took > 1000, "3 MiB at 2 MiB/s in " + took + " ms");
        JsonNode nothing = send("PATCH", "/v1/domains/web/disks/xvdb", "{}");
        assertTrue(nothing.path("error").asString().contains("nothing to change"));

        JsonNode gone = send("DELETE", "/v1/domains/web/devices/vbd/xvdb", "{}");
        assertEquals("{\"done\":[\"detached vbd/xvdb from web\"]}", gone.toString());
        assertTrue(
                get("/v1/domains/web/devices/vbd/xvdb")
                        .path("error")
                        .asString()
                        .contains("no device"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "POST | /v1/domains/wbe/devices | {\"device\":\"vbd,a,raw,xvdb\"} | no domain \"wbe\"",
                "POST | /v1/domains/web/devices | {\"device\":\"vbx\"} | no device class \"vbx\"",
                "POST | /v1/domains/web/devices | {\"device\":\"vbd,a,raw,xvdb\",\"folder\":\"x\"} | not from /",
                "POST | /v1/domains/web/devices | {\"device\":\"vbd,a\",\"timeout_seconds\":0} | is not in 1..600",
                "PATCH | /v1/domains/web/disks/xvdz | {\"size_bytes\":4096} | has no disk xvdz",
                "PATCH | /v1/domains/web/disks/xvda | {\"limits\":{\"bps\":\"much\"}} | \"much\" is no size",
                "PATCH | /v1/domains/web/disks/xvda | {\"image\":\"/x\"} | goes with \"paused\": false",
                "PATCH | /v1/domains/web/vifs/0 | {\"rate\":\"1Mb/s\"} | has no vif 0",
                "POST | /v1/domains/other/start | {} | is external",
                "POST | /v1/captures | {\"network\":\"lam\",\"file\":\"/x\"} | no network \"lam\"",
                "DELETE | /v1/captures | {\"file\":\"/x\"} | not being written",
                "POST | /v1/domains/web/console/web-99 | {\"keys\":\"x\"} | no session",
            })
    void whatMakesNoSenseIsNamedAndChangesNothing(
            String method, String path, String body, String wanted) throws Exception {
        JsonNode before = get("/v1/domains");
        JsonNode answer = send(method, path, body);
        assertTrue(answer.path("error").asString().contains(wanted), answer.toString());
        assertEquals(devices(before), devices(get("/v1/domains")));
    }

    private static List<String> devices(JsonNode domains) {
        List<String> all = new ArrayList<>();
        for (JsonNode domain : domains) {
            domain.path("devices").forEach(device -> all.add(device.path("name").asString()));
        }
        return all;
    }

    @Test
    void aGuestIsStoppedAndStartedAndEventsTellOfIt() throws Exception {
        Process events =
                new ProcessBuilder(
                                "curl",
                                "-s",
                                "-N",
                                "--unix-socket",
                                lab.run() + "/control",
                                "http://localhost/v1/events")
                        .redirectErrorStream(true)
                        .redirectOutput(dir.resolve("events").toFile())
                        .start();
        try {
            await().atMost(LabUnderTest.PATIENCE)
                    .until(() -> send("POST", "/v1/reload", "{}").has("done"));
            long pid = get("/v1/domains/web").path("pid").asLong();
            assertTrue(pid > 0);
            assertTrue(
                    send("POST", "/v1/domains/web/start", "{}")
                            .path("error")
                            .asString()
                            .contains("runs already"));
            assertEquals(
                    "{\"done\":[\"stopped web\"]}",
                    send("POST", "/v1/domains/web/stop", "{}").toString());
            await().atMost(LabUnderTest.PATIENCE)
                    .until(() -> !get("/v1/domains/web").path("attached").asBoolean());
            assertTrue(get("/v1/domains/web").path("pid").isNull());
            assertEquals(
                    "absent",
                    get("/v1/domains/web/devices/vbd/xvda").at("/device/backend_state").asString());
            assertTrue(lab.command(0, "list").contains("stopped"));

            assertEquals(
                    "{\"done\":[\"started web\"]}",
                    send("POST", "/v1/domains/web/start", "{}").toString());
            assertTrue(get("/v1/domains/web").path("pid").asLong() > 0);
            lab.io(lab.uri("xvda"), "write -P 9 0 1M", "read -P 9 0 1M");
            await().atMost(LabUnderTest.PATIENCE)
                    .until(
                            () -> {
                                String told = Files.readString(dir.resolve("events"));
                                return told.contains(
                                                "event: news\ndata: {\"text\":\"domain web: guest process "
                                                        + pid)
                                        && told.contains("\"backend_state\":\"connected\"");
                            });
        } finally {
            events.destroy();
        }
    }

    @Test
    void aConsoleIsWatchedAndTypedInto() throws Exception {
        Path output = dir.resolve("console");
        Process console =
                new ProcessBuilder(
                                "curl",
                                "-s",
                                "-N",
                                "--unix-socket",
                                lab.run() + "/control",
                                "http://localhost/v1/domains/web/console")
                        .redirectOutput(output.toFile())
                        .start();
        try {
            await().atMost(LabUnderTest.PATIENCE)
                    .until(() -> Files.readString(output).contains("event: session\n"));
            String session =
                    Files.readString(output).replaceAll("(?s).*\"session\":\"([^\"]*)\".*", "$1");
            send("POST", "/v1/domains/web/console/" + session, "{\"keys\":\"help\\n\"}");
            await().atMost(LabUnderTest.PATIENCE)
                    .until(() -> printed(output).contains("this list"));
        } finally {
            console.destroy();
            console.waitFor();
        }
        await().atMost(LabUnderTest.PATIENCE)
                .until(
                        () ->
                                send("POST", "/v1/domains/web/console/web-1", "{\"keys\":\"x\"}")
                                        .has("error"));
    }

    private static String printed(Path events) throws IOException {
        StringBuilder text = new StringBuilder();
        String type = "";
        for (String line : Files.readAllLines(events)) {
            if (line.startsWith("event: ")) {
                type = line.substring("event: ".length());
            } else if (line.startsWith("data: ") && type.equals("output")) {
                byte[] bytes =
                        Base64.getDecoder()
                                .decode(line.substring("data: \"".length(), line.length() - 1));
                text.append(new String(bytes, UTF_8));
            }
        }
        return text.toString();
    }

    @Test
    void metricsKeepPrometheusConventions() throws Exception {
        lab.io(lab.uri("xvda"), "write -P 3 0 1M");
        Path metrics = Files.writeString(dir.resolve("metrics"), curl("http://localhost/metrics"));
        String text = Files.readString(metrics);
        String web = "{domain=\"web\",guest=\"1\"} 1";
        assertTrue(text.contains("splitring_domain_info" + web), text);
        assertTrue(
                text.contains("splitring_port_frames_total{direction=\"in\",network=\"lan\"")
                        || text.contains("splitring_network_ports{network=\"lan\"} 0"),
                text);
        long writes = value(text, "splitring_vbd_wr_req_total\\{.*guest=\"1\".*}");
        assertTrue(writes > 0, text);
        assertEquals(
                writes,
                value(
                        text,
                        "splitring_vbd_latency_seconds_count\\{device=\"51712\",direction=\"write\".*}"));
        Process check =
                new ProcessBuilder(
                                ExternalTools.require("promtool", "prometheus").toString(),
                                "check",
                                "metrics")
                        .redirectInput(metrics.toFile())
                        .redirectErrorStream(true)
                        .start();
        String found = new String(check.getInputStream().readAllBytes(), UTF_8);
        assertEquals(0, check.waitFor(), found);
        assertEquals("", found);
    }

    private static long value(String metrics, String line) {
        return metrics.lines()
                .filter(each -> each.matches(line + " .*"))
                .mapToLong(
                        each ->
                                (long)
                                        Double.parseDouble(
                                                each.substring(each.lastIndexOf(' ') + 1)))
                .findFirst()
                .orElse(-1);
    }

    @Test
    void aFlightRecordingHasStatesAndMeters() throws Exception {
        Path recording = dir.resolve("lab.jfr");
        String pid = get("/v1/lab").path("pid").asString();
        Path tools = Path.of(System.getProperty("java.home"), "bin");
        Ended start =
                lab.execute(List.of(tools.resolve("jcmd") + "", pid, "JFR.start", "name=lab"));
        assertTrue(start.output().contains("Started recording"), start.output());
        send("POST", "/v1/domains/web/devices", "{\"device\":\"vbd,memory:1MiB,raw,xvdc\"}");
        send("DELETE", "/v1/domains/web/devices/vbd/xvdc", "{}");
        TimeUnit.MILLISECONDS.sleep(1500); // meters come once a second
        lab.execute(
                List.of(
                        tools.resolve("jcmd") + "",
                        pid,
                        "JFR.stop",
                        "name=lab",
                        "filename=" + recording));
        String events =
                lab.execute(
                                List.of(
                                        tools.resolve("jfr") + "",
                                        "print",
                                        "--categories",
                                        "Splitring",
                                        recording + ""))
                        .output();
        assertTrue(events.contains("splitring.DeviceState"), events);
        assertTrue(events.contains("state = \"connected\""), events);
        assertTrue(events.contains("meter = \"splitring.vbd.wr.req\""), events);
    }

    @Test
    void listsShowWhatThereIs() throws Exception {
        String list = lab.command(0, "list");
        assertTrue(list.matches("(?s)Name +ID +Mem +Guest.*web +1 +64 +java +[0-9]+ .*"), list);
        assertTrue(list.matches("(?s).*other +2 +64 +external +- +waiting.*"), list);
        JsonNode json = JSON.readTree(lab.command(0, "list", "--json", "web"));
        assertEquals("web", json.at("/0/name").asString());
        assertEquals(1, json.size());
        assertTrue(lab.command(1, "list", "nobody").contains("no domain \"nobody\""));
        String disks = lab.command(0, "block-list");
        assertTrue(disks.matches("(?s).*web +xvda +51712 +w +connected.*16 MiB.*"), disks);
        assertEquals(2, JSON.readTree(lab.command(0, "block-list", "--json")).size());
        assertTrue(lab.command(0, "network-list").startsWith("Domain"));
        assertTrue(lab.command(0, "network").matches("(?s).*lan +bridge +1500.*10.94.0.0/24.*"));
        assertTrue(lab.command(1, "network", "lam").contains("networks are lan"));
        String top = lab.command(0, "top", "--batch", "--iterations", "2", "--delay", "0.1");
        assertEquals(2, top.lines().filter(line -> line.startsWith("NAME")).count(), top);
        assertTrue(top.matches("(?s).*web +running +65536 +0 .*"), top);
    }

    @Test
    void theDoctorNamesWhatIsWrongAndWhatToDo() throws Exception {
        String fine = lab.command(3, "doctor"); // nothing is plugged into the network
        assertTrue(fine.contains("network lan: nothing is plugged in"), fine);
        assertTrue(fine.matches("(?s).*web vbd/xvda +connected +connected +1 x 4 pages.*"), fine);
        assertTrue(lab.command(0, "doctor", "web").contains("nothing is wrong"));

        lab.command(0, "block-pause", "web", "xvda");
        try {
            String paused = lab.command(3, "doctor", "web");
            assertTrue(paused.contains("web vbd/xvda: it is paused"), paused);
            assertTrue(paused.contains("./splitring block-unpause web xvda"), paused);
        } finally {
            lab.command(0, "block-unpause", "web", "xvda");
        }
        JsonNode found = JSON.readTree(lab.command(3, "doctor", "--json"));
        assertEquals("network lan", found.at("/findings/0/place").asString());
        assertEquals("vbd/xvda", found.at("/rings/1/name").asString());
        assertTrue(lab.command(1, "doctor", "nobody").contains("no domain \"nobody\""));
    }

    private static JsonNode ring() throws Exception {
        JsonNode devices = get("/v1/domains/web/rings");
        assertEquals("vbd/xvda", devices.at("/1/name").asString(), devices::toString);
        return devices.at("/1/rings/0");
    }

    @Test
    void indicesOfARingMoveWithTraffic() throws Exception {
        lab.io(lab.uri("xvda"), "write -P 6 0 64k");
        JsonNode before = ring();
        lab.io(lab.uri("xvda"), "write -P 6 0 1M", "read -P 6 0 1M");
        JsonNode after = ring();
        for (String index : List.of("req_prod", "rsp_prod", "req_cons", "rsp_prod_pvt")) {
            long moved = after.path(index).asLong() - before.path(index).asLong();
            assertTrue(moved > 0, index + ": " + before + " " + after);
            assertEquals(after.path("req_prod").asLong(), after.path(index).asLong(), index);
        }
        assertEquals(128, after.path("entries").asInt());
        assertEquals(after.path("rsp_prod").asLong() + 1, after.path("rsp_event").asLong());
        for (String count : List.of("events_sent", "events_received")) {
            assertTrue(after.path(count).asLong() > before.path(count).asLong(), count);
        }
        assertFalse(after.path("broken").asBoolean());
        // The console has rings of bytes. Nobody is attached as the other domain.
        JsonNode all = get("/v1/rings");
        assertTrue(
                all.findValuesAsString("domain").stream().allMatch("web"::equals), all::toString);
        assertTrue(all.findParents("out_prod").size() == 1, all::toString);
        String shown = lab.command(0, "doctor", "web");
        assertTrue(shown.matches("(?s).*web vbd/xvda +queue-0 +128 +[0-9]+ .*"), shown);
        assertTrue(shown.contains("web console/0"), shown);
    }

    @Test
    void aGuestThatStandsStillIsNamed() throws Exception {
        ProcessHandle guest = lab.guest("web");
        Process load =
                new ProcessBuilder(
                                ExternalTools.require("qemu-img", "qemu-utils").toString(),
                                "bench",
                                "-f",
                                "raw",
                                "-c",
                                "100000000",
                                "-d",
                                "64",
                                lab.uri("xvda"))
                        .redirectErrorStream(true)
                        .redirectOutput(dir.resolve("bench.out").toFile())
                        .start();
        try {
            long before = ring().path("rsp_prod").asLong();
            await().atMost(LabUnderTest.PATIENCE)
                    .until(() -> ring().path("rsp_prod").asLong() > before + 1000);
            String said = "";
            for (int i = 0; i < 20 && !said.contains("told of answer"); i++) {
                signal("CONT", guest); // it had nothing on its rings, perhaps
                TimeUnit.MILLISECONDS.sleep(20 + 7 * i);
                signal("STOP", guest);
                said = said("doctor", "web", "--run-dir=" + lab.run());
            }
            assertTrue(said.contains("web vbd/xvda queue-0: the guest was told of answer"), said);
            lab.command(3, "doctor", "web");
            assertTrue(said.contains("the guest is stopped, stuck, or has lost the event"), said);
        } finally {
            signal("CONT", guest);
            load.destroyForcibly().waitFor();
        }
        await().atMost(LabUnderTest.PATIENCE).untilAsserted(() -> lab.command(0, "doctor", "web"));
    }

    private static void signal(String name, ProcessHandle process) throws Exception {
        lab.tool("kill", "procps", "-" + name, process.pid() + "");
    }

    @Test
    void theStoreIsReadAndWritten() {
        String node = "/local/domain/0/test";
        String run = lab.run().toString();
        assertEquals("", store(0, "write", "--run-dir", run, node, "a value"));
        assertEquals("a value\n", store(0, "read", "--run-dir", run, node));
        assertEquals("", store(0, "rm", "--run-dir", run, node));
        assertTrue(store(1, "read", "--run-dir", run, node).contains(node + ": no such node"));
        assertTrue(store(1, "ls", "--run-dir", run, node).contains("no such node"));
        String all = store(0, "ls", "--run-dir", run, "-f", "/local/domain/1/device/vbd");
        assertTrue(
                all.contains("/local/domain/1/device/vbd/51712/virtual-device = \"51712\"\n"), all);
        assertEquals(
                "/local/domain\n", store(0, "watch", "--run-dir", run, "-n", "1", "/local/domain"));
    }

    private static String said(String... words) {
        StringWriter text = new StringWriter();
        PrintWriter out = new PrintWriter(text, true);
        int ignored = Splitring.commandLine().setOut(out).setErr(out).execute(words);
        return text.toString();
    }

    private static String store(int code, String... words) {
        StringWriter text = new StringWriter();
        PrintWriter out = new PrintWriter(text, true);
        List<String> all = new ArrayList<>(List.of("store"));
        all.addAll(List.of(words));
        int ended =
                Splitring.commandLine().setOut(out).setErr(out).execute(all.toArray(String[]::new));
        assertEquals(code, ended, text::toString);
        return text.toString();
    }
}
