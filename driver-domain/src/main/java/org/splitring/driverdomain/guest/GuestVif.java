package org.splitring.driverdomain.guest;

import io.netty.channel.Channel;
import java.util.List;

/// An interface of a guest.
///
/// @param channel of Ethernet frames, each a [io.netty.buffer.ByteBuf] from destination address to
///     the end of its payload, with complete checksums. Handlers are added to its pipeline; without
///     one frames are dropped. It stays open when the driver domain is replaced, and frames are
///     lost meanwhile
/// @param mac the address that the switch expects it to send from, or empty where none was given
/// @param addresses IP addresses with prefix lengths that the lab file gives it; nobody sets them,
///     since it is for the class to answer ARP and whatever else
/// @param gateways of its default routes
public record GuestVif(Channel channel, String mac, List<String> addresses, List<String> gateways) {
    public GuestVif {
        addresses = List.copyOf(addresses);
        gateways = List.copyOf(gateways);
    }
}
