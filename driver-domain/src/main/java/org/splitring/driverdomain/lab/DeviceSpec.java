package org.splitring.driverdomain.lab;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Pattern;

/// A device in xl's way of writing: `CLASS, key=value, key=value`.
///
/// A value that begins with `./` or `../` is a path: it is made absolute. Which keys there are is
/// known to the drivers of the class, not here.
public record DeviceSpec(String deviceClass, Map<String, String> parameters) {
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9_-]{1,64}");

    /// With room for the path of the node in the store's messages.
    private static final int MAX_VALUE_CHARS = 1024;

    /// Parses a specification.
    ///
    /// @param folder what relative paths are relative to
    /// @throws LabException with a message that says what is wrong, without the place
    public static DeviceSpec parse(String text, Path folder) throws LabException {
        String[] items = text.split(",", -1);
        String deviceClass = items[0].strip();
        if (!NAME.matcher(deviceClass).matches()) {
            throw new LabException(
                    "\""
                            + LabFile.printable(deviceClass)
                            + "\" is no class of devices; a device is written \"CLASS, key=value\"");
        }
        Map<String, String> parameters = new LinkedHashMap<>();
        for (int i = 1; i < items.length; i++) {
            int equals = items[i].indexOf('=');
            String key = equals < 0 ? items[i].strip() : items[i].substring(0, equals).strip();
            if (equals < 0 || !NAME.matcher(key).matches()) {
                throw new LabException(
                        "\"" + LabFile.printable(items[i].strip()) + "\" is not key=value");
            }
            String value = items[i].substring(equals + 1).strip();
            if (value.length() > MAX_VALUE_CHARS || value.chars().anyMatch(c -> c < ' ')) {
                throw new LabException(
                        "value of \"" + key + "\" is no line of up to 1024 characters");
            }
            if (parameters.putIfAbsent(key, absolute(value, folder)) != null) {
                throw new LabException("\"" + key + "\" is given twice");
            }
        }
        return new DeviceSpec(deviceClass, parameters);
    }

    private static String absolute(String value, Path folder) throws LabException {
        if (!value.startsWith("./") && !value.startsWith("../")) {
            return value;
        }
        try {
            return folder.toAbsolutePath().resolve(value).normalize().toString();
        } catch (InvalidPathException e) {
            throw new LabException("\"" + LabFile.printable(value) + "\" is not a path", e);
        }
    }
}
