package org.splitring.driverdomain.lab;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// The schema and the page of lab files know what the program knows.
class LabSchemaTest {
    private static final Path DOCS = Path.of("..", "docs");

    @TempDir Path dir;

    private static JsonNode schema() throws IOException {
        return JsonMapper.shared().readTree(Files.readString(DOCS.resolve("lab.schema.json")));
    }

    /// The keys that the program names when it finds one that it does not know.
    private Set<String> known(String text) throws IOException {
        Path file = Files.writeString(dir.resolve("lab.toml"), text);
        LabException refused = assertThrows(LabException.class, () -> LabFile.read(file));
        String message = String.valueOf(refused.getMessage());
        int at = message.indexOf("known are ");
        assertTrue(at > 0, message);
        return new TreeSet<>(
                List.of(message.substring(at + "known are ".length()).split(", ", -1)));
    }

    private static Set<String> described(JsonNode table) {
        return new TreeSet<>(table.path("properties").propertyNames());
    }

    @Test
    void theSchemaHasEveryKeyAndNoOther() throws Exception {
        JsonNode top = schema();
        JsonNode network = top.at("/properties/networks/additionalProperties");
        String domain = "[domains.web]\n";
        assertEquals(known("zzzzzzzzzz = 1\n" + domain), described(top));
        assertEquals(
                known(domain + "zzzzzzzzzz = 1\n"),
                described(top.at("/properties/domains/additionalProperties")));
        assertEquals(known(domain + "[networks.lan]\nzzzzzzzzzz = 1\n"), described(network));
        String settings = "[networks.lan.settings.\"web.0\"]\n";
        assertEquals(
                known(domain + "[networks.lan]\n" + settings + "zzzzzzzzzz = 1\n"),
                described(network.at("/properties/settings/additionalProperties")));
        assertEquals(
                known(domain + "[nbd_tls]\nzzzzzzzzzz = 1\n"),
                described(top.at("/properties/nbd_tls")));
        assertEquals(
                known(domain + "[images]\n\"a\" = { zzzzzzzzzz = 1 }\n"),
                described(top.at("/properties/images/additionalProperties")));
    }

    @Test
    void thePageNamesEveryKey() throws Exception {
        String page = Files.readString(DOCS.resolve("lab-file.md"));
        JsonNode top = schema();
        Set<String> keys = described(top);
        keys.addAll(described(top.at("/properties/domains/additionalProperties")));
        JsonNode network = top.at("/properties/networks/additionalProperties");
        keys.addAll(described(network));
        keys.addAll(described(network.at("/properties/settings/additionalProperties")));
        keys.addAll(described(top.at("/properties/nbd_tls")));
        keys.removeIf(
                key ->
                        page.contains("`" + key + "`")
                                || page.contains(key + ".")
                                || page.contains("[" + key));
        assertEquals(Set.of(), keys);
    }
}
