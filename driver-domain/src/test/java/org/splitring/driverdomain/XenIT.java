package org.splitring.driverdomain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Linux's own frontends under the real Xen, on our backends: `./mvnw verify -Pxen`.
///
/// One boot serves all of it, so the tests build on each other in the order of their numbers: the
/// backend of the third lives until the last.
@Tag("xen")
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
@Timeout(value = 20, unit = TimeUnit.MINUTES)
class XenIT {
    private static final String SCRIPT = "script=hotplug-splitring";
    private static final String VBD = "/local/domain/0/backend/vbd/";

    @TempDir static Path dir;
    private static XenTestbed xen;

    @BeforeAll
    static void boot() throws IOException, InterruptedException {
        xen = XenTestbed.boot(dir);
        xen.dom0("install /opt/program/hotplug-splitring /etc/xen/scripts/");
        xen.dom0("truncate -s 64M /root/a.img /root/b.img /root/c.img");
    }

    @AfterAll
    static void stop() throws IOException, InterruptedException {
        if (xen != null) {
            xen.stop();
        }
    }

    private static String domid(String name) {
        return xen.dom0("xl domid " + name);
    }

    private static void isOneLine(XenTestbed.Answer answer, String... words) {
        assertEquals(1, answer.code(), answer.text());
        assertEquals(1, answer.text().strip().lines().count(), answer.text());
        for (String word : words) {
            assertTrue(answer.text().contains(word), answer.text());
        }
    }

    @Test
    @Order(1)
    void whatIsMissingIsOneLineWithTheRemedy() {
        XenTestbed.Answer noDevice =
                xen.backendHere(
                        "mv /dev/xen/gntdev /dev/xen/away;",
                        "; code=$?;" + " mv /dev/xen/away /dev/xen/gntdev; exit $code");
        isOneLine(noDevice, "/dev/xen/gntdev", "modprobe xen-gntdev");
        XenTestbed.Answer noStore = xen.backendHere("", "--store=/run/nowhere");
        isOneLine(noStore, "/run/nowhere", "xenstored");
    }

    @Test
    @Order(2)
    void anotherUserIsToldToBeRoot() {
        isOneLine(
                xen.backendHere("setpriv --reuid=65534 --regid=65534 --clear-groups", ""),
                "/dev/xen/evtchn",
                "root");
    }

    @Test
    @Order(3)
    void aGuestStartsWithDisksAndAnInterfaceOfXlsFile() {
        xen.startBackend("--uplink=xenbr0");
        xen.dom0(
                "guest create web vcpus=2 ip=192.168.77.2/24"
                        + " extra='xen_blkfront.max_ring_page_order=2 xen_blkfront.max_queues=2'"
                        + " disk=format=raw,vdev=xvda,access=rw,"
                        + SCRIPT
                        + ",target=/root/a.img disk=format=raw,vdev=xvdb,access=ro,"
                        + SCRIPT
                        + ",target=/root/b.img vif=bridge=xenbr0,mac=00:16:3e:01:02:03,"
                        + SCRIPT);
        String front = "/local/domain/" + domid("web") + "/device/vbd/51712/";
        assertEquals("2", xen.dom0("xenstore-read " + front + "multi-queue-num-queues"));
        assertEquals("2", xen.dom0("xenstore-read " + front + "ring-page-order"));
        assertEquals("1", xen.dom0("xenstore-read " + front + "feature-persistent"));
        assertEquals(
                "4", xen.dom0("xenstore-list " + front + "queue-1 | grep -c '^ring-ref[0-3]$'"));
        String said = xen.guest("web", "dmesg | grep blkfront:");
        assertTrue(
                said.contains(
                        "xvda: flush diskcache: enabled; persistent grants: enabled;"
                                + " indirect descriptors: enabled"),
                said);
    }

    @Test
    @Order(4)
    void aFileSystemIsMadeWrittenMountedAgainAndVerified() {
        String sum =
                xen.guest(
                        "web",
                        "test -b /dev/xvda && /usr/sbin/mke2fs -q -t ext4 /dev/xvda && mount /dev/xvda /mnt &&"
                                + " dd if=/dev/urandom of=/mnt/file bs=1M count=12 2>/dev/null &&"
                                + " sha256sum </mnt/file && umount /mnt");
        assertEquals(
                sum,
                xen.guest(
                        "web",
                        "echo 3 >/proc/sys/vm/drop_caches; mount /dev/xvda /mnt &&"
                                + " sha256sum </mnt/file && umount /mnt"));
        // Not only the guest sees it: it is in the image.
        assertEquals(
                sum,
                xen.dom0(
                        "mkdir -p /root/look && mount -o ro,loop,noload /root/a.img /root/look &&"
                                + " sha256sum </root/look/file; umount /root/look"));
    }

    @Test
    @Order(5)
    void aReadOnlyDiskRefusesWrites() {
        assertEquals("1", xen.guest("web", "cat /sys/block/xvdb/ro"));
        String refused =
                xen.run("guest run web 'dd if=/dev/zero of=/dev/xvdb bs=4k count=1'").text();
        assertTrue(refused.contains("Operation not permitted"), refused);
        assertEquals("0", xen.dom0("tr -d '\\0' </root/b.img | wc -c"));
    }

    @Test
    @Order(6)
    void discardGivesStorageBack() {
        xen.guest("web", "dd if=/dev/urandom of=/dev/xvda bs=1M count=32 2>/dev/null; sync");
        int before = Integer.parseInt(xen.dom0("du -k /root/a.img | cut -f1"));
        xen.guest("web", "blkdiscard -o 0 -l $((16*1024*1024)) /dev/xvda");
        int after = Integer.parseInt(xen.dom0("du -k /root/a.img | cut -f1"));
        assertTrue(before - after >= 16 * 1024, before + " KiB before, after " + after);
        assertEquals(
                "0",
                xen.guest(
                        "web",
                        "dd if=/dev/xvda bs=1M count=16 2>/dev/null |"
                                + " tr -d \"\\\\0\" | wc -c"));
    }

    @Test
    @Order(7)
    void aDiskGrowsWhileTheGuestUsesIt() {
        assertEquals("131072", xen.guest("web", "cat /sys/block/xvda/size"));
        String node = VBD + domid("web") + "/51712/resize";
        xen.dom0("xenstore-write " + node + " " + (96 << 20));
        xen.await("xenstore-read " + node + "-status | grep -q done");
        assertEquals("196608", xen.guest("web", "sleep 1; cat /sys/block/xvda/size"));
    }

    @Test
    @Order(8)
    void diskAndInterfaceComeAndGo() {
        xen.dom0(
                "xl block-attach web format=raw,vdev=xvdc,access=rw,"
                        + SCRIPT
                        + ",target=/root/c.img");
        xen.guest("web", "dd if=/dev/xvda of=/dev/xvdc bs=1M count=4 skip=20 2>/dev/null; sync");
        assertEquals(
                xen.guest("web", "dd if=/dev/xvda bs=1M count=4 skip=20 2>/dev/null | sha256sum"),
                xen.dom0("head -c 4M /root/c.img | sha256sum"));
        xen.dom0("xl block-detach web xvdc");
        xen.dom0("xl network-attach web bridge=other mac=00:16:3e:01:02:04 " + SCRIPT);
        xen.guest("web", "test -d /sys/class/net/eth1");
        xen.dom0("xl network-detach web 1");
        String left = xen.dom0("xenstore-ls -f /local/domain/0/backend");
        assertFalse(left.contains("51744") || left.contains("/vif/" + domid("web") + "/1"), left);
    }

    @Test
    @Order(9)
    void aDiskThatCannotBeIsRefusedWithTheReason() {
        XenTestbed.Answer refused =
                xen.run(
                        "xl block-attach web format=raw,vdev=xvdd,access=rw,"
                                + SCRIPT
                                + ",target=/root/none.img");
        assertNotEquals(0, refused.code());
        String error = "/local/domain/0/error/backend/vbd/" + domid("web") + "/51760/error";
        String reason = xen.run("xenstore-read " + error).text();
        assertTrue(reason.contains("/root/none.img"), reason + refused.text());
        xen.run("xl block-detach web xvdd");
    }

    @Test
    @Order(10)
    void framesPassBetweenGuestAndDom0ThroughSwitchAndUplink() {
        String front = "/local/domain/" + domid("web") + "/device/vif/0/";
        assertEquals("1", xen.dom0("xenstore-read " + front + "feature-sg"));
        assertEquals("1", xen.dom0("xenstore-read " + front + "feature-gso-tcpv4"));
        xen.dom0("xenstore-exists " + front + "queue-1/event-channel-rx");
        String features = xen.guest("web", "ethtool -k eth0");
        assertTrue(features.contains("tcp-segmentation-offload: on"), features);
        String pinged = xen.guest("web", "ping -c 4 -s 1400 192.168.77.1");
        assertTrue(pinged.contains(" 0% packet loss"), pinged);
        // Larger than the MTU: the guest leaves segmenting to us, and checksums blank.
        xen.dom0(
                "(timeout 60 tcpdump -ni xenbr0 -c 1 'tcp and greater 2000' >/root/large.log"
                        + " 2>&1; echo code $? >>/root/large.log) >/dev/null 2>&1 &");
        xen.dom0(
                "dd if=/dev/urandom of=/root/sent bs=1M count=2 2>/dev/null;"
                        + " (cd /root; timeout 100 busybox httpd -p 8000 -h /root)");
        String sum = xen.dom0("sha256sum </root/sent");
        assertEquals(
                sum, xen.guest("web", "wget -q -O - http://192.168.77.1:8000/sent | sha256sum"));
        String up =
                xen.guest(
                        "web",
                        "dd if=/dev/urandom of=/tmp/up bs=1M count=2 2>/dev/null;"
                                + " busybox httpd -p 8001 -h /tmp; sha256sum </tmp/up");
        assertEquals(
                up,
                xen.dom0(
                        "timeout 100 busybox wget -q -O - http://192.168.77.2:8001/up"
                                + " | sha256sum"));
        xen.await("grep -q 'code 0' /root/large.log");
    }

    @Test
    @Order(11)
    void tcpAndUdpRunThroughSwitchAndUplink() throws IOException {
        xen.dom0("(timeout 300 iperf3 -s >/root/iperf3.log 2>&1 &)");
        for (String options : List.of("", "-R", "-u -b 2M")) {
            JsonNode end = iperf3("192.168.77.1 -t 3 " + options);
            assertTrue(end.path("sum_received").path("bytes").asLong() > 100_000, options + end);
            assertEquals(0, end.path("sum").path("lost_packets").asInt(), options + end);
        }
    }

    private static JsonNode iperf3(String arguments) {
        String said = xen.guest("web", "iperf3 -J -c " + arguments);
        return JsonMapper.shared().readTree(said).path("end");
    }

    @Test
    @Order(12)
    void anInterfaceIsNoFasterThanItsRate() {
        xen.dom0("ip addr add 192.168.78.1/24 dev xenbr0");
        xen.dom0("xl network-attach web bridge=xenbr0 rate=4Mb/s mac=00:16:3e:01:02:05 " + SCRIPT);
        xen.guest("web", "ip addr add 192.168.78.2/24 dev eth1; ip link set eth1 up; sleep 2");
        JsonNode sent = iperf3("192.168.78.1 -t 6").path("sum_received");
        double rate = sent.path("bits_per_second").asDouble();
        assertTrue(rate > 1e6 && rate < 4.6e6, sent::toString);
        xen.dom0("xl network-detach web 1");
    }

    @Test
    @Order(13)
    void aDiskIsNoFasterThanItsRate() {
        String node = VBD + domid("web") + "/51712/";
        String copy =
                "dd if=/dev/zero of=/dev/xvda bs=64k count=48 oflag=direct 2>/dev/null; date +%s";
        xen.dom0("xenstore-write " + node + "rate 1048576,0,100");
        long took = seconds(xen.guest("web", "date +%s; " + copy));
        assertTrue(took >= 2, "3 MiB at 1 MiB a second took " + took + " s");
        xen.dom0("xenstore-write " + node + "rate 0,0");
    }

    /// Between two lines of `date +%s`.
    private static long seconds(String said) {
        String[] times = said.strip().split("\\s+", -1);
        return Long.parseLong(times[1]) - Long.parseLong(times[0]);
    }

    @Test
    @Order(14)
    void fioVerifiesWhatItHasWritten() {
        xen.dom0(
                "xl block-attach web format=raw,vdev=xvdd,access=ro,"
                        + SCRIPT
                        + ",target=/dev/vdc");
        xen.guest(
                "web",
                "mkdir -p /tools; mount -o ro /dev/xvdd /tools && mount -o bind /dev /tools/dev &&"
                        + " mount -t tmpfs tmpfs /tools/tmp");
        String said =
                xen.guest(
                        "web",
                        "chroot /tools /usr/bin/fio --name=check --filename=/dev/xvda --direct=1"
                                + " --ioengine=libaio --iodepth=8 --rw=randwrite --bsrange=4k-512k"
                                + " --size=24M --verify=crc32c --verify_fatal=1 --do_verify=1"
                                + " --thread --aux-path=/tmp --fsync=16");
        assertTrue(said.contains("err= 0"), said);
        assertTrue(said.matches("(?s).*READ: .*WRITE: .*"), said);
        xen.guest("web", "umount /tools/dev /tools/tmp /tools");
        xen.dom0("xl block-detach web xvdd");
    }

    @Test
    @Order(15)
    void aGuestGoesOnWhenItsBackendIsKilledAgainAndAgain() {
        // A disk that is written and read back, and a connection that never pauses for long.
        xen.guest(
                "web",
                "dd if=/dev/urandom of=/tmp/a bs=1M count=4 2>/dev/null; sha256sum </tmp/a"
                        + " >/tmp/a.sum; (n=0; while [ ! -e /tmp/stop ]; do at=$((n % 4 * 4));"
                        + " dd if=/tmp/a of=/dev/xvda bs=64k seek=$((at * 16)) oflag=direct"
                        + " conv=fsync 2>/dev/null || echo write $n failed >>/tmp/bad;"
                        + " dd if=/dev/xvda bs=64k skip=$((at * 16)) count=64 iflag=direct"
                        + " 2>/dev/null | sha256sum | cmp -s - /tmp/a.sum"
                        + " || echo read $n differs >>/tmp/bad;"
                        + " n=$((n + 1)); echo $n >/tmp/rounds; done; touch /tmp/ended)"
                        + " >/dev/null 2>&1 &");
        xen.dom0(
                "rm -f /root/stop; (while [ ! -e /root/stop ]; do dd if=/dev/urandom bs=16k count=2"
                        + " 2>/dev/null; sleep 0.2; done | tee /root/sent |"
                        + " busybox nc -l -p 8002) >/dev/null 2>&1 &");
        // Busybox's nc ends the connection where its own input ends.
        xen.guest(
                "web",
                "mkfifo /tmp/open; sleep 3000 >/tmp/open 2>/dev/null & (busybox nc 192.168.77.1 8002"
                        + " </tmp/open | sha256sum >/tmp/got; touch /tmp/closed)"
                        + " >/dev/null 2>&1 &");
        xen.await("test $(stat -c %s /root/sent) -gt 100000");
        String store = "xenstore-ls -f /local/domain/0/backend | grep -E '/(state|note|online) '";
        String before = xen.dom0(store);
        for (int death = 0; death < 4; death++) {
            String rounds = "/tmp/rounds";
            int done = Integer.parseInt(xen.guest("web", "cat " + rounds + " || echo 0"));
            xen.dom0("kill -9 $(pidof java)");
            xen.await("grep -q ended /root/backend.log");
            // Once as in a driver domain.
            xen.startBackend("--uplink=xenbr0" + (death == 1 ? " --store=/dev/xen/xenbus" : ""));
            xen.guest(
                    "web",
                    "for i in $(seq 300); do [ $(cat /tmp/rounds || echo 0) -gt "
                            + (done + 1)
                            + " ] && exit 0; sleep 0.3; done; cat /tmp/rounds; exit 1");
            String log = xen.backendLog();
            assertFalse(log.contains("WARN") || log.contains("ERROR"), log);
        }
        assertEquals(before, xen.dom0(store));
        xen.guest(
                "web",
                "touch /tmp/stop; for i in $(seq 300); do [ -e /tmp/ended ] && exit 0; sleep 0.3;"
                        + " done; exit 1");
        assertEquals("", xen.guest("web", "cat /tmp/bad 2>/dev/null || :"));
        String written = xen.guest("web", "cat /tmp/a.sum");
        for (int at = 0; at < 16; at += 4) {
            assertEquals(
                    written,
                    xen.dom0(
                            "dd if=/root/a.img bs=1M count=4 skip="
                                    + at
                                    + " 2>/dev/null | sha256sum"));
        }
        xen.dom0("touch /root/stop");
        // What was lost is sent again after as long as it has been lost for, and two minutes at
        // most.
        String closed =
                "for i in $(seq 100); do [ -e /tmp/closed ] && break; sleep 0.3; done; ls /tmp";
        for (int i = 0; i < 6 && !xen.guest("web", closed).contains("closed"); i++) {
            System.out.println("waiting for a connection that backs off");
        }
        assertEquals(xen.dom0("sha256sum </root/sent"), xen.guest("web", "cat /tmp/got"));
        String pinged = xen.guest("web", "ping -c 4 192.168.77.1");
        assertTrue(pinged.contains(" 0% packet loss"), pinged);
    }

    @Test
    @Order(16)
    void withoutItsNotesABackendEndsWhatItFindsAndLosesNothingThatWasFlushed() {
        String flushed =
                xen.guest(
                        "web",
                        "dd if=/dev/urandom of=/tmp/a bs=1M count=8 2>/dev/null;"
                                + " dd if=/tmp/a of=/dev/xvda bs=1M seek=40 conv=fsync 2>/dev/null;"
                                + " sha256sum </tmp/a");
        xen.guest(
                "web",
                "(while dd if=/tmp/a of=/dev/xvda bs=64k seek=0 oflag=direct 2>/dev/null; do :;"
                        + " done) >/dev/null 2>&1 &");
        xen.dom0("sleep 3; kill -9 $(pidof java)");
        xen.await("grep -q ended /root/backend.log");
        xen.dom0("rm /run/splitring/*");
        xen.startBackend("--uplink=xenbr0 --store=/dev/xen/xenbus");
        // Linux's blkfront does not connect again: the disk ends, and what was under way with it.
        xen.guest(
                "web",
                "for i in $(seq 200); do grep -q xvda /proc/partitions || exit 0; sleep 0.3;"
                        + " done; exit 1");
        assertEquals(
                flushed,
                xen.dom0("dd if=/root/a.img bs=1M skip=40 count=8 2>/dev/null | sha256sum"));
        String log = xen.backendLog();
        assertTrue(log.contains("cannot go on with the connection that it found"), log);
        xen.dom0("xl destroy web");
    }

    @Test
    @Order(17)
    void aDestroyedGuestLeavesNothing() {
        String pid = xen.dom0("pidof java");
        xen.dom0(
                "guest create web disk=format=raw,vdev=xvda,access=rw,"
                        + SCRIPT
                        + ",target=/root/a.img");
        xen.guest(
                "web",
                "(while dd if=/dev/xvda of=/dev/null bs=64k iflag=direct 2>/dev/null; do"
                        + " :; done) >/dev/null 2>&1 &");
        xen.await("grep -q gntdev /proc/" + pid + "/maps");
        xen.dom0("xl destroy web");
        xen.await("! grep -q gntdev /proc/" + pid + "/maps");
        xen.await("! ls -l /proc/" + pid + "/fd | grep -E -q 'xen/(evtchn|gntdev)'");
        assertEquals("", xen.dom0("xl list | grep -E 'null|web' || :"));
        assertEquals(
                "",
                xen.dom0(
                        "xenstore-ls -f /local/domain/0 | grep -E 'backend/(vbd|vif)/[0-9]' || :"));
    }

    @Test
    @Order(18)
    void aGuestThatCrashesOrNeverRunsLeavesNothing() {
        String pid = xen.dom0("pidof java");
        // In the state in which the backend waits for a frontend.
        String still = " vif=bridge=xenbr0," + SCRIPT + " disk=format=raw,vdev=xvda,access=rw,";
        xen.dom0("guest create still paused=1" + still + SCRIPT + ",target=/root/c.img");
        assertEquals("2", xen.dom0("xenstore-read " + VBD + domid("still") + "/51712/state"));
        xen.dom0("xl destroy still");
        xen.dom0(
                "guest create odd disk=format=raw,vdev=xvda,access=rw,"
                        + SCRIPT
                        + ",target=/root/c.img");
        xen.dom0("(guest run odd 'echo c >/proc/sysrq-trigger' >/dev/null 2>&1 & sleep 1)");
        xen.await("! xl list | grep -E -q 'odd|still|null'");
        xen.await("! grep -q gntdev /proc/" + pid + "/maps");
        xen.await("! ls -l /proc/" + pid + "/fd | grep -E -q 'xen/(evtchn|gntdev)'");
    }

    @Test
    @Order(19)
    void theLogOfABackendHasNoTraces() {
        xen.dom0("kill $(pidof java)");
        xen.await("grep -q ended /root/backend.log");
        String log = xen.backendLog();
        assertTrue(log.endsWith("ended 143") || log.endsWith("ended 0"), log);
        assertFalse(log.contains("\tat ") || log.contains("Exception"), log);
    }

    @Test
    @Order(20)
    void frontendsOfOursWorkOnLinuxsBackends() {
        xen.dom0("modprobe -a loop xen-blkback xen-netback; truncate -s 64M /root/f.img");
        String image = xen.dom0("losetup -f --show /root/f.img");
        xen.dom0("xl block-attach 0 format=raw,vdev=xvda,access=rw,target=" + image);
        xen.dom0("xl network-attach 0 bridge=xenbr0 mac=00:16:3e:01:02:06 script=vif-bridge");
        isOneLine(
                xen.run("/opt/program/splitring frontend vbd/51728"),
                "vbd/51728",
                "attach it with xl first");
        isOneLine(
                xen.run("/opt/program/splitring frontend vbd/51712"),
                "/sys/module/xen_gntalloc/parameters/limit");
        xen.dom0("echo 8192 >/sys/module/xen_gntalloc/parameters/limit");
        xen.dom0(
                "(setsid /opt/program/splitring frontend vbd/51712 vif/0 --sockets /run/front"
                        + " >/root/front.log 2>&1 </dev/null; echo ended $? >>/root/front.log)"
                        + " >/dev/null 2>&1 &");
        xen.await("grep -q -E 'connected|ended' /root/front.log");
        String disk = "'nbd+unix:///?socket=/run/front/xvda.nbd'";
        xen.dom0(
                "dd if=/dev/urandom of=/root/g.img bs=1M count=64 2>/dev/null;"
                        + " nbdcopy --flush /root/g.img "
                        + disk
                        + " && blockdev --flushbufs "
                        + image
                        + " && cmp /root/g.img /root/f.img && rm -f /root/h.img && nbdcopy "
                        + disk
                        + " /root/h.img && cmp /root/g.img /root/h.img");
        String inside = "ip netns exec splitring-Domain-0 ";
        xen.dom0(inside + "ip addr add 192.168.77.9/24 dev eth0");
        String pinged = xen.dom0(inside + "ping -c 4 -s 1400 192.168.77.1");
        assertTrue(pinged.contains(" 0% packet loss"), pinged);
        xen.dom0("(timeout 200 iperf3 -s >/dev/null 2>&1 &)");
        for (String options : List.of("", " -R")) {
            String said = xen.dom0(inside + "iperf3 -J -t 3 -c 192.168.77.1" + options);
            JsonNode end = JsonMapper.shared().readTree(said).path("end");
            assertTrue(end.path("sum_received").path("bytes").asLong() > 100_000, options + end);
        }
        xen.dom0("xl block-detach 0 xvda; xl network-detach 0 0");
        xen.await("grep -q ended /root/front.log");
        String log = xen.dom0("cat /root/front.log");
        assertTrue(log.endsWith("ended 0") && !log.contains("WARN"), log);
        assertEquals("", xen.dom0("ip netns list"));
        // A module goes only when nothing of a guest is mapped in it.
        xen.dom0("losetup -d " + image + "; rmmod xen-netback xen-blkback");
    }

    @Test
    @Order(21)
    void aDriverDomainServesOtherGuests() {
        // Its disks, from dom0, are what dom0 has: Java's libraries, Java, and the program.
        xen.dom0("modprobe xen-blkback");
        String disk = "format=raw,access=ro,vdev=";
        xen.dom0("guest create drv memory=640 vcpus=2 disk=" + disk + "xvda,target=/dev/vdc");
        xen.dom0("xl block-attach drv " + disk + "xvdb,target=/dev/vdb");
        xen.dom0("xl block-attach drv " + disk + "xvdc,target=/dev/vdd");
        xen.guest(
                "drv",
                "modprobe xen-evtchn && modprobe xen-gntdev && mkdir /tools &&"
                        + " mount -o ro /dev/xvda /tools && mount -o bind /dev /tools/dev &&"
                        + " mount -t tmpfs tmpfs /tools/tmp && mount -t tmpfs tmpfs /tools/run &&"
                        + " mount -t proc proc /tools/proc && mount -t sysfs sys /tools/sys &&"
                        + " mount -o ro /dev/xvdb /tools/opt/jdk &&"
                        + " mount -o ro /dev/xvdc /tools/opt/program &&"
                        + " truncate -s 64M /tools/tmp/d.img");
        xen.guest(
                "drv",
                "(chroot /tools /bin/sh -c 'PATH=/opt/jdk/bin:/bin exec /opt/program/splitring"
                        + " backend' >/tools/tmp/log 2>&1; echo ended $? >>/tools/tmp/log)"
                        + " >/dev/null 2>&1 &");
        String serves = "grep -q -E 'serving|ended' /tools/tmp/log && break; sleep 1; done;";
        for (int i = 0; i < 4; i++) {
            xen.guest("drv", "for i in $(seq 100); do " + serves + " true");
        }
        String self = domid("drv");
        String said = xen.guest("drv", "cat /tools/tmp/log");
        assertTrue(said.contains("serving as domain " + self), said);
        String vif = " vif=bridge=inner,backend=drv," + SCRIPT;
        // Ten seconds for a device are little for classes that are loaded the first time.
        for (int tries = 0; tries < 3; tries++) {
            if (xen.run("guest create one ip=192.168.79.1/24" + vif).code() == 0) {
                break;
            }
        }
        xen.dom0("guest create two ip=192.168.79.2/24" + vif);
        String pinged = xen.guest("two", "ping -c 4 -s 1400 192.168.79.1");
        assertTrue(pinged.contains(" 0% packet loss"), pinged);
        String attach =
                "xl block-attach one format=raw,vdev=xvdb,access=rw,backend=drv,"
                        + SCRIPT
                        + ",target=/tmp/d.img";
        for (int tries = 0; tries < 3 && xen.run(attach).code() != 0; tries++) {
            xen.run("xl block-detach one xvdb");
        }
        assertEquals(
                xen.guest(
                        "one",
                        "dd if=/dev/urandom of=/tmp/a bs=1M count=4 2>/dev/null;"
                                + " dd if=/tmp/a of=/dev/xvdb bs=64k conv=fsync 2>/dev/null;"
                                + " sha256sum </tmp/a"),
                xen.guest("drv", "dd if=/tools/tmp/d.img bs=1M count=4 2>/dev/null | sha256sum"));
        xen.dom0("xl destroy one; xl destroy two");
        assertEquals(
                "",
                xen.dom0(
                        "xenstore-ls -f /local/domain/"
                                + self
                                + "/backend 2>/dev/null | grep -E '(vbd|vif)/[0-9]+/[0-9]' || :"));
        String log = xen.guest("drv", "cat /tools/tmp/log");
        assertFalse(log.contains("ERROR") || log.contains("\tat "), log);
        xen.dom0("xl destroy drv");
        xen.await("! xl list | grep -E -q 'drv|one|two|null'");
    }

    @Test
    @Order(22)
    void aStoreThatGoesAwayIsOneLine() {
        xen.startBackend("");
        xen.dom0("kill -9 $(pidof oxenstored xenstored)");
        xen.await("grep -q ended /root/backend.log");
        String log = xen.backendLog();
        assertTrue(log.endsWith("ended 1"), log);
        assertTrue(log.contains("has gone away") && !log.contains("\tat "), log);
    }
}
