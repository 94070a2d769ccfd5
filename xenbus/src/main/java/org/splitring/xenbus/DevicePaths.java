package org.splitring.xenbus;

import java.util.Optional;
import org.splitring.hypervisor.DomId;
import org.splitring.xenbus.store.Store;
import org.splitring.xenbus.store.StoreException;

/// Where a device lives in the store.
///
///     /local/domain/F/device/TYPE/DEVICE           frontend()
///     /local/domain/B/backend/TYPE/F/DEVICE        backend(), with the backend's own type name
///     /local/domain/F/error/device/TYPE/DEVICE/error       frontendError()
///     /local/domain/B/error/backend/TYPE/F/DEVICE/error    backendError()
///
/// Source: Xen `docs/misc/xenstore-paths.pandoc`.
///
/// @param type device type: `vbd`, `vif`
/// @param backendType the type's name in the backend's folder, mostly the same; `qdisk` is one that
///     is not
/// @param device device number; for a vbd the virtual device number (51712 is xvda)
public record DevicePaths(
        String type, String backendType, DomId frontendDomain, DomId backendDomain, int device) {
    public DevicePaths {
        if (!isName(type) || !isName(backendType)) {
            throw new IllegalArgumentException("device type: " + type + ", " + backendType);
        }
        if (device < 0) {
            throw new IllegalArgumentException("device number: " + device);
        }
    }

    /// A device whose type has one name on both sides.
    public DevicePaths(String type, DomId frontendDomain, DomId backendDomain, int device) {
        this(type, type, frontendDomain, backendDomain, device);
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
        return domain(backendDomain)
                + "/backend/"
                + backendType
                + "/"
                + frontendDomain
                + "/"
                + device;
    }

    public String frontendError() {
        return domain(frontendDomain) + "/error/device/" + type + "/" + device + "/error";
    }

    public String backendError() {
        return domain(backendDomain)
                + "/error/backend/"
                + backendType
                + "/"
                + frontendDomain
                + "/"
                + device
                + "/error";
    }

    /// Finds a device from the frontend's side: its folder names the backend.
    ///
    /// @param store with the rights of the guest
    /// @return empty when the folder is not complete yet: `backend-id` may be written late
    /// @throws KeyException when `backend` and `backend-id` make no sense
    public static Optional<DevicePaths> find(Store store, String type, int device)
            throws StoreException, KeyException {
        DomId self = store.domain();
        Keys keys = new Keys(store, domain(self) + "/device/" + type + "/" + device);
        Optional<String> backend = keys.text("backend");
        if (backend.isEmpty() || keys.text("backend-id").isEmpty()) {
            return Optional.empty();
        }
        int backendId = (int) keys.number("backend-id", 0, DomId.FIRST_RESERVED - 1);
        String start = domain(new DomId(backendId)) + "/backend/";
        String end = "/" + self + "/" + device;
        String path = backend.get();
        int nameLength = path.length() - start.length() - end.length();
        if (nameLength > 0 && path.startsWith(start) && path.endsWith(end)) {
            String name = path.substring(start.length(), start.length() + nameLength);
            if (isName(name)) {
                return Optional.of(new DevicePaths(type, name, self, new DomId(backendId), device));
            }
        }
        throw keys.wrong("backend", path, "expected " + start + "TYPE" + end);
    }

    /// Whether a text can be the name of a class of devices.
    public static boolean isName(String text) {
        return text.matches("[A-Za-z0-9_-]{1,64}");
    }
}
