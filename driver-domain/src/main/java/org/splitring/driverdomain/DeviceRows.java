package org.splitring.driverdomain;

import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// Devices of one class in what the control API says of domains.
final class DeviceRows {
    private static final int SECTOR_BYTES = 512;

    private DeviceRows() {}

    /// Those of one domain.
    static List<JsonNode> devices(JsonNode domain, String type) {
        List<JsonNode> found = new ArrayList<>();
        for (JsonNode device : domain.path("devices")) {
            if (device.path("type").asString().equals(type)) {
                found.add(device);
            }
        }
        return found;
    }

    /// Those of all, each with the name of its domain.
    static ArrayNode of(JsonNode domains, String type) {
        ArrayNode all = JsonMapper.shared().createArrayNode();
        for (JsonNode domain : domains) {
            for (JsonNode device : devices(domain, type)) {
                ObjectNode row = JsonMapper.shared().createObjectNode();
                row.set("domain", domain.path("name"));
                row.setAll((ObjectNode) device);
                all.add(row);
            }
        }
        return all;
    }

    /// Of a disk that is connected.
    static String size(JsonNode backend) {
        String sectors = backend.path("sectors").asString("");
        return sectors.isEmpty() ? "-" : Sizes.text(Long.parseLong(sectors) * SECTOR_BYTES);
    }
}
