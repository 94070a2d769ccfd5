package org.splitring.driverdomain.lab;

import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/// One string of `disk`, in xl's syntax: `target,format,vdev,access`, each by its place or by its
/// name; `target=` takes the rest of the string, commas included. What this program cannot do yet
/// is refused by name.
///
/// Source: Xen `docs/man/xl-disk-configuration.5.pod.in`.
///
/// @param target path as written, old prefixes taken off
/// @param discard whether the guest is offered discard, where the image can do it
/// @param cdrom whether the guest is to see a CD-ROM; it is read-only then
record DiskSpec(
        String target, VirtualDevice device, boolean readOnly, boolean discard, boolean cdrom) {
    private static final List<String> POSITIONAL = List.of("target", "format", "vdev", "access");
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
                    "specification");
    private static final List<String> FLAGS =
            List.of(
                    "cdrom",
                    "discard",
                    "no-discard",
                    "direct-io-safe",
                    "trusted",
                    "untrusted",
                    "colo");
    private static final List<String> FORMATS_TO_COME = List.of("qcow", "qcow2", "vhd", "qed");
    private static final List<String> OLD_PREFIXES =
            List.of("file:", "raw:", "aio:", "tap:", "tap2:", "tapdisk:", "ioemu:");
    private static final List<String> SCRIPT_PREFIXES =
            List.of("phy:", "iscsi:", "nbd:", "enbd:", "drbd:");

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

    private static final class Words {
        private final @Nullable String[] values = new @Nullable String[POSITIONAL.size()];
        private boolean discard = true;
        private boolean cdrom;

        void take(String item) throws LabException {
            int equals = item.indexOf('=');
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
            for (int i = 0; i < values.length; i++) {
                if (values[i] == null) {
                    values[i] = item;
                    return;
                }
            }
            throw new LabException(
                    "\"" + item + "\" is one item too many" + Suggestion.of(item, FLAGS));
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

        DiskSpec spec(String text) throws LabException {
            String target = or(values[0], "");
            format(or(values[1], ""));
            String vdev = or(values[2], "");
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
            target = withoutPrefixes(target);
            if (target.isEmpty()) {
                throw new LabException("target is missing in \"" + text + "\"");
            }
            return new DiskSpec(target, device, readOnly || cdrom, discard, cdrom);
        }

        private static String or(@Nullable String value, String otherwise) {
            return value == null ? otherwise : value;
        }

        private static void format(String format) throws LabException {
            if (FORMATS_TO_COME.contains(format)) {
                throw new LabException("format \"" + format + "\" is not supported yet; raw is");
            }
            if (!format.isEmpty() && !format.equals("raw")) {
                throw new LabException(
                        "unknown format \""
                                + format
                                + "\""
                                + Suggestion.of(format, List.of("raw")));
            }
        }

        private static boolean readOnly(String access) throws LabException {
            return switch (access) {
                case "ro", "r" -> true;
                case "rw", "w", "" -> false;
                default ->
                        throw new LabException(
                                "access \"" + access + "\" is none of rw, w, ro and r");
            };
        }

        private static String withoutPrefixes(String target) throws LabException {
            String rest = target;
            for (boolean again = true; again; ) {
                again = false;
                String lower = rest.toLowerCase(Locale.ROOT);
                for (String prefix : OLD_PREFIXES) {
                    if (lower.startsWith(prefix)) {
                        rest = rest.substring(prefix.length());
                        again = true;
                        break;
                    }
                }
            }
            for (String prefix : SCRIPT_PREFIXES) {
                if (rest.startsWith(prefix)) {
                    throw new LabException("backend \"" + prefix + "\" is not supported yet");
                }
            }
            for (String format : FORMATS_TO_COME) {
                if (rest.startsWith(format + ":")) {
                    throw new LabException(
                            "format \"" + format + "\" is not supported yet; raw is");
                }
            }
            return rest;
        }
    }
}
