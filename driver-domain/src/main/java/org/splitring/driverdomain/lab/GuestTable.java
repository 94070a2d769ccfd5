package org.splitring.driverdomain.lab;

import java.nio.file.Path;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// A guest that a lab has besides those of its file, from a file of its own: one of xl's
/// ([XlConfig]), or one that `save` wrote ([SavedDomain]).
///
/// @param file where it is
/// @param name of the guest
/// @param domain its table, as a lab file has it
/// @param text of the file, for places in messages; empty when places say nothing
/// @param ignored keys that do not apply, in the order of the file
public record GuestTable(
        Path file, String name, JsonNode domain, String text, List<String> ignored) {
    public GuestTable {
        ignored = List.copyOf(ignored);
    }

    /// Reads a file of either kind.
    ///
    /// @throws LabException with what is wrong, and where
    public static GuestTable read(Path file) throws LabException {
        return SavedDomain.isOne(file) ? SavedDomain.read(file).table(file) : XlConfig.read(file);
    }
}
