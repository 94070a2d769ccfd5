package org.splitring.driverdomain;

import java.util.HashMap;
import java.util.Map;
import java.util.function.Consumer;
import org.splitring.driverdomain.Examination.Finding;
import tools.jackson.databind.JsonNode;

/// Two looks at the rings of a lab, some time apart, read with an eye for what stands still.
///
/// What a guest has written may be anything: a number that cannot be is named, and nothing is
/// computed with it. Distances are unsigned and wrap as the indices do.
final class RingExamination {
    private static final long INDEX_MASK = 0xFFFF_FFFFL;

    private final Map<String, JsonNode> before = new HashMap<>();
    private final Consumer<Finding> findings;
    private final TextTable table =
            new TextTable(
                    "Device",
                    "Ring",
                    ">Slots",
                    ">req_prod",
                    ">req_cons",
                    ">req_event",
                    ">rsp_prod",
                    ">rsp_event",
                    ">Waiting",
                    ">Under way",
                    ">Sent",
                    ">Received");

    /// @param before `GET /v1/rings`
    RingExamination(JsonNode before, Consumer<Finding> findings) {
        this.findings = findings;
        for (JsonNode device : before) {
            for (JsonNode ring : device.path("rings")) {
                this.before.put(place(device) + " " + ring.path("name").asString(), ring);
            }
        }
    }

    /// Where each ring stands.
    TextTable table() {
        return table;
    }

    private static String place(JsonNode device) {
        return device.path("domain").asString() + " " + device.path("name").asString();
    }

    /// Looks again at a device.
    ///
    /// @param now one of `GET /v1/rings`
    /// @param held what keeps the backend from taking requests, for all we know; empty for nothing
    void device(JsonNode now, String held) {
        String device = place(now);
        if (!now.path("answered").asBoolean()) {
            note(
                    device,
                    "the loop that serves it does not answer",
                    "it is in one piece of work for over a second: jcmd "
                            + "PID Thread.print shows where; ./splitring replace puts another driver"
                            + " domain in its place");
        }
        for (JsonNode ring : now.path("rings")) {
            String name = ring.path("name").asString();
            Ring seen = new Ring(ring);
            table.line(
                    device,
                    name,
                    seen.entries,
                    seen.reqProd,
                    seen.reqCons,
                    seen.reqEvent,
                    seen.rspProd,
                    seen.rspEvent,
                    seen.waiting(),
                    seen.underWay(),
                    ring.path("events_sent").asString(),
                    ring.path("events_received").asString());
            JsonNode earlier = before.get(device + " " + name);
            ring(device + " " + name, seen, earlier == null ? seen : new Ring(earlier), held);
        }
        for (JsonNode stream : now.path("streams")) {
            stream(device, stream);
        }
    }

    private void ring(String place, Ring now, Ring earlier, String held) {
        if (now.broken || !now.isPossible()) {
            note(
                    place,
                    "req_prod "
                            + now.reqProd
                            + " cannot be: "
                            + now.rspProdPvt
                            + " are answered, and the ring has "
                            + now.entries
                            + " slots",
                    "the guest's driver is at fault, or it is hostile: nothing of this ring is"
                            + " served; detach and attach the device");
            return;
        }
        if (now.rspProd != now.rspProdPushed) {
            note(
                    place,
                    "rsp_prod is "
                            + now.rspProd
                            + " in shared memory, and ours is "
                            + now.rspProdPushed,
                    "the guest has written over what is ours; it fools itself alone");
        }
        long ahead = distance(now.rspEvent, now.rspProdPushed);
        if (ahead > now.entries && ahead <= INDEX_MASK >> 1) {
            note(
                    place,
                    "rsp_event "
                            + now.rspEvent
                            + " is further than the ring from rsp_prod "
                            + now.rspProdPushed,
                    "the guest has asked for no event that can come: its driver polls, or is at fault");
        }
        if (!now.name.endsWith(" rx")) { // there, requests that wait are the guest's free buffers
            requests(place, now, earlier, held);
        }
        if (!now.name.endsWith(" tx") && !now.name.equals("control")) {
            answers(place, now, earlier);
        }
    }

    /// What the guest has asked and nobody takes.
    private void requests(String place, Ring now, Ring earlier, String held) {
        boolean stands =
                now.waiting() > 0 && earlier.waiting() > 0 && now.reqCons == earlier.reqCons;
        if (stands && now.isFull()) {
            note(
                    place,
                    "its ring is full, and none of " + now.waiting() + " requests is taken",
                    held.isEmpty() ? unheard(now, earlier) : held);
        } else if (stands) {
            note(
                    place,
                    now.waiting() + " requests stand on the ring, and none is taken",
                    held.isEmpty() ? unheard(now, earlier) : held);
        } else if (now.isFull() && earlier.isFull() && now.rspProdPvt == earlier.rspProdPvt) {
            note(
                    place,
                    "its ring is full: "
                            + now.underWay()
                            + " requests are under way, and none was"
                            + " answered between two looks",
                    "look at what they wait for: the storage, or a limit");
        }
    }

    private static String unheard(Ring now, Ring earlier) {
        if (now.eventsReceived != earlier.eventsReceived) {
            return "events come, and the backend does not act on them: the driver domain's log may"
                    + " say why";
        }
        return distance(now.reqProd, now.reqEvent) < now.entries
                ? "req_prod has passed req_event "
                        + now.reqEvent
                        + ", and no event came: the guest"
                        + " has not sent it, or not to port "
                        + now.port
                : "the backend has not asked for an event yet: its loop is busy with others";
    }

    /// What we have answered and the guest does not take. It asks for its next event when it has
    /// taken everything; where it was told of an answer and has not asked again, it is behind. Not
    /// on tx and control rings: there a frontend takes answers when it has something to send.
    private void answers(String place, Ring now, Ring earlier) {
        long untaken = distance(now.rspProdPushed, now.rspEvent);
        boolean told = now.eventsSent > 0 && untaken < now.entries;
        if (told
                && now.rspProdPushed == earlier.rspProdPushed
                && now.rspEvent == earlier.rspEvent
                && now.reqProd == earlier.reqProd) {
            note(
                    place,
                    "the guest was told of answer "
                            + now.rspEvent
                            + " and does nothing: at least "
                            + (untaken + 1)
                            + " are not taken",
                    "the guest is stopped, stuck, or has lost the event; one that polls and never"
                            + " asks for events looks the same while it is idle");
        }
    }

    private void stream(String device, JsonNode stream) {
        long out = distance(stream.path("out_prod").asLong(), stream.path("out_cons").asLong());
        long in = distance(stream.path("in_prod").asLong(), stream.path("in_cons").asLong());
        table.line(
                device,
                stream.path("name").asString(),
                "-",
                stream.path("out_prod").asString(),
                stream.path("out_cons").asString(),
                "-",
                stream.path("in_prod").asString(),
                "-",
                out,
                in,
                stream.path("events_sent").asString(),
                stream.path("events_received").asString());
        if (stream.path("broken").asBoolean()) {
            note(
                    device,
                    "an index of its " + stream.path("name").asString() + " cannot be",
                    "the guest's driver is at fault, or it is hostile: detach and attach the device");
        }
    }

    private void note(String place, String what, String advice) {
        findings.accept(new Finding(place, what, advice));
    }

    /// How far an index is ahead of another.
    private static long distance(long ahead, long behind) {
        return (ahead - behind) & INDEX_MASK;
    }

    /// One ring of one look.
    private static final class Ring {
        final String name;
        final long entries;
        final long reqProd;
        final long reqEvent;
        final long rspProd;
        final long rspEvent;
        final long reqCons;
        final long rspProdPvt;
        final long rspProdPushed;
        final boolean broken;
        final long port;
        final long eventsSent;
        final long eventsReceived;

        Ring(JsonNode ring) {
            name = ring.path("name").asString();
            entries = ring.path("entries").asLong();
            reqProd = ring.path("req_prod").asLong();
            reqEvent = ring.path("req_event").asLong();
            rspProd = ring.path("rsp_prod").asLong();
            rspEvent = ring.path("rsp_event").asLong();
            reqCons = ring.path("req_cons").asLong();
            rspProdPvt = ring.path("rsp_prod_pvt").asLong();
            rspProdPushed = ring.path("rsp_prod_pushed").asLong();
            broken = ring.path("broken").asBoolean();
            port = ring.path("port").asLong();
            eventsSent = ring.path("events_sent").asLong();
            eventsReceived = ring.path("events_received").asLong();
        }

        /// Whether `req_prod` is behind nothing that was taken, and no further than the ring is
        /// long.
        boolean isPossible() {
            return distance(reqProd, rspProdPvt) <= entries
                    && distance(reqCons, rspProdPvt) <= distance(reqProd, rspProdPvt);
        }

        /// Requests that nobody has taken.
        long waiting() {
            return distance(reqProd, reqCons);
        }

        /// Requests that were taken and are not answered.
        long underWay() {
            return distance(reqCons, rspProdPvt);
        }

        boolean isFull() {
            return waiting() + underWay() == entries;
        }
    }
}
