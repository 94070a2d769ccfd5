package org.splitring.bridge;

import org.jspecify.annotations.Nullable;

/// Finds the port and MAC address of next hops: asks by ARP and neighbour solicitation, keeps
/// packets waiting meanwhile, and gives up after three seconds. The network's loop.
///
/// A packet waits as it was received, and is received once more when the address is known: so it
/// meets the settings of that moment, and an error about it quotes what its sender sent.
final class NextHops {
    private static final int QUESTIONS = 3;

    private final RouterEngine engine;
    private final NeighbourTable neighbours;
    private final WaitingFrames waiting;
    private final OutgoingPacket out;

    NextHops(RouterEngine engine, RouterLimits limits, OutgoingPacket out) {
        this.engine = engine;
        this.out = out;
        neighbours =
                new NeighbourTable(
                        limits.neighbours(),
                        limits.neighboursPerPort(),
                        limits.unresolvedPerPort());
        waiting = new WaitingFrames(limits.waitingFrames(), limits.waitingFramesPerPort());
    }

    NeighbourTable neighbours() {
        return neighbours;
    }

    /// The entry of a next hop that packets can be sent to now, or [NeighbourTable#NONE].
    int find(Route route, long high, long low) {
        int entry = neighbours.find(high, low);
        if (entry == NeighbourTable.NONE || !neighbours.isAlive(entry, engine.second())) {
            return NeighbourTable.NONE;
        }
        RouterPort port = engine.port(neighbours.portOf(entry));
        if (port == null || port.side != route.side) {
            return NeighbourTable.NONE;
        }
        if (neighbours.isStale(entry, engine.second())
                && neighbours.mayAsk(entry, engine.second())) {
            question(port, high, low);
        }
        return entry;
    }

    /// Where a known address lives; -1 when nobody knows.
    int portOf(long high, long low) {
        int entry = neighbours.find(high, low);
        return entry != NeighbourTable.NONE && neighbours.isAlive(entry, engine.second())
                ? neighbours.portOf(entry)
                : -1;
    }

    /// Keeps a packet until the address of its next hop is known.
    void await(RouterPort from, Frame frame, Route route, long high, long low) {
        int entry = ask(from, route, high, low);
        if (entry == NeighbourTable.NONE) {
            engine.drop(from, RouterCounter.DROPPED_WAITING_FULL);
            return;
        }
        int first = waiting.add(neighbours.firstWaiting[entry], frame, from.index);
        if (first == WaitingFrames.NONE) {
            engine.drop(from, RouterCounter.DROPPED_WAITING_FULL);
        } else {
            neighbours.firstWaiting[entry] = first;
        }
    }

    /// Asks for an address, unless it is being asked for.
    ///
    /// @return the entry, or [NeighbourTable#NONE] at the bound
    int ask(RouterPort cause, Route route, long high, long low) {
        int entry = neighbours.find(high, low);
        if (entry == NeighbourTable.NONE || neighbours.isKnown(entry)) {
            if (!cause.questions.take(1, engine.nanos())) {
                return NeighbourTable.NONE;
            }
            entry = neighbours.ask(high, low, cause.index);
            if (entry == NeighbourTable.NONE) {
                return NeighbourTable.NONE;
            }
        }
        if (neighbours.questionsOf(entry) == 0 && neighbours.mayAsk(entry, engine.second())) {
            question(route, high, low);
        }
        return entry;
    }

    private void question(Route route, long high, long low) {
        for (int i = 0; i < route.side.ports.size(); i++) {
            RouterPort port = route.side.ports.get(i);
            if (route.allows(port)) {
                question(port, high, low);
            }
        }
    }

    private void question(RouterPort to, long high, long low) {
        RouterSide side = to.side;
        if (IpWords.isV4(high, low)) {
            int own = engine.v4Beside(side, (int) low);
            out.arpRequest(LearningSwitch.BROADCAST, side.mac, own, (int) low).sendRaw(to.link);
        } else {
            out.solicitation(side.mac, Icmp.LINK_LOCAL, side.linkLocalLow, high, low)
                    .sendTo(to.link);
        }
    }

    /// Notes where an address lives, and sends what waits for it.
    ///
    /// @return `false` when it is another port's, or when there is no room
    boolean learn(RouterPort at, long high, long low, long mac) {
        int entry = neighbours.learn(high, low, at.index, mac, engine.second());
        if (entry == NeighbourTable.NONE) {
            return false;
        }
        int slot = neighbours.firstWaiting[entry];
        neighbours.firstWaiting[entry] = WaitingFrames.NONE;
        while (slot != WaitingFrames.NONE) {
            RouterPort from = waitsFrom(slot);
            if (from != null) {
                engine.receive(from, waiting.frame(slot));
            }
            slot = waiting.free(slot);
        }
        return true;
    }

    private @Nullable RouterPort waitsFrom(int slot) {
        int index = waiting.portOf(slot);
        return index == WaitingFrames.NONE ? null : engine.port(index);
    }

    /// Asks again, and gives up where nobody answers.
    void tick() {
        for (int cause = 0; cause < VirtualNetwork.MAX_PORTS; cause++) {
            int entry = neighbours.firstAsked(cause);
            while (entry != NeighbourTable.NONE) {
                int after = neighbours.next(entry);
                retry(entry);
                entry = after;
            }
        }
    }

    private void retry(int entry) {
        long high = neighbours.highOf(entry);
        long low = neighbours.lowOf(entry);
        Route route = engine.table().find(high, low);
        if (route == null || route.kind != Route.Kind.ON_LINK) {
            giveUp(entry);
        } else if (neighbours.mayAsk(entry, engine.second())) {
            if (neighbours.questionsOf(entry) > QUESTIONS) {
                giveUp(entry);
            } else {
                question(route, high, low);
            }
        }
    }

    private void giveUp(int entry) {
        int slot = neighbours.firstWaiting[entry];
        neighbours.firstWaiting[entry] = WaitingFrames.NONE;
        while (slot != WaitingFrames.NONE) {
            RouterPort from = waitsFrom(slot);
            if (from != null) {
                engine.unreachable(from, waiting.frame(slot));
            }
            slot = waiting.free(slot);
        }
        neighbours.remove(entry);
    }

    /// Forgets what is known at a port, and what waits because of it.
    void forget(int port) {
        waiting.forget(port);
        int entry;
        while ((entry = neighbours.firstKnown(port)) != NeighbourTable.NONE) {
            neighbours.remove(entry);
        }
        while ((entry = neighbours.firstAsked(port)) != NeighbourTable.NONE) {
            giveUp(entry);
        }
    }

    /// Forgets what the present settings do not allow to live where it does.
    void recheck() {
        for (int port = 0; port < VirtualNetwork.MAX_PORTS; port++) {
            int entry = neighbours.firstKnown(port);
            while (entry != NeighbourTable.NONE) {
                int after = neighbours.next(entry);
                RouterPort at = engine.port(port);
                Route route =
                        engine.table().find(neighbours.highOf(entry), neighbours.lowOf(entry));
                if (at == null
                        || route == null
                        || route.kind != Route.Kind.ON_LINK
                        || !route.allows(at)) {
                    neighbours.remove(entry);
                }
                entry = after;
            }
        }
    }
}
