package org.splitring.driverdomain.lab;

import java.util.Map;

/// One device of a guest that a driver of its own class serves.
///
/// @param deviceClass such as `vrng`
/// @param parameters what was given for its drivers, by key
/// @param place `file:line: key` for messages
public record LabDevice(String deviceClass, Map<String, String> parameters, String place) {
    public LabDevice {
        parameters = Map.copyOf(parameters);
    }

    /// The same device, as if it stood there.
    public LabDevice at(String other) {
        return new LabDevice(deviceClass, parameters, other);
    }
}
