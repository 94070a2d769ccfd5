package org.splitring.driverdomain;

import io.prometheus.metrics.model.snapshots.Labels;
import java.util.Locale;
import org.splitring.bridge.PortCounter;

/// Where a counter of a port goes in Prometheus' meters: `IN_DROPPED_RULE` is
/// `splitring_port_dropped_frames_total{direction="in", reason="rule"}`, and `OUT_GSO_SEGMENTS`,
/// which are a part of all frames,
/// `splitring_port_special_frames_total{direction="out", kind="gso_segments"}`.
record PortMeter(Kind kind, String direction, String what) {
    private static final String DROPPED = "DROPPED_";

    /// Which of the meters.
    enum Kind {
        FRAMES,
        BYTES,
        DROPPED,
        SPECIAL
    }

    static PortMeter of(PortCounter counter) {
        String name = counter.name();
        int end = name.indexOf('_');
        String direction = name.substring(0, end).toLowerCase(Locale.ROOT);
        String rest = name.substring(end + 1);
        if (rest.startsWith(DROPPED)) {
            return new PortMeter(
                    Kind.DROPPED,
                    direction,
                    rest.substring(DROPPED.length()).toLowerCase(Locale.ROOT));
        }
        return switch (rest) {
            case "BYTES" -> new PortMeter(Kind.BYTES, direction, "");
            case "FRAMES" -> new PortMeter(Kind.FRAMES, direction, "");
            default -> new PortMeter(Kind.SPECIAL, direction, rest.toLowerCase(Locale.ROOT));
        };
    }

    Labels labels(String network, String port) {
        return switch (kind) {
            case FRAMES, BYTES ->
                    Labels.of("direction", direction, "network", network, "port", port);
            case DROPPED ->
                    Labels.of(
                            "direction",
                            direction,
                            "network",
                            network,
                            "port",
                            port,
                            "reason",
                            what);
            case SPECIAL ->
                    Labels.of(
                            "direction", direction, "kind", what, "network", network, "port", port);
        };
    }
}
