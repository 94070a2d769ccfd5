package org.splitring.driverdomain.lab;

import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.splitring.blkback.image.DiskSource;
import org.splitring.blkback.image.FileSource;
import org.splitring.driverdomain.lab.LabDomain.GuestKind;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.dataformat.toml.TomlMapper;

/// Reads a lab file and checks it. Nothing is created or changed here.
///
///     [domains.web]
///     memory = 64                                        # MiB
///     disk = ["format=raw, vdev=xvda, access=rw, target=web.img"]
///     vif = ["bridge=lan, ip=10.0.0.2, rate=10Mb/s"]     # a network interface, eth0
///     devices = ["vrng", "9pfs, tag=share, path=./dir"]   # of plug-ins too
///     p9 = ["tag=share, path=./dir, security_model=none"] # as xl has it: a 9pfs device
///     guest = "java"                                     # or "external": any program may attach
///     export = "unix"                                    # or "tcp:10809": loopback as well
///
///     [nbd_tls]                                          # TLS on every `tcp:` port
///     certificate = "tls/server-cert.pem"
///     key = "tls/server-key.pem"
///     client_ca = "tls/ca-cert.pem"                      # clients must show one of these
///
///     [networks.lan]                                     # as NetworkTables says
///     subnet = "10.0.0.0/24"
///
///     [images]
///     "web.img" = { size = "64MiB" }                     # made when it is missing
///
/// Above all tables `backing_folders = ["../templates"]` may say where the files may be that images
/// are based on, besides the folders of the images and of the targets of disks with an overlay; and
/// `disk_engine = "threads"`, that no `io_uring` is used ([LabSettings]).
public final class LabFile {
    /// What a domain may be called: its name is a folder in the run directory.
    private static final Pattern DOMAIN_NAME = Pattern.compile("[A-Za-z0-9_][A-Za-z0-9._+-]{0,63}");

    /// Names that the run directory needs itself.
    private static final Set<String> RESERVED_NAMES =
            Set.of(
                    "xenstored",
                    "control",
                    "lab",
                    "lock",
                    "log",
                    "store",
                    "successor",
                    "token",
                    "created");

    private static final List<String> TOP_KEYS =
            List.of("domains", "networks", "images", "nbd_tls", "backing_folders", "disk_engine");
    private static final List<String> DOMAIN_KEYS =
            Stream.concat(
                            Stream.of("memory", "disk", "vif", "devices", "p9", "guest", "export"),
                            ProgramKeys.KEYS.stream())
                    .toList();
    private static final List<String> IMAGE_KEYS = List.of("size");
    private static final int DEFAULT_MEMORY_MIB = 64;
    private static final int MIN_MEMORY_MIB = 16;
    private static final int MAX_MEMORY_MIB = 1024;
    private static final int MAX_DOMAINS = 1000;
    private static final int MAX_DEVICES = 64;
    private static final String P9_CLASS = "9pfs, ";
    private static final int SECTOR_BYTES = 512;
    private static final long MAX_FILE_BYTES = 1 << 20;

    private final Path labFile;

    // Of the lab file, or of a guest's own that is being read.
    private Path file;
    private TomlPlaces places;
    private final Map<Path, Long> imageSizes = new LinkedHashMap<>();
    private final Map<Path, List<String>> imagePlaces = new HashMap<>();
    private final Set<Path> imagesUsed = new HashSet<>();

    /// Who uses an image already: by its path and, when it exists, by its inode.
    private final Map<Object, LabDisk> users = new HashMap<>();

    private final Map<Integer, String> ports = new HashMap<>();
    private final NetworkTables networks;
    private final LabSettings settings = new LabSettings(this);

    /// Where the targets of disks with overlays are.
    private final Set<Path> overlaid = new LinkedHashSet<>();

    private LabFile(Path file, String text) {
        this.labFile = file;
        this.file = file;
        this.places = new TomlPlaces(text);
        this.networks = new NetworkTables(this, file);
    }

    /// Reads and checks a lab file.
    ///
    /// @throws LabException for whatever is wrong, with file, line and key
    public static Lab read(Path file) throws LabException {
        return read(file, List.of(), Set.of());
    }

    /// Reads and checks a lab file with guests that it does not have.
    ///
    /// @param guests come behind the domains of the file
    /// @param gone domains of the file that are left out, as if they were not there
    /// @throws LabException for whatever is wrong, with file, line and key
    public static Lab read(Path file, List<GuestTable> guests, Set<String> gone)
            throws LabException {
        String text;
        try {
            if (Files.isDirectory(file)) {
                throw new LabException(file + ": is a folder, not a lab file");
            }
            if (Files.size(file) > MAX_FILE_BYTES) {
                throw new LabException(file + ": is larger than 1 MiB, so it is no lab file");
            }
            text = Files.readString(file);
        } catch (NoSuchFileException e) {
            throw new LabException(file + ": no such file", e);
        } catch (CharacterCodingException e) {
            throw new LabException(file + ": is not text in UTF-8", e);
        } catch (IOException e) {
            throw new LabException(file + ": cannot be read: " + e.getMessage(), e);
        }
        JsonNode root;
        try {
            root = new TomlMapper().readTree(text);
        } catch (JacksonException e) {
            TomlPlaces keys = new TomlPlaces(text);
            if (!keys.firstDuplicate().isEmpty() && e.getOriginalMessage().contains("Duplicate")) {
                String key = String.join(".", keys.firstDuplicate());
                throw new LabException(
                        file + ":" + keys.duplicateLine() + ": " + key + ": is there twice", e);
            }
            int line = e.getLocation() == null ? 0 : e.getLocation().getLineNr();
            String place = line > 0 ? file + ":" + line : file.toString();
            throw new LabException(place + ": " + oneLine(e.getOriginalMessage()), e);
        }
        return new LabFile(file, text).lab(root, guests, gone);
    }

    private static String oneLine(String message) {
        return message.lines().findFirst().orElse("is not TOML");
    }

    private Lab lab(JsonNode root, List<GuestTable> guests, Set<String> gone) throws LabException {
        checkKeys(root, List.of(), TOP_KEYS);
        images(root.path("images"));
        networks.read(root.path("networks"));
        JsonNode domains = root.path("domains");
        if (!domains.isObject() || domains.isEmpty()) {
            throw domains.isMissingNode()
                    ? new LabException(file + ": has no [domains.NAME]")
                    : bad(List.of("domains"), "must be a table of at least one domain");
        }
        if (domains.size() > MAX_DOMAINS) {
            throw new LabException(file + ": more than " + MAX_DOMAINS + " domains");
        }
        Optional<LabTls> tls = settings.tls(root.path("nbd_tls"));
        List<LabDomain> result = new ArrayList<>();
        for (Map.Entry<String, JsonNode> entry : domains.properties()) {
            if (!gone.contains(entry.getKey())) {
                result.add(domain(entry.getKey(), entry.getValue(), tls));
            }
        }
        TomlPlaces labPlaces = places;
        for (GuestTable guest : guests) {
            if (result.stream().anyMatch(each -> each.name().equals(guest.name()))) {
                throw new LabException(
                        guest.file() + ": name: the lab has a domain " + guest.name() + " already");
            }
            file = guest.file();
            places = new TomlPlaces(guest.text(), List.of("domains", guest.name()));
            result.add(domain(guest.name(), guest.domain(), tls));
        }
        file = labFile;
        places = labPlaces;
        if (tls.isPresent() && ports.isEmpty() && gone.isEmpty()) {
            throw bad(List.of("nbd_tls"), "no domain has export = \"tcp:PORT\"");
        }
        for (Path image : imageSizes.keySet()) {
            if (!imagesUsed.contains(image) && gone.isEmpty()) {
                List<String> path = imagePlaces.getOrDefault(image, List.of("images"));
                throw bad(path, "no disk has this image as its target");
            }
        }
        networks.checkSettings();
        return new Lab(
                file,
                settings.diskEngine(root.path("disk_engine")),
                settings.backingFolders(root.path("backing_folders"), overlaid),
                networks.networks(),
                result);
    }

    private void images(JsonNode images) throws LabException {
        if (images.isMissingNode()) {
            return;
        }
        if (!images.isObject()) {
            throw bad(List.of("images"), "must be a table");
        }
        for (Map.Entry<String, JsonNode> entry : images.properties()) {
            List<String> path = List.of("images", entry.getKey());
            checkKeys(entry.getValue(), path, IMAGE_KEYS);
            JsonNode size = entry.getValue().path("size");
            List<String> sizePath = List.of("images", entry.getKey(), "size");
            OptionalLong bytes =
                    size.isIntegralNumber() && size.canConvertToLong()
                            ? OptionalLong.of(size.longValue())
                            : size.isString()
                                    ? Size.parse(size.stringValue())
                                    : OptionalLong.empty();
            if (bytes.isEmpty()) {
                throw bad(
                        sizePath,
                        size.isMissingNode()
                                ? "is missing"
                                : "\"" + text(size) + "\" is not a size such as 64MiB");
            }
            if (bytes.getAsLong() <= 0 || bytes.getAsLong() % SECTOR_BYTES != 0) {
                throw bad(
                        sizePath,
                        bytes.getAsLong() + " bytes is not a whole number of sectors of 512 bytes");
            }
            Path image = resolve(entry.getKey(), path);
            imageSizes.put(image, bytes.getAsLong());
            imagePlaces.put(image, path);
        }
    }

    private LabDomain domain(String name, JsonNode table, Optional<LabTls> tls)
            throws LabException {
        List<String> path = List.of("domains", name);
        if (!DOMAIN_NAME.matcher(name).matches() || RESERVED_NAMES.contains(name)) {
            throw bad(
                    path,
                    "\""
                            + printable(name)
                            + "\" cannot be the name of a domain: letters, digits and ._+- after"
                            + " the first, and neither xenstored nor control");
        }
        checkKeys(table, path, DOMAIN_KEYS);
        int memory = memory(table.path("memory"), List.of("domains", name, "memory"));
        GuestKind guest = guest(table.path("guest"), List.of("domains", name, "guest"));
        OptionalInt port = export(table.path("export"), List.of("domains", name, "export"));
        List<LabDisk> disks = disks(table.path("disk"), List.of("domains", name, "disk"));
        List<LabDevice> devices =
                new ArrayList<>(
                        devices(table.path("devices"), List.of("domains", name, "devices"), ""));
        devices.addAll(devices(table.path("p9"), List.of("domains", name, "p9"), P9_CLASS));
        if (guest == GuestKind.EXTERNAL && port.isPresent()) {
            throw bad(
                    List.of("domains", name, "export"),
                    "an external guest exports its disks itself, or not at all");
        }
        Optional<LabProgram> program = ProgramKeys.read(this, table, path, guest);
        if (program.isPresent() && port.isPresent()) {
            throw bad(
                    List.of("domains", name, "export"),
                    "the disks of a guest that runs a class are the class's own");
        }
        String exportPlace = place(List.of("domains", name, "export"));
        List<LabVif> vifs = networks.vifs(name, table.path("vif"), List.of("domains", name, "vif"));
        return new LabDomain(
                name,
                memory,
                guest,
                disks,
                vifs,
                devices,
                port,
                port.isPresent() ? tls : Optional.empty(),
                program,
                exportPlace);
    }

    private int memory(JsonNode node, List<String> path) throws LabException {
        if (node.isMissingNode()) {
            return DEFAULT_MEMORY_MIB;
        }
        if (!node.isIntegralNumber()) {
            throw bad(path, "\"" + text(node) + "\" is not a whole number of MiB");
        }
        if (!node.canConvertToInt()
                || node.intValue() < MIN_MEMORY_MIB
                || node.intValue() > MAX_MEMORY_MIB) {
            throw bad(
                    path,
                    text(node)
                            + " is not between "
                            + MIN_MEMORY_MIB
                            + " and "
                            + MAX_MEMORY_MIB
                            + " MiB");
        }
        return node.intValue();
    }

    private GuestKind guest(JsonNode node, List<String> path) throws LabException {
        if (node.isMissingNode()) {
            return GuestKind.JAVA;
        }
        return switch (node.isString() ? node.stringValue() : "") {
            case "java" -> GuestKind.JAVA;
            case "external" -> GuestKind.EXTERNAL;
            default ->
                    throw bad(
                            path,
                            "\""
                                    + text(node)
                                    + "\" is neither \"java\" nor \"external\""
                                    + Suggestion.of(text(node), List.of("java", "external")));
        };
    }

    private OptionalInt export(JsonNode node, List<String> path) throws LabException {
        if (node.isMissingNode() || text(node).equals("unix")) {
            return OptionalInt.empty();
        }
        String value = text(node);
        if (!node.isString() || !value.matches("tcp:\\d{1,5}")) {
            throw bad(
                    path,
                    "\""
                            + value
                            + "\" is neither \"unix\" nor \"tcp:PORT\""
                            + Suggestion.of(value, List.of("unix")));
        }
        int port = Integer.parseInt(value.substring("tcp:".length()));
        if (port < 1 || port > 65535) {
            throw bad(path, "port " + port + " is not between 1 and 65535");
        }
        String other = ports.putIfAbsent(port, place(path));
        if (other != null) {
            throw bad(path, "port " + port + " is taken by " + other);
        }
        return OptionalInt.of(port);
    }

    private List<LabDisk> disks(JsonNode node, List<String> path) throws LabException {
        if (node.isMissingNode()) {
            return List.of();
        }
        if (!node.isArray()) {
            throw bad(path, "must be a list of strings, such as [\"web.img,raw,xvda,rw\"]");
        }
        List<LabDisk> disks = new ArrayList<>();
        Map<Integer, LabDisk> devices = new HashMap<>();
        for (JsonNode element : node.values()) {
            if (!element.isString()) {
                throw bad(path, "\"" + text(element) + "\" is not a string");
            }
            LabDisk disk = disk(element.stringValue(), path);
            LabDisk other = devices.putIfAbsent(disk.device().number(), disk);
            if (other != null) {
                throw new LabException(
                        disk.place()
                                + ": vdev "
                                + disk.device().name()
                                + " is taken by "
                                + other.place()
                                + (other.device().equals(disk.device())
                                        ? ""
                                        : " (" + other.device().name() + " is the same device)"));
            }
            disks.add(disk);
        }
        return disks;
    }

    /// A list of devices.
    ///
    /// @param before stands before each: the class that a key of xl's has for all
    private List<LabDevice> devices(JsonNode node, List<String> path, String before)
            throws LabException {
        if (node.isMissingNode()) {
            return List.of();
        }
        if (!node.isArray()) {
            throw bad(path, "must be a list of strings, such as [\"vrng\"]");
        }
        if (node.size() > MAX_DEVICES) {
            throw bad(path, "more than " + MAX_DEVICES + " devices");
        }
        Path folder = file.toAbsolutePath().resolveSibling("");
        List<LabDevice> devices = new ArrayList<>();
        for (JsonNode element : node.values()) {
            if (!element.isString()) {
                throw bad(path, "\"" + text(element) + "\" is not a string");
            }
            String place = place(path, places.line(path, element.stringValue()));
            try {
                DeviceSpec spec = DeviceSpec.parse(before + element.stringValue(), folder);
                devices.add(new LabDevice(spec.deviceClass(), spec.parameters(), place));
            } catch (LabException e) {
                throw new LabException(place + ": " + e.getMessage(), e);
            }
        }
        return devices;
    }

    private LabDisk disk(String text, List<String> path) throws LabException {
        String place = place(path, places.line(path, text));
        try {
            DiskSpec spec = DiskSpec.parse(text);
            Path folder = file.toAbsolutePath().resolveSibling("");
            DiskSource target = LabDisk.target(spec, folder, labFile, path.get(1));
            OptionalLong size = LabDisk.created(spec);
            if (target instanceof FileSource image && imageSizes.containsKey(image.path())) {
                imagesUsed.add(image.path());
                size = OptionalLong.of(imageSizes.getOrDefault(image.path(), 0L));
            }
            LabDisk disk = LabDisk.of(spec, target, folder, size, place);
            if (disk.base().isPresent()) {
                FileSource base = disk.base().get();
                checkBase(base.path());
                checkUsers(disk.ofBase(base));
                overlaid.add(base.path().resolveSibling(""));
            }
            if (disk.source() instanceof FileSource image) {
                checkImage(disk, image.path());
            }
            checkUsers(disk);
            return disk;
        } catch (LabException e) {
            String message = String.valueOf(e.getMessage());
            throw message.startsWith(file.toString())
                    ? e
                    : new LabException(place + ": " + message, e);
        }
    }

    private static void checkBase(Path image) throws LabException {
        if (!Files.isRegularFile(image)) {
            throw new LabException("image " + image + ", which an overlay needs, is no file");
        }
    }

    private static void checkImage(LabDisk disk, Path image) throws LabException {
        if (Files.isDirectory(image)) {
            throw new LabException("image " + image + " is a folder");
        }
        boolean exists = Files.exists(image);
        if (!exists && disk.createBytes().isEmpty() && disk.base().isEmpty()) {
            throw new LabException(
                    "image " + image + " does not exist, and [images] has no size to make it with");
        }
        if (!exists && disk.readOnly()) {
            throw new LabException("image " + image + " does not exist, and the disk is read-only");
        }
        Path folder = image.getParent();
        if (!exists && (folder == null || !Files.isDirectory(folder))) {
            throw new LabException("image " + image + " cannot be made: there is no such folder");
        }
    }

    private void checkUsers(LabDisk disk) throws LabException {
        for (Object key : identities(disk.source())) {
            LabDisk other = users.putIfAbsent(key, disk);
            if (other != null && !(other.readOnly() && disk.readOnly())) {
                throw new LabException(
                        "image "
                                + disk.source().name()
                                + " is used by "
                                + other.place()
                                + " too, and one of them writes");
            }
        }
    }

    /// The path, and for a file that exists the inode: links lead to the same image.
    private static List<Object> identities(DiskSource source) throws LabException {
        if (!(source instanceof FileSource file)) {
            return List.of(source.name());
        }
        Path image = file.path();
        List<Object> keys = new ArrayList<>(List.of(image));
        if (Files.exists(image)) {
            try {
                Object inode = Files.readAttributes(image, BasicFileAttributes.class).fileKey();
                Optional.ofNullable(inode).ifPresent(keys::add);
            } catch (IOException e) {
                throw new LabException("image " + image + " cannot be read: " + e.getMessage(), e);
            }
        }
        return keys;
    }

    Path resolve(String name, List<String> path) throws LabException {
        try {
            return file.toAbsolutePath().resolveSibling(name).normalize();
        } catch (InvalidPathException e) {
            throw bad(path, "\"" + name.replace('\0', '?') + "\" is not a path");
        }
    }

    void checkKeys(JsonNode table, List<String> path, List<String> known) throws LabException {
        if (!table.isObject()) {
            throw bad(path, "must be a table");
        }
        for (Map.Entry<String, JsonNode> entry : table.properties()) {
            if (!known.contains(entry.getKey())) {
                List<String> here = new ArrayList<>(path);
                here.add(entry.getKey());
                throw bad(
                        here,
                        "unknown key"
                                + Suggestion.of(entry.getKey(), known)
                                + "; known are "
                                + String.join(", ", known));
            }
        }
    }

    /// The path of a key in the table at `path`.
    static List<String> under(List<String> path, String key) {
        List<String> longer = new ArrayList<>(path);
        longer.add(key);
        return longer;
    }

    /// A string, or a list of strings; empty when there is none.
    List<String> strings(JsonNode node, List<String> path) throws LabException {
        if (node.isMissingNode()) {
            return List.of();
        }
        if (node.isString()) {
            return List.of(node.stringValue());
        }
        if (!node.isArray()) {
            throw bad(path, "must be a string or a list of strings");
        }
        List<String> strings = new ArrayList<>();
        for (JsonNode element : node.values()) {
            if (!element.isString()) {
                throw bad(path, "\"" + text(element) + "\" is not a string");
            }
            strings.add(element.stringValue());
        }
        return strings;
    }

    boolean flag(JsonNode node, List<String> path, boolean missing) throws LabException {
        if (node.isMissingNode()) {
            return missing;
        }
        if (!node.isBoolean()) {
            throw bad(path, "\"" + text(node) + "\" is neither true nor false");
        }
        return node.booleanValue();
    }

    int number(JsonNode node, List<String> path, int least, int most) throws LabException {
        if (!node.isIntegralNumber()
                || !node.canConvertToInt()
                || node.intValue() < least
                || node.intValue() > most) {
            throw bad(path, text(node) + " is not between " + least + " and " + most);
        }
        return node.intValue();
    }

    LabException bad(List<String> path, String message) {
        return new LabException(place(path) + ": " + message);
    }

    String place(List<String> path) {
        return place(path, places.line(path));
    }

    /// Of a string in the list under a key.
    String place(List<String> path, String element) {
        return place(path, places.line(path, element));
    }

    private String place(List<String> path, int line) {
        String key = printable(String.join(".", path));
        return line > 0 ? file + ":" + line + ": " + key : file + ": " + key;
    }

    static String text(JsonNode node) {
        String text = node.isString() ? node.stringValue() : node.toString();
        return printable(text);
    }

    static String printable(String text) {
        String plain =
                text.codePoints()
                        .map(c -> Character.isISOControl(c) ? '?' : c)
                        .collect(
                                StringBuilder::new,
                                StringBuilder::appendCodePoint,
                                StringBuilder::append)
                        .toString();
        return plain.length() <= 64 ? plain : plain.substring(0, 64) + "...";
    }
}
