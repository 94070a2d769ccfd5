"""Frames that no honest guest sends, and what of them arrives at a neighbour.

send IFACE SEED COUNT OWN_IP OWN_IP6 PEER_IP PEER_IP6 PEER_MAC VICTIM_IP VICTIM_IP6 VICTIM_MAC
    sends COUNT hostile frames and a marker (an honest UDP packet to the victim) after every 20th
macs IFACE SEED COUNT
    sends COUNT frames, each from another address (N-42)
watch IFACE HOSTILE_MAC HOSTILE_IP HOSTILE_IP6 PEER_MAC
    counts what IFACE receives until SIGTERM, and prints it
"""

import ipaddress
import random
import signal
import socket
import struct
import sys
import time

MARKER_PORT = 4444
PACKET_OUTGOING = 4


def raw_socket(iface):
    # ETH_P_ALL for receiving; 0 would only send
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
    s.bind((iface, 0))
    return s


def send_all(iface, frames):
    s = raw_socket(iface)
    sent = refused = 0
    print("sending", flush=True)
    for i, frame in enumerate(frames):
        try:
            s.send(frame)
            sent += 1
        except OSError:  # longer than the interface takes
            refused += 1
        if i % 32 == 31:
            time.sleep(0.004)  # a TAP's own queue drops what comes faster
    print("sent", sent, "refused", refused, flush=True)


def hostile(rng, own_mac, own, own6, peer, peer6, peer_mac, victim, victim6, victim_mac):
    """One frame; the catalogue's number says of which kind."""
    from scapy.all import (ARP, Dot1Q, Ether, ICMP, ICMPv6MLReport, ICMPv6ND_NA, ICMPv6ND_RA,
                           ICMPv6ND_Redirect, ICMPv6NDOptDstLLAddr, ICMPv6NDOptPrefixInfo,
                           ICMPv6NDOptSrcLLAddr, IP, IPv6, IPv6ExtHdrFragment,
                           IPv6ExtHdrHopByHop, Raw, UDP)
    broadcast = "ff:ff:ff:ff:ff:ff"
    to = rng.choice([victim_mac, victim_mac, peer_mac, broadcast, "01:00:5e:00:00:01"])
    other = rng.choice([peer_mac, victim_mac, broadcast, "00:00:00:00:00:00",
                        "02:%02x:00:00:00:%02x" % (rng.randrange(256), rng.randrange(256))])
    mine = Ether(src=own_mac, dst=to)
    body = Raw(rng.randbytes(rng.randrange(0, 600)))
    kind = rng.randrange(18)
    if kind == 0:  # N-40
        return Ether(src=other, dst=to) / IP(src=own, dst=victim) / UDP(sport=1, dport=2) / body
    if kind == 1:  # N-40
        return Ether(src=other, dst=broadcast) / ARP(op=2, hwsrc=other, psrc=peer, pdst=peer)
    if kind == 2:  # N-41
        return mine / ARP(op=rng.choice([1, 2]), hwsrc=rng.choice([own_mac, other]), psrc=peer,
                          hwdst=victim_mac, pdst=victim)
    if kind == 3:  # N-41
        return mine / ARP(op=2, hwsrc=peer_mac, psrc=own, pdst=victim)
    if kind == 4:  # N-41
        return (Ether(src=own_mac, dst=victim_mac) / IPv6(src=rng.choice([own6, peer6]), dst=victim6)
                / ICMPv6ND_NA(tgt=peer6, R=0, O=1) / ICMPv6NDOptDstLLAddr(lladdr=own_mac))
    if kind == 5:  # N-41
        return (Ether(src=own_mac, dst="33:33:00:00:00:01") / IPv6(src="fe80::bad", dst="ff02::1")
                / ICMPv6ND_RA() / ICMPv6NDOptSrcLLAddr(lladdr=own_mac)
                / ICMPv6NDOptPrefixInfo(prefix="fd00:bad::", prefixlen=64))
    if kind == 6:  # N-41, N-47
        source = rng.choice([peer, victim, "127.0.0.1", "169.254.169.254", "224.0.0.1", "0.0.0.0"])
        return mine / IP(src=source, dst=victim) / UDP(sport=68, dport=68) / body
    if kind == 7:  # N-41
        return (Ether(src=own_mac, dst=victim_mac) / IPv6(src="fe80::bad", dst=victim6)
                / ICMPv6ND_Redirect(tgt=own6, dst=peer6))
    if kind == 8:  # N-43: queries make a querier of a guest, reports fill tables
        igmp = struct.pack(">BBHI", rng.choice([0x11, 0x12, 0x16, 0x17, 0x22, 0xff]),
                           rng.randrange(256), rng.randrange(65536), rng.getrandbits(32))
        return (Ether(src=own_mac, dst="01:00:5e:00:00:%02x" % rng.randrange(256))
                / IP(src=rng.choice([own, peer]), dst="224.0.0.%d" % rng.randrange(256), proto=2,
                     ttl=1) / Raw(igmp[:rng.randrange(9)] + rng.randbytes(rng.randrange(40))))
    if kind == 9:  # N-43
        mld = struct.pack(">BBHHH", rng.choice([130, 131, 132, 143]), 0, 0, 0,
                          rng.choice([0, 1, 65535]))
        return (Ether(src=own_mac, dst="33:33:00:00:00:16") / IPv6(src=own6, dst="ff02::16", hlim=1)
                / IPv6ExtHdrHopByHop(nh=58, options=[]) / Raw(mld + rng.randbytes(rng.randrange(40))))
    if kind == 10:  # N-43
        return (Ether(src=own_mac, dst="33:33:00:00:00:05") / IPv6(src=own6, dst="ff02::5")
                / ICMPv6MLReport(mladdr="ff02::%x" % rng.randrange(65536)))
    if kind == 11:  # N-44
        frame = mine
        for _ in range(rng.randrange(1, 20)):
            frame = frame / Dot1Q(vlan=rng.randrange(4096), type=rng.choice([0x8100, 0x88a8]))
        return frame / IP(src=rng.choice([own, peer]), dst=victim) / UDP() / body
    if kind == 12:  # N-44: 802.3 with a length that is not so, or with SNAP
        return (bytes(mine)[:12] + struct.pack(">H", rng.randrange(1501))
                + rng.choice([b"", b"\xaa\xaa\x03\0\0\0\x08\0"]) + rng.randbytes(rng.randrange(200)))
    if kind == 13:  # N-44: lengths that are not so
        packet = bytearray(bytes(IP(src=own, dst=victim) / UDP(sport=5, dport=6) / body))
        at = rng.choice([0, 2, 3, 6, 7, 24, 25])
        packet[at] = rng.randrange(256)
        return bytes(mine)[:12] + b"\x08\0" + bytes(packet[:rng.randrange(len(packet) + 1)])
    if kind == 14:  # N-44
        packet = bytearray(bytes(IPv6(src=own6, dst=victim6) / UDP(sport=5, dport=6) / body))
        packet[rng.choice([0, 4, 5, 6])] = rng.randrange(256)
        return bytes(mine)[:12] + b"\x86\xdd" + bytes(packet[:rng.randrange(len(packet) + 1)])
    if kind == 15:  # N-45: tiny, overlapping, past 64 KiB, never complete
        return (mine / IP(src=own, dst=victim, id=rng.randrange(8), flags=rng.choice([0, 1]),
                          frag=rng.choice([0, 1, 2, 3, 8, 185, 8191]), proto=rng.choice([1, 6, 17]))
                / Raw(rng.randbytes(rng.choice([1, 8, 16, 24, 1400]))))
    if kind == 16:  # N-45
        return (mine / IPv6(src=own6, dst=victim6)
                / IPv6ExtHdrFragment(nh=rng.choice([17, 44, 58]), id=rng.randrange(8),
                                     m=rng.choice([0, 1]), offset=rng.choice([0, 1, 2, 8191]))
                / Raw(rng.randbytes(rng.choice([1, 8, 16, 24, 1400]))))
    noise = rng.randbytes(rng.randrange(14, 1515))
    if rng.random() < 0.7:
        noise = bytes(mine)[:12] + noise[12:]
    return noise


def send(iface, seed, count, own, own6, *others):
    from scapy.all import Ether, IP, UDP, get_if_hwaddr
    own_mac = get_if_hwaddr(iface)
    rng = random.Random(int(seed))
    victim, victim_mac = others[3], others[5]
    marker = bytes(Ether(src=own_mac, dst=victim_mac) / IP(src=own, dst=victim)
                   / UDP(sport=MARKER_PORT, dport=MARKER_PORT) / b"honest")
    frames = []
    for i in range(int(count)):
        frames.append(bytes(hostile(rng, own_mac, own, own6, *others)))
        if i % 20 == 19:
            frames.append(marker)
    print("markers", int(count) // 20)
    send_all(iface, frames)


def macs(iface, seed, count):
    rng = random.Random(int(seed))
    send_all(iface, (b"\xff" * 6 + b"\x02" + rng.randbytes(5) + b"\x88\xb5" + bytes(46)
                     for _ in range(int(count))))


def verdict(frame, mac, ip, ip6, peer_mac):
    """What a frame is for its receiver. Plain struct, no scapy: it shall be quick."""
    source = frame[6:12]
    kind = frame[12:14]
    if source == peer_mac:  # the forged ones have an address of the hostile guest, or one twice
        forged = (kind == b"\x08\0" and frame[26:30] == ip
                  or kind == b"\x08\x06" and frame[28:32] == frame[38:42])
        return "foreign" if forged else "peer"
    if source != mac:
        return "foreign"
    if kind == b"\x08\x06":
        honest = frame[22:28] == mac and frame[28:32] in (ip, bytes(4))
        return "arp" if honest else "poison"
    if kind == b"\x08\0":
        if frame[26:30] == bytes(4):
            return "dhcp" if frame[34:38] == struct.pack(">HH", 68, 67) else "spoofed"
        if frame[26:30] != ip:
            return "spoofed"
        return "marker" if frame[34:36] == struct.pack(">H", MARKER_PORT) else "own"
    if kind == b"\x86\xdd":
        local = b"\xfe\x80" + bytes(6) + bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]
        if frame[22:38] not in (ip6, local, bytes(16)):
            return "spoofed"
        if frame[20] == 58 and frame[54] in (134, 137):
            return "poison"
        if frame[20] == 58 and frame[54] == 136 and frame[62:78] not in (ip6, local):
            return "poison"
        return "own"
    return "disguised"


def watch(iface, mac, ip, ip6, peer_mac):
    s = raw_socket(iface)
    known = (bytes.fromhex(mac.replace(":", "")), socket.inet_aton(ip),
             ipaddress.ip_address(ip6).packed, bytes.fromhex(peer_mac.replace(":", "")))
    counts = {}
    ending = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(1))
    s.settimeout(0.1)
    print("watching", flush=True)
    while True:
        try:
            frame, address = s.recvfrom(2048)
        except TimeoutError:
            if ending:
                break
            continue
        if address[2] != PACKET_OUTGOING:
            what = verdict(frame, *known)
            counts[what] = counts.get(what, 0) + 1
            if what in ("foreign", "poison", "spoofed", "disguised") and counts[what] < 4:
                print(what, frame[:80].hex())
    # struct tpacket_stats: packets, drops
    lost = struct.unpack("II", s.getsockopt(263, 6, 8))[1]
    print("counts:", " ".join("%s=%d" % each for each in sorted(counts.items())), "lost=%d" % lost,
          flush=True)


{"send": send, "macs": macs, "watch": watch}[sys.argv[1]](*sys.argv[2:])
