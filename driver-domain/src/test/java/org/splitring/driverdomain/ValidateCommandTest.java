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
}
