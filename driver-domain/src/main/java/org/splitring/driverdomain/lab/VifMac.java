package org.splitring.driverdomain.lab;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import org.splitring.bridge.MacAddress;

/// The MAC addresses that vifs of a lab have.
public final class VifMac {
    /// Xen's own range, 00:16:3e (OUI of XenSource).
    private static final long XEN = 0x00163EL << 24;

    private VifMac() {}

    /// Reads xl's `mac=`: an interface's own address.
    static MacAddress parse(String text) throws LabException {
        MacAddress mac;
        try {
            mac = MacAddress.parse(text);
        } catch (IllegalArgumentException e) {
            throw new LabException(
                    "mac \"" + LabFile.printable(text) + "\" is not like 00:16:3e:01:02:03", e);
        }
        if (mac.isGroup()) {
            throw new LabException("mac \"" + mac + "\" is a group's address, no interface's");
        }
        if (mac.value() == 0) {
            throw new LabException("mac \"" + mac + "\" is nobody's address");
        }
        return mac;
    }

    /// One of Xen's own range for a vif without `mac=`: the same each time for the same lab,
    /// domain and device.
    ///
    /// @param attempt counts up where one is taken
    public static MacAddress made(String lab, String domain, int device, int attempt) {
        try {
            byte[] hash =
                    MessageDigest.getInstance("SHA-256")
                            .digest(
                                    String.join("\0", lab, domain, device + "", attempt + "")
                                            .getBytes(StandardCharsets.UTF_8));
            return new MacAddress(
                    XEN | (hash[0] & 0x7FL) << 16 | (hash[1] & 0xFFL) << 8 | (hash[2] & 0xFFL));
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError("every JDK has SHA-256", e);
        }
    }
}
