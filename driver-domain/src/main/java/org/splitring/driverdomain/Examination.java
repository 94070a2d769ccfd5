package org.splitring.driverdomain;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// What the control API says of a lab in two looks, read with an eye for what is wrong.
final class Examination {
    private static final String CONNECTED = "connected";
    private static final int RING_SLOTS = 32;

    private final List<Finding> findings = new ArrayList<>();
    private final Map<String, String> statesBefore = new HashMap<>();
    private final RingExamination rings;
    private final JsonNode ringsNow;
    private final TextTable devices =
            new TextTable("Device", "Frontend", "Backend", "Ring", "Events", "Agreed");

    /// Something to look at.
    ///
    /// @param place `web vbd/xvda`, or a port of a network
    record Finding(String place, String what, String advice) {}

    /// @param domainsBefore what the first look has seen of the domains, an array
    /// @param ringsBefore and of their rings
    /// @param ringsNow what the second has; the domains of the second look follow
    Examination(JsonNode domainsBefore, JsonNode ringsBefore, JsonNode ringsNow) {
        this.rings = new RingExamination(ringsBefore, findings::add);
        this.ringsNow = ringsNow;
        for (JsonNode domain : domainsBefore) {
            for (JsonNode device : domain.path("devices")) {
                statesBefore.put(place(domain.path("name").asString(), device), states(device));
            }
        }
    }

    private static String place(String domain, JsonNode device) {
        return domain + " " + device.path("name").asString();
    }

    private static String states(JsonNode device) {
        return device.path("frontend_state").asString() + device.path("backend_state").asString();
    }

    List<Finding> findings() {
        return findings;
    }

    /// What both halves of each device have agreed on.
    TextTable devices() {
        return devices;
    }

    /// Where each ring stands.
    TextTable rings() {
        return rings.table();
    }

    ObjectNode toJson() {
        ObjectNode all = JsonMapper.shared().createObjectNode();
        ArrayNode found = all.putArray("findings");
        for (Finding finding : findings) {
            found.addObject()
                    .put("place", finding.place())
                    .put("what", finding.what())
                    .put("advice", finding.advice());
        }
        all.set("rings", ringsNow);
        return all;
    }

    private void note(String place, String what, String advice) {
        findings.add(new Finding(place, what, advice));
    }

    /// Looks at a domain of `GET /v1/domains`.
    void domain(JsonNode domain) {
        String name = domain.path("name").asString();
        boolean attached = domain.path("attached").asBoolean();
        boolean ours = domain.path("guest").asString().equals("java");
        if (!attached && ours) {
            note(
                    name,
                    domain.path("pid").isNumber()
                            ? "its process lives, and is not attached"
                            : "its guest has ended",
                    "guest.log in its folder of the run directory says why; ./splitring start "
                            + name
                            + " runs it again");
        }
        boolean suspended = domain.path("suspended").asBoolean();
        if (suspended) {
            note(
                    name,
                    "it is suspended: its devices stand still, and its programs wait",
                    "./splitring resume " + name + " lets it go on");
        }
        for (JsonNode device : domain.path("devices")) {
            device(name, device, attached && !suspended);
        }
        for (JsonNode each : ringsNow) {
            if (each.path("domain").asString().equals(name)) {
                rings.device(each, held(name, domain, each.path("name").asString()));
            }
        }
    }

    /// What is known to keep a backend from taking requests.
    private static String held(String domain, JsonNode view, String name) {
        for (JsonNode device : view.path("devices")) {
            JsonNode back = device.path("backend");
            if (device.path("name").asString().equals(name)) {
                if (isPaused(back)) {
                    return "it is paused: " + unpause(domain, back);
                }
                if (!back.path("rate").asString("").isEmpty()) {
                    return "it has a limit, "
                            + back.path("rate").asString()
                            + ": what is beyond it"
                            + " waits";
                }
            }
        }
        return "";
    }

    private static boolean isPaused(JsonNode back) {
        return back.path("pause").asString("0").equals("1");
    }

    private static String unpause(String domain, JsonNode back) {
        return "./splitring block-unpause " + domain + " " + back.path("dev").asString("");
    }

    private void device(String domain, JsonNode device, boolean attached) {
        String place = place(domain, device);
        JsonNode front = device.path("frontend");
        JsonNode back = device.path("backend");
        String frontState = device.path("frontend_state").asString();
        String backState = device.path("backend_state").asString();
        devices.line(place, frontState, backState, ring(device), events(front), agreed(device));
        for (String half : List.of("frontend", "backend")) {
            String error = device.path(half + "_error").asString("");
            if (!error.isEmpty()) {
                note(
                        place,
                        half + " says: " + error,
                        "what it names is to be mended; then attach the device anew");
            }
        }
        boolean stands = attached && states(device).equals(statesBefore.get(place));
        if (stands && !frontState.equals(CONNECTED)) {
            note(
                    place,
                    "the guest's half is " + frontState + ", ours " + backState,
                    frontState.equals("absent")
                            ? "the device was taken away on one side: detach and attach it"
                            : "the half in the earlier state has not answered: its log says what it"
                                    + " waits for");
        } else if (stands && !backState.equals(CONNECTED)) {
            note(
                    place,
                    "our half is " + backState + ", the guest's " + frontState,
                    "the driver domain's log says why");
        }
        JsonNode meters = device.path("meters");
        count(
                place,
                meters,
                "errors",
                "requests were answered with an error",
                "the driver domain's log names the first; look at the storage under "
                        + back.path("params").asString("the image"));
        count(
                place,
                meters,
                "oo_req",
                "requests were refused for want of mappings",
                "the guest has more in flight than its limit of mappings allows: fewer queues or a"
                        + " smaller ring in the guest");
        count(
                place,
                meters,
                "tx_grant_errors",
                "packets had grants that were none",
                "the guest's driver is at fault, or it was hostile");
        count(
                place,
                meters,
                "tx_checksum_errors",
                "packets said they needed a checksum and had no room for it",
                "the guest's driver is at fault");
        count(
                place,
                meters,
                "rx_stalls",
                "times the guest has taken nothing for so long that its queue was given up",
                "the guest is stopped, swaps, or has no receive buffers");
        count(
                place,
                meters,
                "rx_expired",
                "packets waited too long for the guest",
                "the guest takes fewer packets than it is sent: fewer senders, or `rate=` for them");
        if (isPaused(back)) {
            note(place, "it is paused", unpause(domain, back));
        }
        if (back.path("cache").asString("").equals("unsafe")) {
            note(
                    place,
                    "cache=unsafe: what was flushed is lost when this machine crashes",
                    "leave cache= out of its disk string");
        }
    }

    private void count(String place, JsonNode meters, String meter, String what, String advice) {
        long count = meters.path(meter).asLong(0);
        if (count > 0) {
            note(place, count + " " + what, advice);
        }
    }

    private static double slots(JsonNode front) {
        return (RING_SLOTS << front.path("ring-page-order").asInt(0))
                * (double) front.path("multi-queue-num-queues").asInt(1);
    }

    /// Queues and pages of the rings.
    private static String ring(JsonNode device) {
        JsonNode front = device.path("frontend");
        String queues = front.path("multi-queue-num-queues").asString("1");
        return switch (device.path("type").asString()) {
            case "vbd" ->
                    queues
                            + " x "
                            + (1 << front.path("ring-page-order").asInt(0))
                            + " pages, "
                            + device.path("meters").path("in_flight").asLong(0)
                            + " of "
                            + (long) slots(front)
                            + " in use";
            case "vif" ->
                    queues
                            + " x tx, rx; "
                            + device.path("meters").path("rx_queued_packets").asLong(0)
                            + " wait";
            default -> "-";
        };
    }

    private static String events(JsonNode front) {
        StringBuilder ports = new StringBuilder();
        for (Map.Entry<String, JsonNode> key : front.properties()) {
            String name = key.getKey();
            if (name.contains("event-channel") || name.equals("port")) {
                ports.append(ports.isEmpty() ? "" : " ").append(key.getValue().asString());
            }
        }
        return ports.isEmpty() ? "-" : ports.toString();
    }

    /// Features that our half offers and the guest's has taken up, as far as the store tells.
    private static String agreed(JsonNode device) {
        JsonNode front = device.path("frontend");
        JsonNode back = device.path("backend");
        StringBuilder features = new StringBuilder(front.path("protocol").asString(""));
        for (Map.Entry<String, JsonNode> key : back.properties()) {
            String name = key.getKey();
            boolean offered = !key.getValue().asString("0").equals("0");
            boolean taken = !front.path(name).asString("0").equals("0");
            if (name.startsWith("feature-") && offered && taken) {
                features.append(features.isEmpty() ? "" : " ")
                        .append(name.substring("feature-".length()));
            }
        }
        return features.isEmpty() ? "-" : features.toString();
    }

    /// Looks at a network of `GET /v1/networks`.
    void network(JsonNode network) {
        String name = network.path("name").asString();
        if (network.path("ports").isEmpty()) {
            note(
                    "network " + name,
                    "nothing is plugged in",
                    "a vif with bridge=" + name + ", or a key `ports` in the lab file");
        }
        for (JsonNode port : network.path("ports")) {
            String place = "network " + name + " port " + port.path("name").asString();
            JsonNode counters = port.path("counters");
            for (Map.Entry<String, JsonNode> counter : counters.properties()) {
                String advice = Advice.of(counter.getKey());
                long count = counter.getValue().asLong();
                if (!advice.isEmpty() && count > Advice.tolerated(counter.getKey(), counters)) {
                    note(place, count + " frames: " + counter.getKey().replace('_', ' '), advice);
                }
            }
        }
    }

    /// What to do about a counter of a port.
    private static final class Advice {
        /// Part of the frames that may find a queue full.
        private static final double FULL_PART = 1e-3;

        private Advice() {}

        static String of(String counter) {
            return switch (counter) {
                case "in_dropped_pinned" ->
                        "the guest sends from addresses that are not its own: `ip=` of its vif, or"
                                + " antispoof";
                case "in_dropped_vlan" -> "the port is no member of that VLAN: `vlan=` of its vif";
                case "in_dropped_storm" -> "over the port's `storm` limits";
                case "in_dropped_loop" -> "the loop guard has shut the port: look for a loop";
                case "in_dropped_offload" ->
                        "what the sender says of GSO or checksums is not so: its driver is at fault";
                case "out_dropped_too_big" ->
                        "larger than the port's MTU: give all ports of the network the same";
                case "out_dropped_full" ->
                        "the receiver takes fewer frames than it is sent: fewer senders, or `rate=`";
                case "in_dropped_runt", "in_dropped_oversize" -> "the sender is at fault";
                default -> "";
            };
        }

        /// Frames of that kind that need no word: a queue that is full now and then is how TCP
        /// finds its speed.
        static double tolerated(String counter, JsonNode counters) {
            return counter.equals("out_dropped_full")
                    ? 10 + FULL_PART * counters.path("out_frames").asDouble(0)
                    : 0;
        }
    }
}
