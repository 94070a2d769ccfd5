package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.driverdomain.LabUnderTest.Ended;

/// A guest that comes into a running lab from a file of xl's, and goes.
@Timeout(180)
class CreateIT {
    @TempDir Path dir;
    private LabUnderTest lab;

    @BeforeEach
    void up() throws Exception {
        lab = new LabUnderTest(dir);
        lab.image("db.img", 8);
        lab.up("[domains.web]\ndisk = [\"memory:1MiB,,xvda\"]\n");
    }

    @AfterEach
    void cleanUp() throws Exception {
        lab.cleanUp();
    }

    private String config(String name, String more) throws Exception {
        return Files.writeString(dir.resolve(name + ".cfg"), "name = '" + name + "'\n" + more)
                .toString();
    }

    @Test
    void itIsServedOutlivesADriverDomainAndIsDestroyed() throws Exception {
        String file =
                config(
                        "db",
                        "vcpus = 2\nkernel = '/x'\ndisk = ['db.img,raw,xvda,w', 'memory:2MiB,,xvdb']\n");
        assertEquals(
                file
                        + ": of virtual machines, and of no meaning here: vcpus, kernel\ncreated db,"
                        + " domid 2\n",
                lab.command(0, "create", file));
        lab.io(lab.uri("db", "xvda"), "write -P 5 0 4M", "flush", "read -P 5 0 4M");
        lab.io(lab.uri("db", "xvdb"), "write -P 6 0 1M");
        assertTrue(lab.command(0, "list").matches("(?s).*db +2 +64 +java +[0-9]+ +running.*"));
        assertTrue(lab.command(1, "create", file).contains("the lab has a domain db already"));
        assertEquals("nothing has changed\n", lab.command(0, "reload"));

        Ended replaced = lab.splitring("replace", "--run-dir", lab.run() + "");
        assertEquals(0, replaced.code(), replaced.output());
        assertTrue(
                replaced.output().matches("(?s).*domain db: guest process [0-9]+ goes on.*"),
                replaced.output());
        lab.io(lab.uri("db", "xvda"), "read -P 5 0 4M", "write -P 7 4M 1M");
        lab.io(lab.uri("db", "xvdb"), "read -P 6 0 1M");

        assertEquals("destroyed db\n", lab.command(0, "destroy", "db"));
        assertFalse(lab.command(0, "list").contains("db"));
        assertFalse(Files.exists(lab.run().resolve("db/xvda.nbd")));
        assertTrue(lab.command(1, "destroy", "db").contains("no domain \"db\""));
        // Another one may have the name and the image.
        lab.command(0, "create", config("db", "disk = ['db.img,raw,xvda,w']\n"));
        lab.io(lab.uri("db", "xvda"), "read -P 7 4M 1M");
        lab.io(lab.uri("web", "xvda"), "write -P 1 0 1M", "read -P 1 0 1M");
    }

    @Test
    void oneThatCannotBeLeavesNothing() throws Exception {
        String broken = config("db", "disk = ['db.img,qcow2,xvda,w']\n");
        String said = lab.command(1, "create", broken);
        assertTrue(said.contains("db.img"), said);
        assertEquals(1, lab.command(0, "list", "--json").split("\"domid\"", -1).length - 1);
        assertTrue(lab.command(1, "create", dir.resolve("gone.cfg") + "").contains("no such file"));
        lab.command(0, "create", config("db", "disk = ['db.img,raw,xvda,w']\n"));
        lab.io(lab.uri("db", "xvda"), "read -P 0 0 1M");
    }

    @Test
    void aGuestOfTheLabFileCanBeStartedAgain() throws Exception {
        assertEquals("destroyed web\n", lab.command(0, "destroy", "web"));
        assertTrue(lab.command(0, "list").contains("stopped"));
        assertTrue(lab.command(1, "destroy", "web").contains("does not run"));
        assertTrue(lab.command(3, "doctor", "web").contains("./splitring start web"));
        assertEquals("started web\n", lab.command(0, "start", "web"));
        String guest = LabUnderTest.commandLine(lab.guest("web"));
        assertTrue(
                guest.contains("\0-XX:TieredStopAtLevel=1\0"), "options of a lab's JVMs: " + guest);
        lab.io(lab.uri("xvda"), "write -P 1 0 1M", "read -P 1 0 1M");
        assertEquals("stopped web\n", lab.command(0, "stop", "web"));
        assertEquals("started web\n", lab.command(0, "start", "web"));
        assertEquals("killed web\n", lab.command(0, "stop", "--force", "web"));
        assertTrue(lab.command(1, "network-limit", "nobody", "0").contains("no domain"));
    }

    /// Whoever waits for his turn then is told, and nobody waits for him.
    @Test
    void aLabStopsWhileGuestsAreBeingCreated() throws Exception {
        List<Process> creating = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            String config = config("g" + i, "");
            List<String> command = LabUnderTest.java("create", "--run-dir", lab.run() + "", config);
            creating.add(
                    new ProcessBuilder(command)
                            .redirectErrorStream(true)
                            .redirectOutput(dir.resolve("create" + i).toFile())
                            .start());
        }
        Awaitility.await()
                .atMost(LabUnderTest.PATIENCE)
                .until(() -> lab.command(0, "list").contains("g"));
        lab.command(0, "down"); // which ends within a minute, or says that it has not
        for (Process each : creating) {
            assertTrue(each.waitFor(30, TimeUnit.SECONDS), "somebody still waits");
        }
        assertFalse(Files.exists(lab.run().resolve("control")));
    }
}
