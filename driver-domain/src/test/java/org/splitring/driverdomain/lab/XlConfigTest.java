package org.splitring.driverdomain.lab;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class XlConfigTest {
    private static final Path FILE = Path.of("guest.cfg");

    @TempDir Path dir;

    @Test
    void theSyntaxOfXlIsRead() throws Exception {
        GuestTable config =
                XlConfig.parse(
                        FILE,
                        """
                        # as Debian's xen-create-image writes it
                        name    = 'web'
                        kernel  = '/boot/vmlinuz'; vcpus = 0x2
                        memory  = "128"   # of MiB
                        memory  = 256
                        disk    = [
                                      'a.img,raw,xvda2,w',   # root
                                      "b\\"c.img,raw,xvda1,w",
                                  ]
                        vif     = [ ]
                        on_crash = "restart"
                        """);
        assertEquals("web", config.name());
        assertEquals(256, config.domain().path("memory").intValue());
        assertEquals("a.img,raw,xvda2,w", config.domain().at("/disk/0").stringValue());
        assertEquals("b\"c.img,raw,xvda1,w", config.domain().at("/disk/1").stringValue());
        assertEquals(2, config.domain().path("disk").size());
        assertTrue(config.domain().path("vif").isEmpty());
        assertEquals(List.of("kernel", "vcpus", "on_crash"), config.ignored());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '~',
            value = {
                "memory = 1 | guest.cfg: has no name",
                "name = 7 | guest.cfg: has no name",
                "name = 'a | guest.cfg:1: a string does not end",
                "name = 'a'\\nmemory 64 | guest.cfg:2: not KEY = VALUE",
                "name = 'a'\\n\\ndisk = ['b' | guest.cfg:3: the list of disk does not end",
                "name = 'a'\\ndisk = ['b' 'c'] | guest.cfg:2: no comma in the list of disk",
                "name = 'a' x | guest.cfg:1: something stands behind the value of name",
                "name = 'a'\\nmemory = lots | guest.cfg:2: the value of memory is no number",
                "name = 'a'\\nmemory = | guest.cfg:2: memory has no value",
            })
    void whatXlWouldNotReadIsNamedWithItsLine(String text, String said) {
        LabException refused =
                assertThrows(
                        LabException.class, () -> XlConfig.parse(FILE, text.replace("\\n", "\n")));
        assertTrue(refused.toString().contains(said), refused.toString());
    }

    @Test
    void aGuestIsCheckedBesideTheLabItComesInto() throws Exception {
        Path lab =
                Files.writeString(
                        dir.resolve("lab.toml"),
                        """
                        [domains.web]
                        vif = ["bridge=lan, ip=10.1.0.2"]
                        disk = ["memory:1MiB,,xvda"]
                        [networks.lan]
                        subnet = "10.1.0.0/24"
                        """);
        Files.write(dir.resolve("own.img"), new byte[512]);
        Path own =
                Files.writeString(
                        dir.resolve("own.cfg"),
                        "name='db'\nvif=['ip=10.1.0.3']\ndisk=['own.img,raw,xvda,w']\n");
        Lab with = LabFile.read(lab, List.of(XlConfig.read(own)), Set.of());
        assertEquals(List.of("web", "db"), with.domains().stream().map(LabDomain::name).toList());
        assertEquals("lan", with.domains().getLast().vifs().getFirst().network());
        assertEquals(
                dir.resolve("own.img").toString(),
                with.domains().getLast().disks().getFirst().source().name());

        refused(lab, own, "name='web'\n", "own.cfg: name: the lab has a domain web already");
        refused(lab, own, "name='db'\nvif=['ip=10.1.0.2']\n", "own.cfg:2: domains.db.vif");
        refused(lab, own, "name='db'\nvif=['bridge=lam']\n", "own.cfg:2: domains.db.vif");
        refused(lab, own, "name='db'\n\ndisk=['gone,raw,xvda,w']\n", "own.cfg:3: domains.db.disk");
        refused(
                lab,
                own,
                "name='db'\nmemory=4\n",
                "own.cfg:2: domains.db.memory: 4 is not between");
        refused(lab, own, "name='../db'\n", "cannot be the name of a domain");
    }

    private static void refused(Path lab, Path own, String text, String said) throws Exception {
        Files.writeString(own, text);
        LabException refused =
                assertThrows(
                        LabException.class,
                        () -> LabFile.read(lab, List.of(XlConfig.read(own)), Set.of()));
        assertTrue(refused.toString().contains(said), refused.toString());
    }
}
