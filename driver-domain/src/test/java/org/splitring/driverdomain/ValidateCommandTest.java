package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ValidateCommandTest {
    @TempDir Path dir;

    private String validate(int code, String lab) throws IOException {
        Path file = Files.writeString(dir.resolve("lab.toml"), lab);
        StringWriter text = new StringWriter();
        PrintWriter out = new PrintWriter(text, true);
        int ended =
                Splitring.commandLine()
                        .setOut(out)
                        .setErr(out)
                        .execute("validate", file.toString());
        assertEquals(code, ended, text::toString);
        return text.toString();
    }

    @Test
    void thePlanIsShownAndNothingIsMade() throws Exception {
        Files.write(dir.resolve("there.img"), new byte[4096]);
        String plan =
                validate(
                        0,
                        """
                        [domains.web]
                        memory = 32
                        disk = ["new.img,raw,xvda,rw", "there.img,raw,xvdb,ro", "memory:1MiB,,xvdc"]
                        vif = ["bridge=lan, ip=10.1.0.2, mac=00:16:3e:00:00:01"]
                        export = "tcp:10810"

                        [domains.other]
                        guest = "external"

                        [images]
                        "new.img" = { size = "8MiB" }

                        [networks.lan]
                        subnet = "10.1.0.0/24"
                        ports = "tap, name=lan0"
                        """);
        assertEquals(
                """
                domain web  domid 1  32 MiB  a process of its own
                  xvda  rw  DIR/new.img  to be made, 8 MiB
                  xvdb  ro  DIR/there.img
                  xvdc  rw  memory  1 MiB
                  eth0  on lan  00:16:3e:00:00:01  10.1.0.2/24
                  disks at nbd://localhost:10810/
                domain other  domid 2  64 MiB  external: whoever attaches
                network lan  bridge  MTU 1500  10.1.0.0/24
                  port lan0  tap
                """,
                plan.replace(dir.toString(), "DIR"));
        assertFalse(Files.exists(dir.resolve("new.img")));
    }

    @Test
    void whatCannotBeIsNamedWithItsPlace() throws Exception {
        String lab = "[domains.web]\ndisk = [\"%s,raw,xvda,rw\"]\n";
        String missing = validate(1, lab.formatted("gone.img"));
        assertTrue(missing.contains("lab.toml:2: domains.web.disk: image "), missing);
        assertTrue(missing.contains("gone.img does not exist, and [images]"), missing);
        Files.createDirectory(dir.resolve("folder"));
        assertTrue(validate(1, lab.formatted("folder")).contains("is a folder"));
        String unknown = validate(1, "[domains.web]\nmemroy = 1\n");
        assertTrue(unknown.contains("lab.toml:2: domains.web.memroy: unknown key"), unknown);
        assertTrue(unknown.contains("memory"), unknown);
    }

    @Test
    void aNetworkThatContradictsItselfIsNamedWithItsPlace() throws Exception {
        String lab =
                """
                [domains.web]
                vif = "ip=10.1.0.2"

                [networks.lan]
                mode = "nat"
                subnet = "10.1.0.0/24"
                uplink = "tap, name=up0, address=10.2.0.2/24, via=10.%d.0.1"
                forward = ["tcp 80 to 10.1.0.2:80", "tcp %d to 10.%d.0.2:80"]
                """;
        validate(0, lab.formatted(2, 81, 1));
        String twice = validate(1, lab.formatted(2, 80, 1));
        assertTrue(twice.contains("lab.toml:4: networks.lan: port forward TCP 80"), twice);
        assertTrue(twice.contains("TCP port 80 is forwarded already"), twice);
        String strange = validate(1, lab.formatted(2, 81, 9));
        assertTrue(strange.contains("10.9.0.2 is in no subnet of the guests"), strange);
        String far = validate(1, lab.formatted(3, 81, 1));
        assertTrue(far.contains("gateway 10.3.0.1 is not in the uplink's subnet"), far);
    }
}
