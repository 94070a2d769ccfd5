package org.splitring.benchmarks.stress;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.splitring.benchmarks.stress.NetLoad.Member;
import org.splitring.benchmarks.stress.NetLoad.Route;
import org.splitring.hypervisor.DeviceLoop;

/// Guests of one switch in pairs; there may become more of them between runs.
final class NetGuests implements AutoCloseable {
    private final NetOptions options;
    private final StressSession session;
    private final GuestBed bed;
    private final Map<DeviceLoop, LoopPacer> pacers = new HashMap<>();
    private final List<Member> members = new ArrayList<>();

    NetGuests(NetOptions options, StressSession session, int loops) {
        this.options = options;
        this.session = session;
        bed = new GuestBed(loops);
    }

    /// Starts guests until there are so many, an even number.
    void growTo(int guests) throws IOException, InterruptedException {
        while (members.size() < guests && !session.end().isEnded()) {
            GuestBed.Guest guest = bed.guest(options.memoryBytes());
            NetGuest user = new NetGuest(members.size() + 1, options.frameBytes());
            user.use(guest.vif(user, options.frontend(), options.mtu()));
            members.add(new Member(user, pacers.computeIfAbsent(guest.loop(), LoopPacer::new)));
        }
    }

    /// Loads the network between the first and the second guest, the third and the fourth, and
    /// so on.
    Optional<StressPoint> measure() throws IOException, InterruptedException {
        if (session.end().isEnded()) {
            return Optional.empty();
        }
        List<Route> routes = new ArrayList<>();
        for (int i = 0; i + 1 < members.size(); i += 2) {
            for (int queue = 0; queue < options.streams(); queue++) {
                routes.add(new Route(members.get(i), members.get(i + 1), queue));
                if (options.isBidirectional()) {
                    routes.add(new Route(members.get(i + 1), members.get(i), queue));
                }
            }
        }
        try (NetLoad load = new NetLoad(members, routes, options.load(), session.options())) {
            return session.measure(
                    BlockGuests.count(members.size(), "guest"), members.size(), load);
        }
    }

    @Override
    public void close() {
        bed.close();
    }
}
