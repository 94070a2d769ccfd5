package org.splitring.bridge;

/// What is configured for a learning switch as a whole.
///
/// @param maxAddresses most addresses it remembers, those of all ports and VLANs together
/// @param maxAddressesPerPort most addresses that one port can teach it
/// @param ageingSeconds how long an address is remembered that sends nothing
/// @param snooping whether IGMP and MLD decide which ports a group's frames go to
public record SwitchSettings(
        int maxAddresses, int maxAddressesPerPort, int ageingSeconds, boolean snooping) {
    /// 8192 addresses, 64 of each port, remembered for five minutes as IEEE 802.1D has it.
    public static final SwitchSettings DEFAULT = new SwitchSettings(8192, 64, 300, true);

    public SwitchSettings {
        if (maxAddresses < 1 || maxAddresses > 1 << 20) {
            throw new IllegalArgumentException(
                    "maxAddresses " + maxAddresses + " is not between 1 and " + (1 << 20));
        }
        if (maxAddressesPerPort < 1 || maxAddressesPerPort > maxAddresses) {
            throw new IllegalArgumentException(
                    "maxAddressesPerPort "
                            + maxAddressesPerPort
                            + " is not between 1 and maxAddresses, "
                            + maxAddresses);
        }
        if (ageingSeconds < 1) {
            throw new IllegalArgumentException("ageingSeconds " + ageingSeconds + " is below 1");
        }
    }
}
