package org.splitring.driverdomain.lab;

import java.nio.file.Path;
import java.util.OptionalLong;

/// One disk of a guest.
///
/// @param image raw image, absolute
/// @param createBytes size with which to make the image when it is missing
/// @param place `file:line: key` for messages
public record LabDisk(
        VirtualDevice device,
        Path image,
        boolean readOnly,
        OptionalLong createBytes,
        String place) {}
