package org.splitring.driverdomain.lab;

import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// A guest's configuration file as xl reads it (xl.cfg(5)): `KEY = VALUE` lines, where a value is a
/// number, a string in either quotes, or a list of those.
///
/// Of its keys `name`, `memory`, `disk`, `vif` and `p9` mean here what they mean to xl. The others
/// are of virtual machines; they are listed, and change nothing.
public final class XlConfig {
    private static final Set<String> KEPT = Set.of("memory", "disk", "vif", "p9");
    private static final int MAX_BYTES = 64 << 10;

    private XlConfig() {}

    /// Reads a file.
    ///
    /// @throws LabException with the place of what is no configuration of xl's
    public static GuestTable read(Path file) throws LabException {
        try {
            if (Files.isDirectory(file) || Files.size(file) > MAX_BYTES) {
                throw new LabException(file + ": is no configuration file of a guest");
            }
            return parse(file, Files.readString(file));
        } catch (NoSuchFileException e) {
            throw new LabException(file + ": no such file", e);
        } catch (CharacterCodingException e) {
            throw new LabException(file + ": is not text in UTF-8", e);
        } catch (IOException e) {
            throw new LabException(file + ": cannot be read: " + e.getMessage(), e);
        }
    }

    static GuestTable parse(Path file, String text) throws LabException {
        Map<String, JsonNode> values = new Reader(file, text).values();
        JsonNode name = values.get("name");
        if (name == null || !name.isString() || name.stringValue().isEmpty()) {
            throw new LabException(file + ": has no name = \"...\"");
        }
        ObjectNode domain = JsonMapper.shared().createObjectNode();
        List<String> ignored = new ArrayList<>();
        values.forEach(
                (key, value) -> {
                    if (KEPT.contains(key)) {
                        domain.set(key, value);
                    } else if (!key.equals("name")) {
                        ignored.add(key);
                    }
                });
        return new GuestTable(file, name.stringValue(), domain, text, ignored);
    }

    /// Reads values from left to right.
    private static final class Reader {
        private final Path file;
        private final String text;
        private int at;

        Reader(Path file, String text) {
            this.file = file;
            this.text = text;
        }

        Map<String, JsonNode> values() throws LabException {
            Map<String, JsonNode> values = new LinkedHashMap<>();
            for (skip(true); at < text.length(); skip(true)) {
                String key = word();
                skip(false);
                if (key.isEmpty() || !take('=')) {
                    throw bad("not KEY = VALUE");
                }
                skip(false);
                values.put(key, value(key)); // the last one counts, as for xl
                skip(false);
                if (at < text.length() && text.charAt(at) != '\n' && !take(';')) {
                    throw bad("something stands behind the value of " + key);
                }
            }
            return values;
        }

        private JsonNode value(String key) throws LabException {
            if (at == text.length()) {
                throw bad(key + " has no value");
            }
            char first = text.charAt(at);
            if (first == '"' || first == '\'') {
                return JsonNodeFactory.instance.stringNode(string(first));
            }
            if (take('[')) {
                return list(key);
            }
            String word = word();
            if (!word.matches("[0-9]{1,9}|0x[0-9a-fA-F]{1,7}")) {
                throw bad("the value of " + key + " is no number, no string and no list");
            }
            return JsonNodeFactory.instance.numberNode(
                    Integer.decode(word.replaceFirst("^0+(?=[0-9])", "")));
        }

        private JsonNode list(String key) throws LabException {
            ArrayNode list = JsonMapper.shared().createArrayNode();
            for (skip(true); !take(']'); skip(true)) {
                if (at == text.length()) {
                    throw bad("the list of " + key + " does not end");
                }
                list.add(value(key));
                skip(true);
                if (!take(',') && at < text.length() && text.charAt(at) != ']') {
                    throw bad("no comma in the list of " + key);
                }
            }
            return list;
        }

        private String string(char quote) throws LabException {
            StringBuilder value = new StringBuilder();
            for (at++; at < text.length() && text.charAt(at) != quote; at++) {
                char c = text.charAt(at);
                if (c == '\n') {
                    break;
                }
                if (c == '\\' && at + 1 < text.length()) {
                    at++;
                    c = text.charAt(at);
                }
                value.append(c);
            }
            if (!take(quote)) {
                throw bad("a string does not end");
            }
            return value.toString();
        }

        private String word() {
            int begin = at;
            while (at < text.length()
                    && (Character.isLetterOrDigit(text.charAt(at)) || text.charAt(at) == '_')) {
                at++;
            }
            return text.substring(begin, at);
        }

        private boolean take(char wanted) {
            if (at < text.length() && text.charAt(at) == wanted) {
                at++;
                return true;
            }
            return false;
        }

        /// Goes on to what matters.
        ///
        /// @param lines also behind the end of the line
        private void skip(boolean lines) {
            while (at < text.length()) {
                char c = text.charAt(at);
                if (c == '#') {
                    while (at < text.length() && text.charAt(at) != '\n') {
                        at++;
                    }
                } else if (c == ' '
                        || c == '\t'
                        || c == '\r'
                        || (lines && (c == '\n' || c == ';'))) {
                    at++;
                } else {
                    return;
                }
            }
        }

        private LabException bad(String what) {
            long line = 1 + text.substring(0, at).chars().filter(c -> c == '\n').count();
            return new LabException(file + ":" + line + ": " + what);
        }
    }
}
