package org.splitring.driverdomain.lab;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.splitring.bridge.FrameRule;
import org.splitring.bridge.MacAddress;
import org.splitring.bridge.PortSettings;
import org.splitring.bridge.StormLimits;
import tools.jackson.databind.JsonNode;

/// Reads what a network's `settings` say about its ports.
///
///     [networks.lan.settings."web.0"]
///     rules = ["tx drop udp dport 53"]   # as FrameRule has them; the first that fits decides
///     isolated = true                    # exchanges nothing with other isolated ports
///     storm = { broadcast = 100, multicast = 100, unknown = 100 }   # frames a second
///     loop_guard = true
///     sticky = true                      # addresses stay where they were seen first
///     addresses = ["00:16:3e:00:00:01"]  # static entries of the switch's table
///     mirror = "port0"                   # a port that is sent a copy of everything
final class PortSettingsTable {
    private static final List<String> KEYS =
            List.of("rules", "isolated", "storm", "loop_guard", "sticky", "addresses", "mirror");
    private static final List<String> STORM_KEYS = List.of("broadcast", "multicast", "unknown");

    private final LabFile file;
    private final List<String> path;

    /// @param path of the table, for messages
    PortSettingsTable(LabFile file, List<String> path) {
        this.file = file;
        this.path = path;
    }

    /// The settings of each port that the table names.
    Map<String, PortSettings> read(JsonNode table) throws LabException {
        Map<String, PortSettings> settings = new LinkedHashMap<>();
        if (table.isMissingNode()) {
            return settings;
        }
        if (!table.isObject()) {
            throw file.bad(path, "must be a table of ports");
        }
        for (Map.Entry<String, JsonNode> port : table.properties()) {
            List<String> portPath = LabFile.under(path, port.getKey());
            file.checkKeys(port.getValue(), portPath, KEYS);
            settings.put(port.getKey(), port(port.getKey(), port.getValue(), portPath));
        }
        return settings;
    }

    private PortSettings port(String name, JsonNode table, List<String> portPath)
            throws LabException {
        List<FrameRule> rules = new ArrayList<>();
        List<String> rulesPath = LabFile.under(portPath, "rules");
        for (String text : file.strings(table.path("rules"), rulesPath)) {
            try {
                rules.add(FrameRule.parse(text));
            } catch (IllegalArgumentException e) {
                throw new LabException(file.place(rulesPath, text) + ": " + e.getMessage(), e);
            }
        }
        List<MacAddress> addresses = new ArrayList<>();
        List<String> addressesPath = LabFile.under(portPath, "addresses");
        for (String text : file.strings(table.path("addresses"), addressesPath)) {
            try {
                addresses.add(VifMac.parse(text));
            } catch (LabException e) {
                throw new LabException(file.place(addressesPath, text) + ": " + e.getMessage(), e);
            }
        }
        try {
            PortSettings settings =
                    PortSettings.of(name)
                            .withRules(rules)
                            .withIsolated(flag(table, portPath, "isolated"))
                            .withLoopGuard(flag(table, portPath, "loop_guard"))
                            .withSticky(flag(table, portPath, "sticky"))
                            .withAddresses(addresses)
                            .withStorm(
                                    storm(table.path("storm"), LabFile.under(portPath, "storm")));
            JsonNode mirror = table.path("mirror");
            if (mirror.isMissingNode()) {
                return settings;
            }
            if (!mirror.isString()) {
                throw file.bad(
                        LabFile.under(portPath, "mirror"),
                        "\"" + LabFile.text(mirror) + "\" is not the name of a port");
            }
            return settings.withMirror(mirror.stringValue());
        } catch (IllegalArgumentException e) {
            throw new LabException(file.place(portPath) + ": " + e.getMessage(), e);
        }
    }

    private boolean flag(JsonNode table, List<String> portPath, String key) throws LabException {
        return file.flag(table.path(key), LabFile.under(portPath, key), false);
    }

    private StormLimits storm(JsonNode table, List<String> stormPath) throws LabException {
        if (table.isMissingNode()) {
            return StormLimits.NONE;
        }
        file.checkKeys(table, stormPath, STORM_KEYS);
        return new StormLimits(
                limit(table, stormPath, "broadcast"),
                limit(table, stormPath, "multicast"),
                limit(table, stormPath, "unknown"));
    }

    private int limit(JsonNode table, List<String> stormPath, String key) throws LabException {
        JsonNode node = table.path(key);
        return node.isMissingNode()
                ? 0
                : file.number(node, LabFile.under(stormPath, key), 1, 1_000_000_000);
    }
}
