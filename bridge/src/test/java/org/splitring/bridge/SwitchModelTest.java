package org.splitring.bridge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// The switch against a plain model of one: the same random ports, frames, pauses and changes,
/// and after each frame exactly the same frames at the same ports, in the same order. So nothing
/// leaks across VLANs or isolation, nothing comes twice, and what is not told apart by an address
/// stays in order.
///
/// A seed can be played again with `-Dsplitring.seed=N`.
class SwitchModelTest {
    private static final int PORTS = 6;
    private static final int MACS = 10;
    private static final int[] VLANS = {1, 2, 3, 4094};
    private static final int AGEING = 30;
    private static final int PER_PORT = 5;

    /// What the model knows of a port.
    private static final class ModelPort {
        final int id;
        PortVlans vlans = PortVlans.DEFAULT;
        boolean isolated;
        boolean attached = true;

        ModelPort(int id) {
            this.id = id;
        }
    }

    /// Where an address is, and since when; in the order in which they were last seen.
    private record Place(int port, long second) {}

    /// A switch in the plainest way: a map, and a loop over all ports.
    private static final class Model {
        final List<ModelPort> ports = new ArrayList<>();
        final Map<String, Place> places = new HashMap<>();

        void forget(int port) {
            places.values().removeIf(p -> p.port() == port);
        }

        private void learn(String key, int port, long second) {
            boolean known = places.containsKey(key) && places.get(key).port() == port;
            if (!known) {
                places.remove(key);
                long mine = places.values().stream().filter(p -> p.port() == port).count();
                if (mine >= PER_PORT) {
                    // The one not seen for the longest time; the test never makes two equally old.
                    String oldest =
                            places.entrySet().stream()
                                    .filter(e -> e.getValue().port() == port)
                                    .min(Comparator.comparingLong(e -> e.getValue().second()))
                                    .orElseThrow()
                                    .getKey();
                    places.remove(oldest);
                }
            }
            places.put(key, new Place(port, second));
        }

        /// What each port gets.
        Map<Integer, byte[]> send(int from, byte[] frame, long second) {
            Map<Integer, byte[]> out = new HashMap<>();
            ModelPort source = ports.get(from);
            boolean tagged = Packets.u16(frame, 12) == 0x8100;
            int tci = tagged ? Packets.u16(frame, 14) : 0;
            int vlan = tagged && tci % 4096 != 0 ? tci % 4096 : source.vlans.pvid();
            if (!source.attached || !source.vlans.isMember(vlan)) {
                return out;
            }
            String to = vlan + "/" + Arrays.toString(Arrays.copyOf(frame, 6));
            String by = vlan + "/" + Arrays.toString(Arrays.copyOfRange(frame, 6, 12));
            if ((frame[6] & 1) != 0) {
                return out;
            }
            learn(by, from, second);
            Place place = places.get(to);
            boolean fresh = place != null && second - place.second() < AGEING;
            // The only port that may have it, or -1.
            int only = (frame[0] & 1) == 0 && fresh && place != null ? place.port() : -1;
            byte[] bare =
                    tagged
                            ? Packets.join(
                                    Arrays.copyOf(frame, 12),
                                    Arrays.copyOfRange(frame, 16, frame.length))
                            : frame;
            byte[] withTag =
                    Packets.join(
                            Arrays.copyOf(bare, 12),
                            new byte[] {
                                (byte) 0x81,
                                0,
                                (byte) ((tci >>> 8 & 0xF0) + (vlan >>> 8)),
                                (byte) vlan
                            },
                            Arrays.copyOfRange(bare, 12, bare.length));
            for (ModelPort port : ports) {
                boolean allowed =
                        port.attached
                                && port.id != from
                                && port.vlans.isMember(vlan)
                                && !(port.isolated && source.isolated);
                if (allowed && (only < 0 || only == port.id)) {
                    out.put(port.id, port.vlans.isUntagged(vlan) ? bare : withTag);
                }
            }
            return out;
        }
    }

    private final Lab lab =
            new Lab(new LearningSwitch(new SwitchSettings(1000, PER_PORT, AGEING, false)));

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 4, 5, 6, 7, 8})
    void everyFrameGoesWhereTheModelSaysAndNowhereElse(int round) {
        long seed = Long.getLong("splitring.seed", 20_261_126L + round);
        System.out.println("SwitchModelTest seed " + seed);
        Random random = new Random(seed);
        Model model = new Model();
        List<Lab.Port> ports = new ArrayList<>();
        for (int i = 0; i < PORTS; i++) {
            model.ports.add(new ModelPort(i));
            ports.add(lab.port(PortSettings.of("p" + i), PortCapabilities.everything(9000)));
        }
        long delivered = 0;
        for (int step = 0; step < 4000; step++) {
            // Time moves a little with each frame, so that no two addresses are equally old.
            lab.sleepSeconds(1);
            if (random.nextInt(40) == 0) {
                reconfigure(random, model, ports);
            }
            if (random.nextInt(100) == 0) {
                lab.sleepSeconds(random.nextInt(2 * AGEING));
            }
            int from = random.nextInt(PORTS);
            byte[] frame = randomFrame(random);
            Lab.Port port = ports.get(from);
            int[] cuts = random.ints(random.nextInt(6), 1, frame.length).sorted().toArray();
            Lab.fill(port.frame, frame, cuts);
            port.sendFrame();
            Map<Integer, byte[]> expected = model.send(from, frame, lab.nanos / 1_000_000_000L);
            for (int i = 0; i < PORTS; i++) {
                List<Lab.Got> got = ports.get(i).take();
                String what = "port " + i + " step " + step + " seed " + seed;
                assertEquals(expected.containsKey(i) ? 1 : 0, got.size(), what);
                if (!got.isEmpty()) {
                    assertArrayEquals(expected.get(i), got.getFirst().bytes(), what);
                    delivered++;
                }
            }
        }
        assertTrue(delivered > 1000, delivered + " frames, seed " + seed);
    }

    private static byte[] randomFrame(Random random) {
        long to = random.nextInt(5) == 0 ? Lab.BROADCAST : Lab.mac(random.nextInt(MACS));
        long from = random.nextInt(200) == 0 ? Lab.BROADCAST : Lab.mac(random.nextInt(MACS));
        byte[] payload = new byte[46 + random.nextInt(random.nextInt(10) == 0 ? 3000 : 200)];
        random.nextBytes(payload);
        int vlan = VLANS[random.nextInt(VLANS.length)];
        int tci = (random.nextInt(8) << 13) | (random.nextInt(6) == 0 ? 0 : vlan);
        return Packets.join(
                random.nextBoolean()
                        ? Packets.ethernet(to, from, 0x88B5)
                        : Packets.ethernet(to, from, 0x88B5, 0x8100, tci),
                payload);
    }

    private void reconfigure(Random random, Model model, List<Lab.Port> ports) {
        int i = random.nextInt(PORTS);
        ModelPort port = model.ports.get(i);
        if (random.nextInt(4) == 0 && port.attached) {
            ports.get(i).link.detach();
            port.attached = false;
            model.forget(i);
            return;
        }
        port.vlans = randomVlans(random);
        port.isolated = random.nextInt(3) == 0;
        PortSettings settings =
                PortSettings.of("p" + i).withVlans(port.vlans).withIsolated(port.isolated);
        if (port.attached) {
            ports.get(i).link.configure(settings);
        } else {
            Lab.Port again = ports.get(i);
            again.link = lab.network.attach(again, settings, PortCapabilities.everything(9000));
            port.attached = true;
        }
        model.forget(i);
    }

    private static PortVlans randomVlans(Random random) {
        if (random.nextInt(4) == 0) {
            return PortVlans.ALL;
        }
        int pvid = VLANS[random.nextInt(VLANS.length)];
        StringBuilder text = new StringBuilder(pvid + "p");
        for (int vlan : VLANS) {
            if (vlan != pvid && random.nextBoolean()) {
                text.append('/').append(vlan).append(random.nextInt(3) == 0 ? "u" : "");
            }
        }
        return PortVlans.parse(text.toString());
    }
}
