package org.splitring.xenbus;

import org.splitring.hypervisor.DomId;

/// Where a device lives in the store.
///
///     /local/domain/F/device/TYPE/DEVICE           frontend()
///     /local/domain/B/backend/TYPE/F/DEVICE        backend()
///     /local/domain/F/error/device/TYPE/DEVICE/error       frontendError()
///     /local/domain/B/error/backend/TYPE/F/DEVICE/error    backendError()
///
/// Source: Xen `docs/misc/xenstore-paths.pandoc`.
///
/// @param type device type: `vbd`, `vif`
/// @param device device number; for a vbd the virtual device number (51712 is xvda)
public record DevicePaths(String type, DomId frontendDomain, DomId backendDomain, int device) {
    public DevicePaths {
        if (!type.matches("[A-Za-z0-9_-]{1,64}")) {
            throw new IllegalArgumentException("device type: " + type);
        }
        if (device < 0) {
            throw new IllegalArgumentException("device number: " + device);
        }
    }

    /// Paths of a virtual block device.
    public static DevicePaths vbd(DomId frontend, DomId backend, int virtualDevice) {
        return new DevicePaths("vbd", frontend, backend, virtualDevice);
    }

    /// The folder of a domain.
    public static String domain(DomId domain) {
        return "/local/domain/" + domain;
    }

    public String frontend() {
        return domain(frontendDomain) + "/device/" + type + "/" + device;
    }

    public String backend() {
        return domain(backendDomain) + "/backend/" + type + "/" + frontendDomain + "/" + device;
    }

    public String frontendError() {
        return domain(frontendDomain) + "/error/device/" + type + "/" + device + "/error";
    }

    public String backendError() {
        return domain(backendDomain)
                + "/error/backend/"
                + type
                + "/"
                + frontendDomain
                + "/"
                + device
                + "/error";
    }
}
