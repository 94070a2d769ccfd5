package org.splitring.bridge;

/// What is configured for one port. Immutable; [PortLink#configure] replaces it while traffic
/// flows.
///
/// @param name for people: unique in its network, for example `vif3.0`
public record PortSettings(String name) {
    public PortSettings {
        if (name.isEmpty() || name.length() > 64) {
            throw new IllegalArgumentException("port name '" + name + "' is empty or too long");
        }
    }

    /// A port with nothing special about it.
    public static PortSettings of(String name) {
        return new PortSettings(name);
    }
}
