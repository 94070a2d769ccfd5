package org.splitring.driverdomain.lab;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import org.splitring.blkback.DiskEngine;
import tools.jackson.databind.JsonNode;

/// What a lab file says for all domains: the engine of disks, folders of backing files, TLS.
final class LabSettings {
    private static final List<String> ENGINES = List.of("io_uring", "threads");
    private static final List<String> TLS_KEYS = List.of("certificate", "key", "client_ca");

    private final LabFile lab;

    /// @param lab says where a key stands
    LabSettings(LabFile lab) {
        this.lab = lab;
    }

    /// What does transfers that wait.
    DiskEngine diskEngine(JsonNode node) throws LabException {
        String value = node.isMissingNode() ? ENGINES.getFirst() : LabFile.text(node);
        if (!ENGINES.contains(value)) {
            throw lab.bad(
                    List.of("disk_engine"),
                    "\"" + value + "\" is none of " + String.join(", ", ENGINES));
        }
        return DiskEngine.valueOf(value.toUpperCase(Locale.ROOT));
    }

    /// Where images may be that others are based on.
    ///
    /// @param overlaid where the targets of disks with overlays are
    List<Path> backingFolders(JsonNode node, Set<Path> overlaid) throws LabException {
        List<String> path = List.of("backing_folders");
        if (node.isMissingNode()) {
            return List.copyOf(overlaid);
        }
        if (!node.isArray()) {
            throw lab.bad(path, "must be a list of folders, such as [\"../templates\"]");
        }
        Set<Path> folders = new LinkedHashSet<>(overlaid);
        for (JsonNode element : node.values()) {
            if (!element.isString()) {
                throw lab.bad(path, "\"" + LabFile.text(element) + "\" is not a string");
            }
            Path folder = lab.resolve(element.stringValue(), path);
            if (!Files.isDirectory(folder)) {
                throw lab.bad(path, folder + " is not a folder");
            }
            folders.add(folder);
        }
        return List.copyOf(folders);
    }

    /// What the ports of exports are encrypted with.
    Optional<LabTls> tls(JsonNode table) throws LabException {
        List<String> path = List.of("nbd_tls");
        if (table.isMissingNode()) {
            return Optional.empty();
        }
        lab.checkKeys(table, path, TLS_KEYS);
        Optional<Path> certificate = pem(table, path, "certificate");
        Optional<Path> key = pem(table, path, "key");
        if (certificate.isEmpty() || key.isEmpty()) {
            String missing = certificate.isEmpty() ? "certificate" : "key";
            throw lab.bad(path, missing + " is missing");
        }
        return Optional.of(new LabTls(certificate.get(), key.get(), pem(table, path, "client_ca")));
    }

    private Optional<Path> pem(JsonNode table, List<String> path, String key) throws LabException {
        JsonNode node = table.path(key);
        if (node.isMissingNode()) {
            return Optional.empty();
        }
        List<String> here = LabFile.under(path, key);
        if (!node.isString()) {
            throw lab.bad(here, "\"" + LabFile.text(node) + "\" is not a path");
        }
        Path file = lab.resolve(node.stringValue(), here);
        if (!Files.isRegularFile(file)) {
            throw lab.bad(here, file + " is not a file");
        }
        return Optional.of(file);
    }
}
