package org.splitring.driverdomain.lab;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.splitring.blkback.DiskEngine;
import org.splitring.blkback.DiskMode;
import org.splitring.blkback.image.DiskSource;
import org.splitring.blkback.image.FileSource;
import org.splitring.blkback.image.ImageFormat;
import org.splitring.driverdomain.lab.LabDomain.GuestKind;

class LabFileTest {
    @TempDir Path dir;
    private Path file;

    @BeforeEach
    void image() throws IOException {
        file = dir.resolve("lab.toml");
        Files.write(dir.resolve("web.img"), new byte[4096]);
        Files.write(dir.resolve("data.img"), new byte[4096]);
        Files.createDirectory(dir.resolve("folder"));
    }

    private Lab read(String toml) throws IOException, LabException {
        Files.writeString(file, toml);
        return LabFile.read(file);
    }

    /// Expects one line that begins with the place and contains what is wrong.
    private void refused(String toml, int line, String... parts) throws IOException {
        long before = count();
        LabException e = assertThrows(LabException.class, () -> read(toml));
        String message = String.valueOf(e.getMessage());
        String place = line > 0 ? file + ":" + line + ": " : file + ": ";
        assertTrue(message.startsWith(place), message);
        for (String part : parts) {
            assertTrue(message.contains(part), () -> "\"" + part + "\" is not in: " + message);
        }
        assertEquals(1, message.lines().count(), message);
        Files.deleteIfExists(file);
        assertEquals(before, count(), "something was created");
    }

    private long count() throws IOException {
        try (Stream<Path> files = Files.list(dir)) {
            return files.filter(path -> !path.equals(file)).count();
        }
    }

    private static final String PORT = "[domains.web]\nexport = \"tcp:10809\"\n";

    @Test
    void tlsIsForEveryPortAndItsFilesAreLookedFor() throws Exception {
        Files.writeString(dir.resolve("cert.pem"), "");
        Files.writeString(dir.resolve("key.pem"), "");
        String both = "[nbd_tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n";
        Lab lab = read(PORT + "[domains.b]\n" + both);
        LabTls tls = lab.domains().get(0).tls().orElseThrow();
        assertEquals(dir.resolve("cert.pem"), tls.certificate());
        assertEquals(dir.resolve("key.pem"), tls.key());
        assertTrue(tls.clientCa().isEmpty());
        assertTrue(lab.domains().get(1).tls().isEmpty(), "it has no port");
        refused(PORT + both + "client_ca = \"folder\"\n", 6, "folder is not a file");
        refused(PORT + both + "ca = \"cert.pem\"\n", 6, "unknown key", "client_ca");
        refused(PORT + "[nbd_tls]\nkey = \"key.pem\"\n", 3, "nbd_tls: certificate is missing");
        refused(PORT + "[nbd_tls]\ncertificate = 7\n", 4, "\"7\" is not a path");
        refused("[domains.web]\n" + both, 2, "no domain has export = \"tcp:PORT\"");
    }

    private static String disk(String spec) {
        return "[domains.web]\ndisk = [\"" + spec + "\"]\n";
    }

    @Test
    void aCdromIsReadOnly() throws Exception {
        for (String spec :
                List.of("web.img,raw,xvdc,rw,cdrom", "vdev=xvdc,devtype=cdrom,target=web.img")) {
            LabDisk disk = read(disk(spec)).domains().get(0).disks().get(0);
            assertTrue(disk.cdrom(), spec);
            assertTrue(disk.readOnly(), spec);
        }
        assertFalse(read(disk("web.img,raw,xvda")).domains().get(0).disks().get(0).cdrom());
    }

    @Test
    void aDiskSaysWhenItsWritesAreSafe() throws Exception {
        for (DiskMode mode : DiskMode.values()) {
            String spec = "web.img,raw,xvda,rw,cache=" + mode.label();
            assertEquals(mode, read(disk(spec)).domains().get(0).disks().get(0).mode());
        }
        LabDisk plain = read(disk("web.img,raw,xvda")).domains().get(0).disks().get(0);
        assertEquals(DiskMode.WRITEBACK, plain.mode());
        LabException e =
                assertThrows(
                        LabException.class, () -> read(disk("web.img,raw,xvda,rw,cache=none")));
        String message = String.valueOf(e.getMessage());
        assertTrue(
                message.endsWith(
                        "cache \"none\" is none of writeback, writethrough, unsafe, direct"),
                message);
        assertTrue(message.contains(":2: "), message);
    }

    @Test
    void everyKeyIsRead() throws Exception {
        Lab lab =
                read(
                        """
                        [domains.web]
                        memory = 128
                        disk = [
                          "web.img,raw,xvda,rw",
                          "vdev=xvdb, access=ro, target=data.img",
                        ]
                        guest = "java"
                        export = "tcp:10809"

                        [domains.c]
                        guest = "external"
                        disk = ["format=raw, vdev=xvda, target=new.img"]

                        [images]
                        "new.img" = { size = "1 MiB" }
                        """);
        LabDomain web = lab.domains().get(0);
        assertEquals("web", web.name());
        assertEquals(128, web.memoryMib());
        assertEquals(GuestKind.JAVA, web.guest());
        assertEquals(OptionalInt.of(10809), web.tcpPort());
        assertEquals(new VirtualDevice("xvda", 51712), web.disks().get(0).device());
        assertEquals(DiskSource.raw(dir.resolve("web.img")), web.disks().get(0).source());
        assertFalse(web.disks().get(0).readOnly());
        assertTrue(web.disks().get(1).readOnly());
        LabDomain external = lab.domains().get(1);
        assertEquals(GuestKind.EXTERNAL, external.guest());
        assertEquals(64, external.memoryMib());
        assertEquals(OptionalLong.of(1 << 20), external.disks().get(0).createBytes());
        assertFalse(Files.exists(dir.resolve("new.img")), "reading a lab creates nothing");
    }

    @ParameterizedTest
    @CsvSource({
        "xvda,51712",
        "xvdb1,51729",
        "xvdp15,51967",
        "xvdq,268439552",
        "xvda16,268435472",
        "xvdaa,268442112",
        "d0p0,51712",
        "d0,51712",
        "d536p37,268572709",
        "sda,2048",
        "sdb3,2067",
        "hda,768",
        "hdb,832",
        "hdc,5632",
        "hdd2,5698"
    })
    void devicesHaveXensNumbers(String name, int number) {
        assertEquals(number, VirtualDevice.parse(name).orElseThrow().number());
    }

    @ParameterizedTest
    @CsvSource({
        "xvd", "xvda0", "xvda256", "sdq", "sda16", "hde", "hda64", "vda", "XVDA", "../xvda"
    })
    void otherNamesAreNoDevices(String name) {
        assertTrue(VirtualDevice.parse(name).isEmpty());
    }

    @ParameterizedTest
    @CsvSource({"1,1", "64M,67108864", "64MiB,67108864", "1 gib,1073741824", "2k,2048"})
    void sizesHaveUnits(String text, long bytes) {
        assertEquals(OptionalLong.of(bytes), Size.parse(text));
    }

    @Test
    void xlsFormsOfADiskAreAllRead() throws Exception {
        for (String spec :
                new String[] {
                    "web.img,raw,xvda,rw",
                    "web.img, raw, xvda, w",
                    "web.img,,xvda",
                    "file:web.img,,xvda",
                    "tap:aio:web.img,,xvda,w",
                    "file:web.img,xvda,w",
                    "tap:aio:web.img, xvda, w",
                    "raw:web.img,xvda",
                    "file:web.img,xvda:disk,w",
                    "file:web.img,vdev=xvda,access=w",
                    "vdev=xvda,target=web.img",
                    "vdev=xvda,web.img",
                    "format=raw,access=rw,devtype=disk,no-discard,web.img,vdev=xvda",
                    ",raw,xvda,rw,target=web.img"
                }) {
            LabDisk disk = read(disk(spec)).domains().get(0).disks().get(0);
            assertEquals(DiskSource.raw(dir.resolve("web.img")), disk.source(), spec);
            assertEquals("xvda", disk.device().name(), spec);
            assertEquals(!spec.contains("no-discard"), disk.discard(), spec);
            assertFalse(disk.readOnly(), spec);
        }
    }

    @Test
    void targetTakesTheRestCommasIncluded() throws Exception {
        Files.write(dir.resolve("a, b=c.img"), new byte[512]);
        LabDisk disk = read(disk("vdev=xvda,target=a, b=c.img")).domains().get(0).disks().get(0);
        assertEquals(DiskSource.raw(dir.resolve("a, b=c.img")), disk.source());
    }

    @Test
    void unknownKeysAreNamedWithTheNearestOne() throws IOException {
        refused("[domains.web]\nmemroy = 64\n", 2, "domains.web.memroy", "did you mean memory?");
        refused("[domain.web]\n", 1, "domain", "did you mean domains?");
        refused("[domains.web]\n\n[shelves]\n", 3, "shelves: unknown key; known are");
        refused(
                disk("web.img,raw,xvda") + "[images]\n\"web.img\" = { sise = 4 }\n",
                4,
                "images.web.img.sise",
                "did you mean size?");
        refused(disk("vdev=xvda,acess=rw,target=web.img"), 2, "\"acess\"", "did you mean access?");
    }

    @Test
    void wrongTypesAreNamed() throws IOException {
        refused("[domains.web]\nmemory = \"64\"\n", 2, "domains.web.memory", "64", "MiB");
        refused("[domains.web]\nmemory = 64.5\n", 2, "64.5");
        refused("[domains.web]\nmemory = 99999999999\n", 2, "99999999999");
        refused("[domains.web]\nmemory = 4\n", 2, "4 is not between 16 and 1024 MiB");
        refused("[domains.web]\ndisk = \"web.img\"\n", 2, "domains.web.disk", "list of strings");
        refused("[domains.web]\ndisk = [7]\n", 2, "7", "not a string");
        refused("[domains.web]\nguest = true\n", 2, "true", "java");
        refused("[domains.web]\nguest = \"jav\"\n", 2, "did you mean java?");
        refused("domains = 3\n", 1, "domains");
        refused("[domains]\nweb = 3\n", 2, "domains.web", "table");
        refused("", 0, "has no [domains.NAME]");
    }

    @Test
    void brokenTomlHasItsLine() throws IOException {
        refused("[domains.web]\nmemory = = 3\n", 2);
        refused("[domains.web]\nmemory = 64\nmemory = 65\n", 3);
    }

    @Test
    void exportIsUnixOrAPortOnce() throws IOException {
        refused("[domains.web]\nexport = \"udp:1\"\n", 2, "udp:1", "tcp:PORT");
        refused("[domains.web]\nexport = \"tcp:0\"\n", 2, "port 0");
        refused("[domains.web]\nexport = \"tcp:65536\"\n", 2, "port 65536");
        refused(
                "[domains.a]\nexport = \"tcp:9999\"\n[domains.b]\nexport = \"tcp:9999\"\n",
                4,
                "port 9999",
                "lab.toml:2: domains.a.export");
        refused("[domains.a]\nguest = \"external\"\nexport = \"tcp:9999\"\n", 3, "external");
    }

    @Test
    void imagesThatCannotBeUsedAreNamed() throws IOException {
        refused(disk("nosuch.img,raw,xvda"), 2, dir.resolve("nosuch.img") + " does not exist");
        refused(disk("folder,raw,xvda"), 2, dir.resolve("folder") + " is a folder");
        refused(
                disk("no/such.img,raw,xvda") + "[images]\n\"no/such.img\".size = \"1M\"\n",
                2,
                "no such folder");
        refused(disk("x.img,raw,xvda") + "[images]\n\"x.img\".size = 1000\n", 4, "1000 bytes");
        refused(disk("x.img,raw,xvda") + "[images]\n\"x.img\".size = \"big\"\n", 4, "\"big\"");
        refused(disk("web.img,raw,xvda") + "[images]\n\"wbe.img\".size = \"1M\"\n", 4, "no disk");
    }

    @Test
    void sameImageTwiceForWritingIsRefused() throws IOException {
        Files.createSymbolicLink(dir.resolve("link.img"), dir.resolve("web.img"));
        for (String other :
                new String[] {"web.img,raw,xvda", "web.img,raw,xvda,ro", "link.img,raw,xvda"}) {
            refused(
                    "[domains.a]\ndisk = [\"web.img,raw,xvda\"]\n[domains.b]\ndisk = [\""
                            + other
                            + "\"]\n",
                    4,
                    ".img",
                    "lab.toml:2: domains.a.disk",
                    "writes");
        }
    }

    @Test
    void readersMayShareAnImage() throws Exception {
        read("[domains.a]\ndisk = [\"web.img,raw,xvda,ro\", \"web.img,raw,xvdb,r\"]\n");
    }

    @Test
    void duplicateDevicesAreRefused() throws IOException {
        refused(
                "[domains.a]\ndisk = [\n  \"web.img,raw,xvda\",\n  \"data.img,raw,d0p0\",\n]\n",
                4,
                "vdev d0p0",
                "lab.toml:3",
                "xvda is the same device");
    }

    @Test
    void formatsAreNamedInEveryWayThatXlKnows() throws IOException, LabException {
        Files.write(dir.resolve("web.img"), new byte[512]);
        Map<String, ImageFormat> specs =
                Map.of(
                        "web.img,,xvda", ImageFormat.RAW,
                        "web.img,raw,xvda", ImageFormat.RAW,
                        "file:web.img,,xvda", ImageFormat.RAW,
                        "tap:aio:web.img,,xvda", ImageFormat.RAW,
                        "web.img,qcow2,xvda", ImageFormat.QCOW2,
                        "tap:vhd:web.img,,xvda", ImageFormat.VHD,
                        "web.img,extents,xvda", ImageFormat.EXTENTS,
                        "tap:qcow2:web.img,xvda,w", ImageFormat.QCOW2,
                        "tap2:tapdisk:qcow2:web.img,qcow2,xvda", ImageFormat.QCOW2,
                        "format=qcow2,vdev=xvda,target=web.img", ImageFormat.QCOW2);
        for (Map.Entry<String, ImageFormat> spec : specs.entrySet()) {
            LabDisk disk = parsed(spec.getKey());
            assertEquals(
                    new FileSource(spec.getValue(), dir.resolve("web.img")),
                    disk.source(),
                    spec.getKey());
        }
        assertEquals("/dev/vg/web", parsed("phy:vg/web,,xvda").source().toString());
        assertEquals("/dev/vg/web", parsed("phy:/dev/vg/web,hda1,r").source().toString());
        assertTrue(parsed("file:web.img,hdc:cdrom,r").cdrom());
        assertEquals("hdc", parsed("web.img,,hdc:cdrom").device().name());
        assertEquals("/dev/sda", parsed("phy:/dev/sda,,xvda").source().toString());
        assertEquals(
                "qcow2:" + dir.resolve("web.img"),
                parsed("web.img,qcow2,xvda").source().toString());
    }

    private LabDisk parsed(String text) throws LabException {
        return LabDisk.parse(text, dir, file, "web");
    }

    @Test
    void aDiskInMemoryHasANameOfItsOwnAndASize() throws IOException, LabException {
        Lab lab =
                read(
                        """
                        [domains.a]
                        disk = ["memory:64MiB,,xvda", "vdev=xvdb,target=memory:512"]
                        [domains.b]
                        disk = ["memory:1G,raw,xvda,rw"]
                        """);
        List<LabDisk> disks = new ArrayList<>(lab.domains().get(0).disks());
        disks.addAll(lab.domains().get(1).disks());
        assertEquals(
                List.of(64L << 20, 512L, 1L << 30),
                disks.stream().map(disk -> disk.createBytes().orElseThrow()).toList());
        assertEquals(3, disks.stream().map(LabDisk::source).distinct().count());
        assertTrue(disks.stream().map(LabDisk::source).allMatch(MemoryDisks::isOne));
        assertFalse(MemoryDisks.isOne(parsed("web.img,,xvda").source()));
        refused(disk("memory:64X,,xvda"), 2, "not of the form memory:SIZE");
        refused(disk("memory:0,,xvda"), 2, "whole number of sectors");
        refused(disk("memory:700,,xvda"), 2, "whole number of sectors");
        refused(disk("memory:64M,qcow2,xvda"), 2, "a disk in memory is raw");
        refused(disk("memory:64M,,xvda,ro"), 2, "cannot be read-only");
        refused(disk("memory:64M,,xvda,rw,overlay=a.qcow2"), 2, "needs none");
    }

    @Test
    void exportsOfServersAreNamedAsQemuDoesAndByUri() throws IOException, LabException {
        String unix = "nbd+unix:///a?socket=" + dir.resolve("s");
        Map<String, String> specs =
                Map.of(
                        "nbd:h:10809,,xvda", "nbd://h/",
                        "nbd:h:1:exportname=a,raw,xvda,ro", "nbd://h:1/a",
                        "nbd://h/a,,xvda", "nbd://h/a",
                        "nbd:unix:s:exportname=a,,xvda", unix,
                        "nbd+unix:///a?socket=s,,xvda", unix,
                        "vdev=xvda,format=raw,target=nbd+unix:///a?socket=s", unix,
                        "tap:nbd://h/a,,xvda", "nbd://h/a");
        for (Map.Entry<String, String> spec : specs.entrySet()) {
            LabDisk disk = read(disk(spec.getKey())).domains().get(0).disks().get(0);
            assertEquals(spec.getValue(), disk.source().toString(), spec.getKey());
            assertEquals(spec.getKey().endsWith("ro"), disk.readOnly(), spec.getKey());
        }
        refused(disk("nbd:h,,xvda"), 2, "target \"nbd:h\": not of the form nbd:HOST:PORT");
        refused(disk("nbds://h/x,,xvda"), 2, "TLS is not supported");
        refused(disk("nbd://h/x,qcow2,xvda"), 2, "format \"qcow2\": the export of an NBD server");
        refused(disk("qcow2:nbd://h/x,,xvda"), 2, "the export of an NBD server is raw");
        refused(
                "[domains.a]\ndisk = [\"nbd://h/x,,xvda\", \"nbd:h:10809:exportname=x,,xvdb,ro\"]\n",
                2,
                "image nbd://h/x is used by",
                "one of them writes");
    }

    @Test
    void backingFoldersHaveToBeThere() throws IOException, LabException {
        Files.createDirectories(dir.resolve("templates"));
        Files.write(dir.resolve("web.img"), new byte[512]);
        String domain = "[domains.web]\nmemory = 64\ndisk = [\"web.img,raw,xvda\"]\n";
        Files.writeString(file, "backing_folders = [\"templates\"]\n" + domain);
        assertEquals(List.of(dir.resolve("templates")), LabFile.read(file).backingFolders());
        refused("backing_folders = [\"none\"]\n" + domain, 1, "none is not a folder");
        refused("backing_folders = \"templates\"\n" + domain, 1, "must be a list of folders");
    }

    @Test
    void anOverlayTakesTheWritesOfATargetThatSeveralRead() throws IOException, LabException {
        Files.createDirectories(dir.resolve("t"));
        Files.write(dir.resolve("t/gold.img"), new byte[512]);
        Files.write(dir.resolve("web.img"), new byte[512]);
        Lab lab =
                read(
                        """
                        [domains.a]
                        disk = ["overlay=a.qcow2,vdev=xvda,target=t/gold.img"]
                        [domains.b]
                        disk = ["t/gold.img,,xvda,rw,overlay=b.qcow2", "t/gold.img,raw,xvdb,ro"]
                        """);
        LabDisk disk = lab.domains().get(0).disks().get(0);
        assertEquals("qcow2:" + dir.resolve("a.qcow2"), disk.source().toString());
        assertEquals(dir.resolve("t/gold.img").toString(), disk.base().orElseThrow().toString());
        assertEquals(List.of(dir.resolve("t")), lab.backingFolders());
        refused(disk("web.img,,xvda,ro,overlay=a.qcow2"), 2, "overlay a.qcow2", "needs none");
        refused(disk("nbd://h/x,,xvda,rw,overlay=a.qcow2"), 2, "has to be an image in a file");
        refused(disk("none.img,,xvda,rw,overlay=a.qcow2"), 2, "none.img", "is no file");
        refused(disk("web.img,,xvda,rw,overlay="), 2, "overlay is empty");
        refused(disk("web.img,,xvda,rw,overlay=none/a.qcow2"), 2, "no such folder");
        refused(
                "[domains.a]\ndisk = [\"web.img,,xvda\", \"web.img,,xvdb,rw,overlay=a.qcow2\"]\n",
                2,
                "web.img is used by",
                "one of them writes");
        refused(
                """
                [domains.a]
                disk = [
                  "t/gold.img,,xvda,rw,overlay=a.qcow2",
                  "t/gold.img,,xvdb,rw,overlay=a.qcow2",
                ]
                """,
                4,
                "a.qcow2 is used by");
    }

    @Test
    void theDiskEngineIsNamed() throws IOException, LabException {
        Files.write(dir.resolve("web.img"), new byte[512]);
        String domain = disk("web.img,,xvda");
        assertEquals(DiskEngine.IO_URING, read(domain).diskEngine());
        Lab lab = read("disk_engine = \"threads\"\n" + domain);
        assertEquals(DiskEngine.THREADS, lab.diskEngine());
        refused("disk_engine = \"aio\"\n" + domain, 1, "\"aio\" is none of io_uring, threads");
        refused("disk_engine = 3\n" + domain, 1, "\"3\" is none of");
    }

    @Test
    void whatIsNotThereYetIsRefusedByName() throws IOException {
        refused(disk("web.img,qed,xvda"), 2, "format \"qed\" is not supported; raw, qcow2");
        refused(disk("qcow:web.img,,xvda"), 2, "format \"qcow\" is not supported");
        refused(disk("web.img,qcow3,xvda"), 2, "did you mean qcow2?");
        refused(disk("qcow2:web.img,raw,xvda"), 2, "says qcow2, are not the same");
        refused(disk("tap:qcow2:aio:web.img,,xvda"), 2, "names two formats");
        refused(disk("web.img,rwa,xvda"), 2, "did you mean raw?");
        refused(disk("phy:none1,,xvda"), 2, "image /dev/none1 does not exist");
        refused(disk("enbd:host,,xvda"), 2, "backend \"enbd:\" is not supported yet");
        refused(disk("vdev=xvda,backendtype=qdisk,target=web.img"), 2, "backendtype=qdisk");
        refused(disk("vdev=xvda,script=block-x,target=web.img"), 2, "script=block-x");
        for (String shared : new String[] {"w!", "rw!", "!"}) {
            refused(
                    disk("web.img,raw,xvda," + shared),
                    2,
                    "access \"" + shared + "\"",
                    "two writers that do not know of each other damage an image; use w, or ro");
        }
        refused(disk("web.img,raw,xvda,x"), 2, "access \"x\" is none of rw, w, ro and r");
        refused(disk("web.img,raw,vda"), 2, "vdev \"vda\"");
        refused(disk("web.img,raw"), 2, "vdev is missing");
        refused(disk("vdev=xvda"), 2, "target is missing");
        refused(disk("web.img,xvda,w"), 2, "unknown format \"xvda\"");
        refused(disk("file:web.img,xvda:tape,w"), 2, "\"devtype=tape\" is not supported");
        refused(disk("web.img,raw,xvda,rw,more"), 2, "\"more\" is one item too many");
        refused(disk("web.img,raw,xvda,vdev=xvdb"), 2, "\"vdev\" is given twice");
    }

    @Test
    void namesThatWouldLeaveTheRunDirectoryAreRefused() throws IOException {
        for (String name : new String[] {"..", "a/b", "", "control", "-x", "a\\u0000b"}) {
            refused("[domains.\"" + name + "\"]\n", 1, "cannot be the name of a domain");
        }
    }

    @Test
    void filesThatAreNoLabsAreNamed() throws IOException {
        LabException missing =
                assertThrows(LabException.class, () -> LabFile.read(dir.resolve("none.toml")));
        assertEquals(dir.resolve("none.toml") + ": no such file", missing.getMessage());
        LabException folder =
                assertThrows(LabException.class, () -> LabFile.read(dir.resolve("folder")));
        assertEquals(dir.resolve("folder") + ": is a folder, not a lab file", folder.getMessage());
        Files.write(file, new byte[] {(byte) 0xFF, (byte) 0xFE, 0});
        LabException binary = assertThrows(LabException.class, () -> LabFile.read(file));
        assertEquals(file + ": is not text in UTF-8", binary.getMessage());
    }
}
