package org.splitring.driverdomain.lab;

import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// A guest as `save` writes it and `restore` reads it, in JSON:
///
///     format    "splitring saved domain"
///     version   1
///     program   version of the program that wrote it
///     saved     when
///     sha256    of `domain` as JSON without spaces
///     domain    name, domid, its table as a lab file has it (memory, export, class, jar, args,
///               disk, vif, devices), and memory_disks: the SHA-256 of each disk in memory
///
/// It has what the guest's devices are, not what is on its disks, nor anything of a process.
/// What is on a disk in memory is in another file.
///
/// @param saved when, as ISO 8601 has it
/// @param table the lists of strings say what the devices were when it was saved
/// @param memoryDisks SHA-256 of what was on the disks in memory, by their names such as `xvda`
public record SavedDomain(
        String name,
        int domid,
        String program,
        String saved,
        JsonNode table,
        Map<String, String> memoryDisks) {
    private static final String FORMAT = "splitring saved domain";
    private static final int VERSION = 1;
    private static final int MAX_BYTES = 1 << 20;
    /// The largest domid of a guest (Xen `DOMID_FIRST_RESERVED` - 1).
    private static final int MAX_DOMID = 0x7FEF;

    private static final Set<String> KEYS =
            Set.of("format", "version", "program", "saved", "sha256", "domain");
    private static final Set<String> TABLE_KEYS =
            Set.of("memory", "export", "class", "jar", "args", "disk", "vif", "devices");

    private static final JsonMapper JSON =
            JsonMapper.builder()
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                    .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
                    .build();

    public SavedDomain {
        memoryDisks = Map.copyOf(memoryDisks);
    }

    /// Whether a file looks as if it were one: it begins as JSON.
    static boolean isOne(Path file) {
        try (InputStream in = Files.newInputStream(file)) {
            return in.read() == '{';
        } catch (IOException e) {
            return false; // whoever reads it says why
        }
    }

    /// Reads and checks a file.
    ///
    /// @throws LabException in one line, with what is wrong
    public static SavedDomain read(Path file) throws LabException {
        byte[] bytes;
        try {
            if (Files.isDirectory(file)) {
                throw new LabException(file + ": is a folder, no saved domain");
            }
            if (Files.size(file) > MAX_BYTES) {
                throw new LabException(file + ": is larger than 1 MiB, so it is no saved domain");
            }
            bytes = Files.readAllBytes(file);
        } catch (NoSuchFileException e) {
            throw new LabException(file + ": no such file", e);
        } catch (IOException e) {
            throw new LabException(file + ": cannot be read: " + e.getMessage(), e);
        }
        JsonNode root;
        try {
            root = JSON.readTree(bytes);
        } catch (JacksonException e) {
            throw new LabException(
                    file
                            + ": is no saved domain, or only a part of one: "
                            + LabFile.printable(
                                    e.getOriginalMessage().lines().findFirst().orElse("")),
                    e);
        }
        return of(file, root);
    }

    private static SavedDomain of(Path file, JsonNode root) throws LabException {
        if (!root.path("format").asString("").equals(FORMAT)) {
            throw new LabException(
                    file + ": is no saved domain: its format is not \"" + FORMAT + "\"");
        }
        JsonNode version = root.path("version");
        if (!version.isInt() || version.intValue() != VERSION) {
            throw new LabException(
                    file
                            + ": version "
                            + LabFile.text(version)
                            + " of the format is not known, only "
                            + VERSION);
        }
        checkKeys(file, "", root, KEYS);
        JsonNode domain = root.path("domain");
        if (!root.path("sha256").asString("").equals(digest(domain))) {
            throw new LabException(
                    file + ": is damaged, or was edited: its sha256 is not that of its domain");
        }
        checkKeys(file, "domain.", domain, Set.of("name", "domid", "table", "memory_disks"));
        checkKeys(file, "domain.table.", domain.path("table"), TABLE_KEYS);
        JsonNode domid = domain.path("domid");
        if (!domid.isInt() || domid.intValue() < 1 || domid.intValue() > MAX_DOMID) {
            throw new LabException(
                    file + ": domain.domid: " + LabFile.text(domid) + " is not in 1.." + MAX_DOMID);
        }
        Map<String, String> memoryDisks = new TreeMap<>();
        for (var disk : domain.path("memory_disks").properties()) {
            memoryDisks.put(disk.getKey(), disk.getValue().asString(""));
        }
        return new SavedDomain(
                domain.path("name").asString(""),
                domid.intValue(),
                root.path("program").asString(""),
                root.path("saved").asString(""),
                domain.path("table"),
                memoryDisks);
    }

    private static void checkKeys(Path file, String place, JsonNode node, Set<String> known)
            throws LabException {
        Set<String> unknown = new TreeSet<>(node.propertyNames());
        unknown.removeAll(known);
        if (!node.isObject() || !unknown.isEmpty()) {
            throw new LabException(
                    file
                            + ": "
                            + place
                            + (unknown.isEmpty()
                                    ? " is no table"
                                    : LabFile.printable(String.join(", ", unknown))
                                            + ": unknown key"));
        }
    }

    private static String digest(JsonNode domain) {
        try {
            MessageDigest sha = MessageDigest.getInstance("SHA-256");
            return HexFormat.of().formatHex(sha.digest(JSON.writeValueAsBytes(domain)));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e); // every Java has it
        }
    }

    /// Writes it, all or nothing. A file that is there stays.
    ///
    /// @throws IOException when it cannot be written; then there is no file
    public void write(Path file) throws IOException {
        ObjectNode domain = JSON.createObjectNode();
        domain.put("name", name).put("domid", domid).set("table", table);
        if (!memoryDisks.isEmpty()) {
            ObjectNode digests = domain.putObject("memory_disks");
            new TreeMap<>(memoryDisks).forEach(digests::put);
        }
        ObjectNode root = JSON.createObjectNode();
        root.put("format", FORMAT)
                .put("version", VERSION)
                .put("program", program)
                .put("saved", saved)
                .put("sha256", digest(domain))
                .set("domain", domain);
        Path draft = file.resolveSibling(file.getFileName() + ".new");
        try {
            Files.write(
                    draft, List.of(JSON.writerWithDefaultPrettyPrinter().writeValueAsString(root)));
            try (var channel = FileChannel.open(draft, StandardOpenOption.WRITE)) {
                channel.force(true);
            }
            Files.move(draft, file, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            Files.deleteIfExists(draft);
        }
    }

    /// The guest, for a lab that is to have it.
    ///
    /// @param file for messages, and for whoever reads it again
    public GuestTable table(Path file) {
        return new GuestTable(file, name, table, "", List.of());
    }
}
