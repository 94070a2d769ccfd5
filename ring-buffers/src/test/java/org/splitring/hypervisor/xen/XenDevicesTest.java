package org.splitring.hypervisor.xen;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.splitring.hypervisor.DomId;
import org.splitring.hypervisor.DomainLimits;
import org.splitring.hypervisor.EventChannelException;
import org.splitring.hypervisor.ForeignPages;
import org.splitring.hypervisor.GrantBatch;
import org.splitring.hypervisor.GrantException;
import org.splitring.hypervisor.GrantStatus;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.LinuxException;

/// Where there is no Xen: plain files stand where its devices would be.
class XenDevicesTest {
    private static final DomId GUEST = new DomId(3);

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path dir;

    private XenDevices devices() {
        return new XenDevices(
                dir, dir.resolve("evtchn"), dir.resolve("gntdev"), dir.resolve("gntalloc"));
    }

    private void file(String name, String text) throws IOException {
        Files.writeString(dir.resolve(name), text);
    }

    private String problem() {
        String message =
                assertThrows(XenUnavailableException.class, () -> devices().check()).getMessage();
        assertEquals(1, String.valueOf(message).lines().count(), message);
        return String.valueOf(message);
    }

    @Test
    void withoutXenItSaysSo() throws Exception {
        assertTrue(problem().contains("there is no Xen here"), problem());
        file("type", "kvm\n");
        assertTrue(problem().endsWith("run this in dom0 or in a driver domain"), problem());
    }

    @Test
    void aDeviceThatIsNotThereNamesItsModule() throws Exception {
        file("type", "xen\n");
        assertTrue(problem().endsWith("evtchn is not there: modprobe xen-evtchn"), problem());
        file("evtchn", "");
        assertTrue(problem().endsWith("gntdev is not there: modprobe xen-gntdev"), problem());
        file("gntdev", "");
        devices().check();
    }

    @Test
    void noRightAndNoDriverNameTheRemedy() {
        Path device = dir.resolve("evtchn");
        LinuxException refused = new LinuxException("open", Errno.EACCES);
        assertTrue(XenDevices.problem(device, "xen-evtchn", refused).endsWith("run this as root"));
        LinuxException none = new LinuxException("open", Errno.ENODEV);
        assertTrue(XenDevices.problem(device, "m", none).endsWith("modprobe m"));
    }

    @Test
    void whatKindOfDomainThisIsComesFromTheSameFolder() throws Exception {
        assertFalse(devices().isPv());
        file("guest_type", "PV\n");
        assertTrue(devices().isPv());
        file("guest_type", "PVH\n");
        assertFalse(devices().isPv());
    }

    private XenDriverDomain domain() throws Exception {
        file("type", "xen\n");
        file("guest_type", "PV\n");
        file("evtchn", "");
        file("gntdev", "");
        return XenDriverDomain.open(DomId.ZERO, devices(), DomainLimits.DEFAULT);
    }

    /// A file refuses every ioctl: as a device does whose every grant Xen refuses.
    @Test
    void refusedGrantsHaveAStatusEachAndLeaveNothing() throws Exception {
        XenDriverDomain domain = domain();
        try (ForeignPages pages = domain.foreignPages(GUEST, 64)) {
            GrantBatch batch = new GrantBatch(64);
            for (int round = 0; round < 100; round++) {
                batch.clear();
                for (int i = 0; i < 64; i++) {
                    batch.add(i, i % 3 != 0);
                }
                assertFalse(pages.map(batch));
                for (int i = 0; i < 64; i++) {
                    assertEquals(GrantStatus.GENERAL_ERROR, batch.status(i));
                    assertEquals(-1, batch.handle(i));
                }
                pages.unmap(batch);
            }
            assertEquals(0, pages.mappedCount());
            assertEquals(0, domain.mappedCount());
            assertThrows(GrantException.class, () -> pages.mapContiguous(new int[] {8, 9}));
            assertEquals(0, domain.mappedCount());
        }
    }

    @Test
    void copiesOutOfBoundsAreRefusedBeforeXenIsAsked() throws Exception {
        try (ForeignPages pages = domain().foreignPages(GUEST, 4);
                var arena = java.lang.foreign.Arena.ofConfined()) {
            var memory = arena.allocate(8192);
            assertEquals(GrantStatus.BAD_COPY_ARG, pages.copyFrom(8, 4000, memory, 0, 97));
            assertEquals(GrantStatus.BAD_COPY_ARG, pages.copyTo(8, -1, memory, 0, 1));
            assertEquals(GrantStatus.GENERAL_ERROR, pages.copyFrom(8, 0, memory, 0, 4096));
            assertThrows(
                    IndexOutOfBoundsException.class, () -> pages.copyTo(8, 0, memory, 8000, 400));
        }
    }

    @Test
    void aHandleOfNobodyUnmapsNothing() throws Exception {
        try (ForeignPages pages = domain().foreignPages(GUEST, 4)) {
            GrantBatch batch = new GrantBatch(1);
            batch.add(8, true);
            batch.set(0, GrantStatus.OKAY, 5, java.lang.foreign.MemorySegment.NULL, 0);
            pages.unmap(batch);
            assertEquals(GrantStatus.BAD_HANDLE, batch.status(0));
        }
    }

    @Test
    void limitsAndClosedWindowsRefuse() throws Exception {
        XenDriverDomain domain = domain();
        int most = DomainLimits.DEFAULT.maxMappings();
        assertEquals(
                GrantStatus.NO_SPACE,
                assertThrows(GrantException.class, () -> domain.foreignPages(GUEST, most + 1))
                        .status());
        ForeignPages pages = domain.foreignPages(GUEST, most);
        pages.close();
        pages.close();
        GrantBatch batch = new GrantBatch(1);
        batch.add(8, true);
        assertFalse(pages.map(batch));
        assertThrows(GrantException.class, () -> pages.mapContiguous(new int[] {8}));
    }

    @Test
    void aPortThatCannotBeBoundLeavesNoDescriptor() throws Exception {
        XenDriverDomain domain = domain();
        long before = descriptors();
        for (int i = 0; i < 50; i++) {
            assertThrows(
                    EventChannelException.class,
                    () -> domain.eventChannels().bindInterdomain(GUEST, 7));
        }
        assertTrue(descriptors() < before + 25, "descriptors " + before + ", " + descriptors());
    }

    private static long descriptors() throws IOException {
        try (var open = Files.list(Path.of("/proc/self/fd"))) {
            return open.count();
        }
    }
}
