package org.splitring.driverdomain;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.splitring.driverdomain.LabUnderTest.PATIENCE;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Guests that are saved, and come back.
@Timeout(180)
class SaveIT {
    private static final String WEB =
            """
            [domains.web]
            memory = 32
            disk = ["web.img,raw,xvda,rw"]
            """;
    private static final String OTHER = "[domains.out]\nguest = \"external\"\n";

    @TempDir Path dir;
    private LabUnderTest lab;
    private Path image;
    private String file;

    @BeforeEach
    void prepare() throws Exception {
        lab = new LabUnderTest(dir);
        image = lab.image("web.img", 2);
        file = dir.resolve("web.saved").toString();
    }

    @AfterEach
    void cleanUp() throws Exception {
        lab.cleanUp();
    }

    /// What a guest has: its domid, and each device with the keys that outlive a connection.
    private Set<String> web() {
        JsonNode web =
                JsonMapper.shared().readTree(lab.command(0, "list", "--json", "web")).path(0);
        Set<String> all = new TreeSet<>();
        all.add("memory " + web.path("memory_mib").asInt());
        for (JsonNode device : web.path("devices")) {
            all.add(device.path("name").asString());
            for (String key : List.of("params", "mode", "rate", "weight", "mac", "bridge", "ip")) {
                JsonNode value = device.path("backend").path(key);
                if (value.isString()) {
                    all.add(device.path("name").asString() + " " + key + " " + value.asString());
                }
            }
        }
        return all;
    }

    private int domid() {
        JsonNode web =
                JsonMapper.shared().readTree(lab.command(0, "list", "--json", "web")).path(0);
        return web.path("domid").asInt();
    }

    private void refused(String why, String... words) {
        String said = lab.command(1, words);
        assertEquals(1, said.lines().count(), said);
        assertTrue(said.contains(why), said);
    }

    private void replace() throws Exception {
        LabUnderTest.Ended ended = lab.splitring("replace", "--run-dir", lab.run().toString());
        assertEquals(0, ended.code(), ended.output());
    }

    @Test
    void aGuestComesBackWithAllThatItHadAlsoUnderAnotherDriverDomain() throws Exception {
        LabUnderTest.requireNetworks();
        lab.image("more.img", 1);
        lab.up(
                OTHER
                        + WEB
                        + """
                        vif = ["ip=10.77.0.2"]
                        [networks.lan]
                        subnet = "10.77.0.0/24"
                        """);
        lab.command(0, "block-attach", "web", "vdev=xvdb,target=" + dir.resolve("more.img"));
        lab.command(0, "block-limit", "web", "xvda", "--iops", "700");
        lab.command(0, "network-limit", "web", "0", "20Mb/s");
        lab.io(lab.uri("xvda"), "write -P 5 0 1M");
        lab.io(lab.uri("xvdb"), "write -P 6 0 1M");
        Set<String> before = web();
        assertTrue(before.contains("vbd/xvda rate 0,700,100"), before::toString);
        int domid = domid();

        assertEquals("saved web in " + file + "\n", lab.command(0, "save", "web", file));
        refused("no domain \"web\"", "start", "web");
        lab.io(image.toString(), "read -P 5 0 1M"); // nobody holds it
        replace();
        refused("no domain \"web\"", "start", "web"); // also for the next driver domain

        assertEquals("restored web, domid " + domid + "\n", lab.command(0, "restore", file));
        assertEquals(before, web());
        Files.delete(Path.of(file)); // nobody needs it any more
        lab.io(lab.uri("xvda"), "read -P 5 0 1M", "write -P 7 0 4k");
        lab.io(lab.uri("xvdb"), "read -P 6 0 1M");
        long guest = lab.guest("web").pid();
        replace();
        assertEquals(guest, lab.guest("web").pid());
        assertEquals(domid, domid());
        assertEquals(before, web());
        lab.io(lab.uri("xvda"), "read -P 7 0 4k");
    }

    @Test
    void itComesBackInAnotherLabWithAnotherDomidWhereItsOwnIsTaken() throws Exception {
        lab.up(WEB);
        assertEquals(1, domid());
        lab.io(lab.uri("xvda"), "write -P 5 0 1M");
        lab.command(0, "save", "web", file);
        lab.down();

        Files.writeString(lab.lab(), OTHER);
        LabUnderTest.Ended up =
                lab.splitring("up", lab.lab().toString(), "--run-dir", lab.run() + "", "--detach");
        assertEquals(0, up.code(), up.output());
        assertEquals("restored web, domid 2\n", lab.command(0, "restore", file));
        lab.io(lab.uri("xvda"), "read -P 5 0 1M");
        refused("domain web runs in this lab", "restore", file);
        assertEquals("destroyed web\n", lab.command(0, "destroy", "web"));
        assertFalse(lab.command(0, "list").contains("web"));
    }

    @Test
    void itTakesThePlaceOfOneThatIsStoppedOrNothingChanges() throws Exception {
        lab.up(WEB);
        Path then = lab.image("then.img", 1);
        Path since = lab.image("since.img", 1);
        lab.command(0, "block-attach", "web", "vdev=xvdb,target=" + then);
        lab.command(0, "save", "--leave-running", "web", file);
        lab.command(0, "block-detach", "web", "xvdb");
        lab.command(0, "block-attach", "web", "vdev=xvdc,target=" + since);
        lab.io(lab.uri("xvdc"), "write -P 6 0 1M");
        refused("domain web runs in this lab", "restore", file);
        lab.command(0, "stop", "web");

        Files.delete(then);
        refused("image " + then + " does not exist", "restore", file);
        Files.write(then, new byte[100]); // which is found out only when it is opened
        refused(then.toString(), "restore", file);
        assertEquals("started web\n", lab.command(0, "start", "web"));
        lab.io(lab.uri("xvdc"), "read -P 6 0 1M"); // what was attached since is still there

        lab.command(0, "stop", "web");
        lab.image("then.img", 1);
        assertEquals("restored web, domid 1\n", lab.command(0, "restore", file));
        assertFalse(web().contains("vbd/xvdc"), "it had no such disk when it was saved");
        lab.io(lab.uri("xvdb"), "write -P 8 0 1M", "read -P 8 0 1M");
    }

    @Test
    void oneThatIsLeftRunningGoesOnUnderLoad() throws Exception {
        lab.up(WEB);
        Path socket = lab.run().resolve("web/xvda.nbd");
        try (VerifiedDisk disk = new VerifiedDisk("web/xvda", socket, 2, 11)) {
            for (int i = 0; i < 3; i++) {
                long answers = disk.answers();
                await().atMost(PATIENCE).until(() -> disk.answers() > answers + 50);
                String each = file + i;
                assertEquals(
                        "saved web in " + each + "; it goes on\n",
                        lab.command(0, "save", "-c", "web", each));
            }
            refused(file + "0 is there already", "save", "web", file + "0");
            refused("no such file", "restore", dir.resolve("gone") + "");
            refused(
                    "there is no folder " + dir.resolve("gone"),
                    "save",
                    "web",
                    dir.resolve("gone/web.saved") + "");
            long answers = disk.answers();
            await().atMost(PATIENCE).until(() -> disk.answers() > answers + 50);
            disk.finish();
            assertNull(disk.failure());
            lab.down();
            assertEquals(List.of(), disk.broken(image));
        }
    }

    private static List<Path> memory() throws Exception {
        try (Stream<Path> files = Files.list(Path.of("/dev/shm"))) {
            return files.filter(file -> file.toString().endsWith("-web-xvda")).toList();
        }
    }

    @Test
    void whatIsOnDisksInMemoryComesBackOrNothingChanges() throws Exception {
        List<Path> others = memory();
        lab.up("[domains.web]\nmemory = 32\ndisk = [\"memory:2560K,,xvda\"]\n");
        lab.command(0, "block-attach", "web", "vdev=xvdb,target=memory:1MiB");
        lab.io(lab.uri("xvda"), "write -P 5 1M 64k", "write -P 6 2559k 1k");
        lab.io(lab.uri("xvdb"), "write -P 7 0 1M");
        Set<String> before = web();
        Path xvda = Path.of(file + ".xvda");
        Path xvdb = Path.of(file + ".xvdb");

        Files.writeString(xvdb, "mine");
        refused(xvdb + ", which is for disk xvdb in memory, is there already", "save", "web", file);
        assertEquals("mine", Files.readString(xvdb));
        Files.delete(xvdb);
        refused(
                "there is no folder " + dir.resolve("gone"),
                "save",
                "web",
                dir.resolve("gone/web.saved") + "");
        assertFalse(Files.exists(xvda));
        lab.io(lab.uri("xvda"), "read -P 5 1M 64k"); // it goes on

        assertEquals("saved web in " + file + "\n", lab.command(0, "save", "web", file));
        assertEquals(others, memory(), "its memory is given back");
        assertEquals(2560 << 10, Files.size(xvda));
        String room = lab.tool("stat", "coreutils", "-c", "%b", xvda.toString()).output().strip();
        assertTrue(Long.parseLong(room) * 512 <= 256 << 10, room + " blocks: zeros take room");
        replace();
        assertEquals("restored web, domid 1\n", lab.command(0, "restore", file));
        assertEquals(before, web());
        lab.io(
                lab.uri("xvda"),
                "read -P 0 0 1M",
                "read -P 5 1M 64k",
                "read -P 6 2559k 1k",
                "write -P 9 0 4k");
        lab.io(lab.uri("xvdb"), "read -P 7 0 1M");
        replace();
        lab.io(lab.uri("xvda"), "read -P 9 0 4k");

        lab.command(0, "stop", "web");
        byte[] good = Files.readAllBytes(xvda);
        byte[] bad = good.clone();
        bad[1 << 20]++;
        Files.write(xvda, bad);
        refused(xvda + ", which has disk xvda in memory, is damaged", "restore", file);
        Files.write(xvda, Arrays.copyOf(good, good.length - 512));
        refused("has 2620928 bytes, and the disk had 2621440", "restore", file);
        Files.delete(xvda);
        refused(xvda + ", which has disk xvda in memory, is not there", "restore", file);
        lab.command(0, "start", "web");
        lab.io(lab.uri("xvda"), "read -P 9 0 4k", "read -P 5 1M 64k"); // as before it stopped

        lab.command(0, "stop", "web");
        Files.write(xvda, good);
        assertEquals("restored web, domid 1\n", lab.command(0, "restore", file));
        lab.io(lab.uri("xvda"), "read -P 0 0 1M", "read -P 5 1M 64k");
        lab.down();
        assertEquals(others, memory());
    }
}
