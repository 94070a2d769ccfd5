package org.splitring.driverdomain.lab;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.splitring.blkback.DiskException;
import org.splitring.blkback.DiskMode;
import org.splitring.blkback.image.DiskSource;
import org.splitring.blkback.image.FileSource;
import org.splitring.blkback.image.ImageFormat;
import org.splitring.blkback.image.NbdSource;

/// One string of `disk`, in xl's syntax: `target,format,vdev,access`, each by its place or by its
/// name; `target=` takes the rest of the string, commas included. What this program cannot do yet
/// is refused by name.
///
/// Source: Xen `docs/man/xl-disk-configuration.5.pod.in`.
///
/// Old prefixes name a backend (`tap:`, `file:`), a format (`qcow2:`, `vhd:`, `aio:` for raw), or
/// both (`tap:qcow2:`); `phy:` is a block device, in `/dev` unless its path begins at the root. A
/// format that is named in both ways has to be the same. Without any it is raw, and never what the
/// image looks like. With a prefix the format may have no place: `phy:vg/web,xvda,w`. A device may
/// have its type behind it: `hdc:cdrom`.
///
/// `nbd:` and `nbd+unix:` begin the name of a server's export ([NbdSource]), also in its place,
/// whatever `=` stands in it.
///
/// `memory:SIZE` is a disk in memory ([MemoryDisks]).
///
/// Not xl's are `cache` ([DiskMode]), `overlay` (a qcow2 image that takes the writes, so that the
/// target stays as it is), and `bps`, `iops`, `burst` and `weight` ([DiskLimits]).
///
/// @param target path or name of an export as written, old prefixes taken off
/// @param overlay path of the image that takes the writes; empty when the target does
/// @param discard whether the guest is offered discard, where the image can do it
/// @param cdrom whether the guest is to see a CD-ROM; it is read-only then
/// @param mode when a write is safe
record DiskSpec(
        String target,
        String overlay,
        ImageFormat format,
        VirtualDevice device,
        boolean readOnly,
        boolean discard,
        boolean cdrom,
        DiskMode mode,
        DiskLimits limits) {
    private static final List<String> POSITIONAL = List.of("target", "format", "vdev", "access");
    private static final List<String> LIMITS = List.of("bps", "iops", "burst", "weight");
    private static final List<String> KEYS =
            List.of(
                    "target",
                    "format",
                    "vdev",
                    "access",
                    "devtype",
                    "backend",
                    "backendtype",
                    "script",
                    "specification",
                    "cache",
                    "overlay",
                    "bps",
                    "iops",
                    "burst",
                    "weight");
    private static final List<String> FLAGS =
            List.of(
                    "cdrom",
                    "discard",
                    "no-discard",
                    "direct-io-safe",
                    "trusted",
                    "untrusted",
                    "colo");
    private static final List<String> FORMATS_OF_OTHERS = List.of("qcow", "qed");
    private static final List<String> OLD_BACKENDS =
            List.of("file:", "tap:", "tap2:", "tapdisk:", "ioemu:");
    private static final List<String> SCRIPT_PREFIXES = List.of("iscsi:", "enbd:", "drbd:");

    /// Parses a specification.
    ///
    /// @throws LabException with a message that says what is wrong, without the place
    static DiskSpec parse(String text) throws LabException {
        Words words = new Words();
        String rest = text;
        while (rest != null) {
            String item = rest.stripLeading();
            if (item.startsWith("target=")) {
                words.set("target", item.substring("target=".length()));
                break;
            }
            int comma = item.indexOf(',');
            rest = comma < 0 ? null : item.substring(comma + 1);
            words.take((comma < 0 ? item : item.substring(0, comma)).strip());
        }
        return words.spec(text);
    }

    /// What the target names.
    ///
    /// @param folder what a relative path is relative to
    /// @throws LabException with a message that says what is wrong, without the place
    DiskSource source(Path folder) throws LabException {
        try {
            return NbdSource.isOne(target)
                    ? NbdSource.parse(target, folder)
                    : new FileSource(format, folder.toAbsolutePath().resolve(target).normalize());
        } catch (DiskException e) {
            throw new LabException("target " + e.getMessage(), e);
        } catch (InvalidPathException e) {
            throw new LabException("target \"" + LabFile.printable(target) + "\" is not a path", e);
        }
    }

    /// The image that takes the writes.
    ///
    /// @param folder what a relative path is relative to
    /// @throws LabException with a message that says what is wrong, without the place
    Optional<FileSource> overlay(Path folder) throws LabException {
        if (overlay.isEmpty()) {
            return Optional.empty();
        }
        try {
            Path path = folder.toAbsolutePath().resolve(overlay).normalize();
            return Optional.of(new FileSource(ImageFormat.QCOW2, path));
        } catch (InvalidPathException e) {
            throw new LabException(
                    "overlay \"" + LabFile.printable(overlay) + "\" is not a path", e);
        }
    }

    private static final class Words {
        private final @Nullable String[] values = new @Nullable String[POSITIONAL.size()];
        private final String[] limits = {"", "", "", ""};
        private String overlay = "";
        private DiskMode mode = DiskMode.WRITEBACK;
        private boolean discard = true;
        private boolean cdrom;

        void take(String item) throws LabException {
            int equals = NbdSource.isOne(item) ? -1 : item.indexOf('=');
            if (equals >= 0) {
                set(item.substring(0, equals).strip(), item.substring(equals + 1).strip());
            } else if (FLAGS.contains(item)) {
                flag(item);
            } else {
                place(item);
            }
        }

        private void flag(String flag) throws LabException {
            switch (flag) {
                case "cdrom" -> cdrom = true;
                case "discard" -> discard = true;
                case "no-discard" -> discard = false;
                case "trusted", "direct-io-safe" -> {
                    // This is what a disk is anyway.
                }
                default -> throw new LabException("\"" + flag + "\" is not supported yet");
            }
        }

        private void place(String item) throws LabException {
            String first = values[0];
            boolean second = first != null && values[1] == null && values[2] == null;
            if (second && Target.parse(first).isPrefixed() && isDevice(item)) {
                values[1] = ""; // as xend had it: the prefix stands for the format
            }
            for (int i = 0; i < values.length; i++) {
                if (values[i] == null) {
                    values[i] = item;
                    return;
                }
            }
            throw new LabException(
                    "\"" + item + "\" is one item too many" + Suggestion.of(item, FLAGS));
        }

        private static boolean isDevice(String item) {
            int colon = item.indexOf(':');
            return VirtualDevice.parse(colon < 0 ? item : item.substring(0, colon)).isPresent();
        }

        void set(String key, String value) throws LabException {
            int index = POSITIONAL.indexOf(key);
            if (index >= 0) {
                String old = values[index];
                if (old != null && !old.isEmpty()) {
                    throw new LabException("\"" + key + "\" is given twice");
                }
                values[index] = value;
                return;
            }
            int limit = LIMITS.indexOf(key);
            if (limit >= 0) {
                limits[limit] = value;
                return;
            }
            if (key.equals("cache")) {
                mode = mode(value);
                return;
            }
            if (key.equals("overlay")) {
                if (value.isEmpty()) {
                    throw new LabException("overlay is empty: give the path of an image");
                }
                overlay = value;
                return;
            }
            if (key.equals("devtype") && value.equals("cdrom")) {
                cdrom = true;
                return;
            }
            boolean plain =
                    (key.equals("devtype") && value.equals("disk"))
                            || (key.equals("specification") && value.equals("xen"));
            if (plain) {
                return;
            }
            if (KEYS.contains(key)) {
                throw new LabException("\"" + key + "=" + value + "\" is not supported yet");
            }
            throw new LabException("unknown key \"" + key + "\"" + Suggestion.of(key, KEYS));
        }

        private static DiskMode mode(String value) throws LabException {
            try {
                return DiskMode.parse(value);
            } catch (DiskException e) {
                throw new LabException(String.valueOf(e.getMessage()), e);
            }
        }

        DiskSpec spec(String text) throws LabException {
            Target target = Target.parse(or(values[0], ""));
            ImageFormat format = format(or(values[1], ""), target);
            if (NbdSource.isOne(target.path()) && format != ImageFormat.RAW) {
                throw new LabException(
                        "format \"" + format.label() + "\": the export of an NBD server is raw");
            }
            String vdev = vdevWithoutType(or(values[2], ""));
            if (vdev.isEmpty()) {
                throw new LabException(
                        "vdev is missing in \"" + text + "\", for example vdev=xvda");
            }
            VirtualDevice device =
                    VirtualDevice.parse(vdev)
                            .orElseThrow(
                                    () ->
                                            new LabException(
                                                    "vdev \""
                                                            + vdev
                                                            + "\" is no name of a disk, such as"
                                                            + " xvda, xvdb1, sda or hda"));
            boolean readOnly = readOnly(or(values[3], ""));
            if (MemoryDisks.isOne(target.path())) {
                checkMemory(format, readOnly || cdrom);
            }
            if (target.path().isEmpty()) {
                throw new LabException("target is missing in \"" + text + "\"");
            }
            if (!overlay.isEmpty()) {
                checkOverlay(target, readOnly || cdrom);
            }
            return new DiskSpec(
                    target.path(),
                    overlay,
                    format,
                    device,
                    readOnly || cdrom,
                    discard,
                    cdrom,
                    mode,
                    DiskLimits.parse(limits[0], limits[1], limits[2], limits[3]));
        }

        private String vdevWithoutType(String vdev) throws LabException {
            int colon = vdev.indexOf(':');
            if (colon < 0) {
                return vdev;
            }
            set("devtype", vdev.substring(colon + 1));
            return vdev.substring(0, colon);
        }

        private void checkMemory(ImageFormat format, boolean neverWritten) throws LabException {
            if (format != ImageFormat.RAW) {
                throw new LabException(
                        "format \"" + format.label() + "\": a disk in memory is raw");
            }
            if (neverWritten) {
                throw new LabException("a disk in memory begins empty: it cannot be read-only");
            }
            if (!overlay.isEmpty()) {
                throw new LabException("overlay " + overlay + ": a disk in memory needs none");
            }
        }

        private void checkOverlay(Target target, boolean neverWritten) throws LabException {
            if (neverWritten) {
                throw new LabException(
                        "overlay " + overlay + ": a disk that is read-only needs none");
            }
            if (NbdSource.isOne(target.path())) {
                throw new LabException(
                        "overlay " + overlay + ": the target has to be an image in a file");
            }
        }

        private static String or(@Nullable String value, String otherwise) {
            return value == null ? otherwise : value;
        }

        private static ImageFormat format(String word, Target target) throws LabException {
            ImageFormat prefix = target.format();
            if (word.isEmpty()) {
                return prefix == null ? ImageFormat.RAW : prefix;
            }
            refuseOthers(word);
            List<String> labels =
                    Arrays.stream(ImageFormat.values()).map(ImageFormat::label).toList();
            ImageFormat format =
                    ImageFormat.of(word)
                            .orElseThrow(
                                    () ->
                                            new LabException(
                                                    "unknown format \""
                                                            + word
                                                            + "\""
                                                            + Suggestion.of(word, labels)));
            if (prefix != null && prefix != format) {
                throw new LabException(
                        "format \""
                                + word
                                + "\" and the prefix of the target, which says "
                                + prefix.label()
                                + ", are not the same");
            }
            return format;
        }

        private static void refuseOthers(String format) throws LabException {
            if (FORMATS_OF_OTHERS.contains(format)) {
                throw new LabException(
                        "format \""
                                + format
                                + "\" is not supported; "
                                + ImageFormat.labels()
                                + " are");
            }
        }

        private static boolean readOnly(String access) throws LabException {
            return switch (access) {
                case "ro", "r" -> true;
                case "rw", "w", "" -> false;
                case "w!", "rw!", "!" ->
                        throw new LabException(
                                "access \""
                                        + access
                                        + "\" (written by several, with no guard, as xend had it)"
                                        + " is refused: two writers that do not know of each other"
                                        + " damage an image; use w, or ro for all");
                default ->
                        throw new LabException(
                                "access \"" + access + "\" is none of rw, w, ro and r");
            };
        }

        /// What is left of a target without its old prefixes, and the format that they name.
        private record Target(String path, @Nullable ImageFormat format, boolean isPrefixed) {
            static Target parse(String text) throws LabException {
                String rest = text;
                ImageFormat format = null;
                while (true) {
                    int colon = rest.indexOf(':');
                    String word = rest.substring(0, colon + 1).toLowerCase(Locale.ROOT);
                    if (word.isEmpty() || NbdSource.isOne(rest)) {
                        return new Target(rest, format, rest.length() < text.length());
                    }
                    if (SCRIPT_PREFIXES.contains(word)) {
                        throw new LabException("backend \"" + word + "\" is not supported yet");
                    }
                    if (word.equals("phy:")) { // a device; xl looks for it in /dev
                        String device = rest.substring(colon + 1);
                        return new Target(
                                device.startsWith("/") ? device : "/dev/" + device,
                                ImageFormat.RAW,
                                true);
                    }
                    String label = word.substring(0, colon);
                    refuseOthers(label);
                    ImageFormat named =
                            ImageFormat.of(label.equals("aio") ? "raw" : label).orElse(null);
                    if (named == null && !OLD_BACKENDS.contains(word)) {
                        // a colon of the path
                        return new Target(rest, format, rest.length() < text.length());
                    }
                    if (named != null && format != null && named != format) {
                        throw new LabException("target \"" + text + "\" names two formats");
                    }
                    format = named == null ? format : named;
                    rest = rest.substring(colon + 1);
                }
            }
        }
    }
}
