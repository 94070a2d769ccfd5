package org.splitring.hypervisor.xen;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.splitring.hypervisor.linux.Errno;
import org.splitring.hypervisor.linux.EvtchnDevice;
import org.splitring.hypervisor.linux.GntAllocDevice;
import org.splitring.hypervisor.linux.GntDevice;
import org.splitring.hypervisor.linux.LinuxException;
import org.splitring.hypervisor.linux.OpenFlag;
import org.splitring.hypervisor.linux.VectoredFile;

/// Where Linux shows what Xen gives: `/sys/hypervisor`, and a device for each concern.
///
/// @param hypervisor folder with `type` and `guest_type`
/// @param evtchn event channels
/// @param gntdev grants of others
/// @param gntalloc grants of ours, which frontends in user space want
public record XenDevices(Path hypervisor, Path evtchn, Path gntdev, Path gntalloc) {
    /// The usual places.
    public static final XenDevices USUAL =
            new XenDevices(
                    Path.of("/sys/hypervisor"),
                    EvtchnDevice.PATH,
                    GntDevice.PATH,
                    GntAllocDevice.PATH);

    /// Finds out whether backends can run here.
    ///
    /// @throws XenUnavailableException that says what is missing, and what to do
    public void check() throws XenUnavailableException {
        checkXen();
        checkDevice(evtchn, "xen-evtchn");
        checkDevice(gntdev, "xen-gntdev");
    }

    /// Finds out whether frontends can run here.
    ///
    /// @throws XenUnavailableException that says what is missing, and what to do
    public void checkFrontends() throws XenUnavailableException {
        checkXen();
        checkDevice(evtchn, "xen-evtchn");
        checkDevice(gntalloc, "xen-gntalloc");
    }

    private void checkXen() throws XenUnavailableException {
        if (!line("type").equals("xen")) {
            throw new XenUnavailableException(
                    "there is no Xen here ("
                            + hypervisor.resolve("type")
                            + " does not say xen): run this in dom0 or in a driver domain");
        }
    }

    private static void checkDevice(Path device, String module) throws XenUnavailableException {
        try {
            VectoredFile.open(device, OpenFlag.READ_WRITE).close();
        } catch (LinuxException e) {
            throw new XenUnavailableException(problem(device, module, e));
        }
    }

    static String problem(Path device, String module, LinuxException e) {
        return switch (e.errno()) {
            case Errno.ENOENT -> device + " is not there: modprobe " + module;
            case Errno.ENODEV, Errno.ENXIO ->
                    device + " leads to no driver (" + e.getMessage() + "): modprobe " + module;
            case Errno.EACCES, Errno.EPERM ->
                    device + " may not be opened by this user: run this as root";
            default -> device + " cannot be opened: " + e.getMessage();
        };
    }

    /// Whether this domain's address space is paravirtualized (`PV`): pages of one mapping can be
    /// given back one by one there, and only all together elsewhere.
    boolean isPv() {
        return line("guest_type").equals("PV");
    }

    private String line(String name) {
        try {
            return Files.readString(hypervisor.resolve(name)).strip();
        } catch (IOException e) {
            return "";
        }
    }
}
