"""Random frames: well-formed ones of every protocol that a rule can look at, and broken ones made out of them.

Addresses, ports and tags come from small pools that the rules use too, so that rules are hit.
"""
import ipaddress
import struct


class Pools:
    """What rules and frames of one case have in common."""

    def __init__(self, random):
        stem = bytes(random.randrange(256) & (0xFC if n == 0 else 0xFF) for n in range(4))
        self.macs = [stem + struct.pack('!H', n) for n in range(1, 6)]
        self.groups = [b'\xff' * 6, bytes.fromhex('01005e00007d'), bytes.fromhex('333300000001'), bytes.fromhex('0180c2000000')]
        net = random.randrange(1 << 16)
        self.v4 = [ipaddress.ip_address(0x0A000000 | net << 8 | random.randrange(256)) for _ in range(5)]
        self.v4 += [ipaddress.ip_address('172.16.0.1'), ipaddress.ip_address('224.0.0.251'), ipaddress.ip_address(random.getrandbits(32))]
        prefix = 0x20010DB8 << 96 | random.getrandbits(32) << 64
        self.v6 = [ipaddress.ip_address(prefix | random.randrange(1 << 12)) for _ in range(5)]
        self.v6 += [ipaddress.ip_address('fe80::1'), ipaddress.ip_address('ff02::1'), ipaddress.ip_address(random.getrandbits(128))]
        self.ports = [80, 443, 53, 4789, random.randrange(1, 65536), random.randrange(1, 65536)]
        self.vlans = [1, 10, random.randrange(1, 4095), random.randrange(1, 4095)]
        self.labels = [0, 3, 16, random.randrange(1 << 20)]
        self.types = [0x9000, 0x88CC, 0x8902, 0x05FF, 0x0600]


def checksum(data):
    if len(data) % 2:
        data += b'\0'
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Frames:
    def __init__(self, random, pools, drop_eligible=True):
        self.random, self.pools = random, pools
        self.drop_eligible = drop_eligible  # whether some tags have the DEI bit set (802.1Q-2018, 9.6)

    def mac(self, group=0.1):
        if self.random.random() < group:
            return self.random.choice(self.pools.groups)
        return self.random.choice(self.pools.macs)

    def frame(self, broken=0.2):
        """One frame; `broken` is the share of those that are damaged."""
        frame = self.whole()
        if self.random.random() < broken:
            frame = self.damage(frame)
        return frame[:1500]

    def whole(self):
        ethertype, payload = self.payload()
        head = self.mac(0.12) + self.mac(0.03)
        for _ in range(self.random.choices((0, 1, 2, 3), (60, 28, 9, 3))[0]):
            tpid = self.random.choices((0x8100, 0x88A8, 0x9100), (75, 22, 3))[0]
            tci = self.random.choice(self.pools.vlans) | self.random.choice((0, 0, 0, 5, 7)) << 13 | (0x1000 if self.drop_eligible and self.random.random() < 0.03 else 0)
            if self.random.random() < 0.06:
                tci &= 0xE000  # a priority tag
            head += struct.pack('!HH', tpid, tci)
        if ethertype is None:  # 802.3 with a length instead of a type
            return head + struct.pack('!H', len(payload)) + payload
        frame = head + struct.pack('!H', ethertype) + payload
        if self.random.random() < 0.3:
            frame = frame.ljust(60, b'\0')
        return frame

    def payload(self):
        kinds = ((self.ipv4, 45), (self.ipv6, 28), (self.arp, 9), (self.mpls, 8), (self.llc, 4), (self.other, 6))
        return self.random.choices([k for k, _ in kinds], [w for _, w in kinds])[0]()

    def other(self):
        return self.random.choice(self.pools.types + [0x86DE, 0x8035]), self.random.randbytes(self.random.choice((0, 1, 20, 46)))

    def llc(self):
        if self.random.random() < 0.5:  # SNAP
            ethertype, payload = self.random.choice((self.ipv4, self.arp, self.other))()
            oui = b'\0\0\0' if self.random.random() < 0.7 else b'\0\0\x0c'
            return None, b'\xaa\xaa\x03' + oui + struct.pack('!H', ethertype) + payload
        return None, b'\x42\x42\x03' + self.random.randbytes(35)

    def arp(self):
        address = lambda: self.random.choice(self.pools.v4).packed
        op = self.random.choices((1, 2, 3, 256, 0), (50, 40, 4, 3, 3))[0]
        hardware = self.random.choices(((1, 0x800, 6, 4), (1, 0x800, 6, 6), (6, 0x800, 6, 4)), (92, 4, 4))[0]
        body = struct.pack('!HHBBH', *hardware, op) + self.mac() + address() + self.mac() + address()
        return (0x0806 if self.random.random() < 0.9 else 0x8035), body

    def mpls(self):
        count, stack = self.random.choices((1, 2, 3, 4), (50, 30, 15, 5))[0], b''
        for n in range(count):
            bottom = n == count - 1 and self.random.random() < 0.95
            entry = self.random.choice(self.pools.labels) << 12 | self.random.choice((0, 5)) << 9 | bottom << 8 | self.random.choice((64, 1, 255, 0))
            stack += struct.pack('!I', entry)
        inner = self.random.choice((self.ipv4, self.ipv4, self.ipv6, self.other))()[1]
        return self.random.choices((0x8847, 0x8848), (85, 15))[0], stack + inner

    def ipv4(self):
        source, destination = self.random.choice(self.pools.v4), self.random.choice(self.pools.v4)
        protocol, body = self.transport(source, destination)
        options = self.random.randbytes(4 * self.random.choice((1, 2, 10))) if self.random.random() < 0.06 else b''
        fragment = 0
        if self.random.random() < 0.12:
            fragment = self.random.choice((0x2000, 0x2000, 0x2010, 0x0010, 0x1FFF, 0x8000))
        elif self.random.random() < 0.5:
            fragment = 0x4000
        header = struct.pack('!BBHHHBBH', 0x45 + len(options) // 4, self.tos(), 20 + len(options) + len(body), self.random.getrandbits(16),
                             fragment, self.ttl(), protocol, 0) + source.packed + destination.packed + options
        header = header[:10] + struct.pack('!H', checksum(header)) + header[12:]
        return 0x0800, header + body

    def ipv6(self):
        source, destination = self.random.choice(self.pools.v6), self.random.choice(self.pools.v6)
        protocol, body = self.transport(source, destination)
        for _ in range(self.random.choices((0, 1, 2, 3), (80, 12, 5, 3))[0]):
            protocol, body = self.extension(protocol, body)
        label = self.random.choice((0, 0, 0x12345, self.random.getrandbits(20)))
        header = struct.pack('!IHBB', 6 << 28 | self.tos() << 20 | label, len(body) & 0xFFFF, protocol, self.ttl())
        return 0x86DD, header + source.packed + destination.packed + body

    def extension(self, protocol, body):
        kind = self.random.choice((0, 43, 60, 44, 44, 51))
        if kind == 44:
            offset = self.random.choice((0x0001, 0x0000, 0x0008, 0x0009, 0xFFF8))
            return kind, struct.pack('!BBHI', protocol, 0, offset, self.random.getrandbits(32)) + body
        length = self.random.choice((0, 0, 1, 2))
        size = (length + 2) * 4 if kind == 51 else (length + 1) * 8
        return kind, struct.pack('!BB', protocol, length) + self.random.randbytes(size - 2) + body

    def tos(self):
        return self.random.choice((0, 0, 0, 0x28, 0xB8, self.random.getrandbits(8)))

    def ttl(self):
        return self.random.choices((64, 255, 1, 0, 2, 128), (60, 15, 10, 5, 5, 5))[0]

    def transport(self, source, destination):
        version = source.version
        kinds = [(self.tcp, 30), (self.udp, 30), (self.sctp, 7), (self.icmp, 12), (self.igmp, 3), (self.bare, 5)]
        if version == 6:
            kinds = [(self.tcp, 28), (self.udp, 28), (self.sctp, 7), (self.icmp6, 12), (self.neighbour, 18), (self.bare, 5), (self.icmp, 2)]
        protocol, body, at = self.random.choices([k for k, _ in kinds], [w for _, w in kinds])[0]()
        if at is not None and self.random.random() < 0.95:
            if protocol == 1 or protocol == 2:
                pseudo = b''
            elif version == 4:
                pseudo = source.packed + destination.packed + struct.pack('!BBH', 0, protocol, len(body))
            else:
                pseudo = source.packed + destination.packed + struct.pack('!II', len(body), protocol)
            sum_ = checksum(pseudo + body[:at] + b'\0\0' + body[at + 2:])
            if protocol == 17:
                sum_ = 0 if version == 4 and self.random.random() < 0.1 else sum_ or 0xFFFF
            body = body[:at] + struct.pack('!H', sum_) + body[at + 2:]
        return protocol, body

    def l4_ports(self):
        return self.random.choice(self.pools.ports), self.random.choice(self.pools.ports)

    def data(self):
        return self.random.randbytes(self.random.choice((0, 0, 1, 7, 18, 40, 200)))

    def tcp(self):
        options = self.random.randbytes(4 * self.random.choice((0, 0, 0, 1, 5)))
        flags = self.random.choice((0x02, 0x12, 0x10, 0x18, 0x04, 0x11, 0x00, 0x1FF, self.random.getrandbits(12)))
        return 6, struct.pack('!HHIIHHHH', *self.l4_ports(), 1, 2, (5 + len(options) // 4) << 12 | flags & 0xFFF, 512, 0, 0) + options + self.data(), 16

    def udp(self):
        data = self.data()
        return 17, struct.pack('!HHHH', *self.l4_ports(), 8 + len(data), 0) + data, 6

    def sctp(self):
        return 132, struct.pack('!HHII', *self.l4_ports(), self.random.getrandbits(32), self.random.getrandbits(32)) + self.data(), None

    def icmp(self):
        kind = self.random.choice((8, 0, 3, 11, 5, self.random.getrandbits(8)))
        return 1, struct.pack('!BBHI', kind, self.random.choice((0, 0, 1, 4)), 0, self.random.getrandbits(32)) + self.data(), 2

    def icmp6(self):
        kind = self.random.choice((128, 129, 1, 2, 3, 133, 134, 137, self.random.getrandbits(8)))
        return 58, struct.pack('!BBHI', kind, self.random.choice((0, 0, 0, 1)), 0, self.random.getrandbits(32)) + self.data(), 2

    def igmp(self):
        return 2, struct.pack('!BBH4s', self.random.choice((0x11, 0x16, 0x17)), 0, 0, self.pools.v4[6].packed), 2

    def bare(self):
        return self.random.choice((0, 47, 50, 59, 89, 255)), self.data(), None

    def neighbour(self):
        """Neighbour solicitation or advertisement, with none to three options, some of them wrong."""
        kind = self.random.choice((135, 136))
        body = struct.pack('!BBHI', kind, 0 if self.random.random() < 0.93 else 1, 0, self.random.choice((0, 0x60000000)))
        body += self.random.choice(self.pools.v6).packed
        for _ in range(self.random.choices((0, 1, 2, 3), (20, 65, 12, 3))[0]):
            option = self.random.choices((kind - 134, 3 - (kind - 134), 14), (75, 15, 10))[0]
            length = self.random.choices((1, 2, 0, 31), (88, 6, 3, 3))[0]
            body += struct.pack('!BB', option, length) + self.mac() + (b'\0' * 8 if length == 2 else b'')
        return 58, body, 2

    def damage(self, frame):
        """Truncated, a byte changed, or trailing bytes: still at least an Ethernet header."""
        for _ in range(self.random.choice((1, 1, 2))):
            how = self.random.randrange(4)
            if how == 0 and len(frame) > 14:
                frame = frame[:self.random.randrange(14, len(frame))]
            elif how == 1:
                at = self.random.randrange(12, max(13, min(len(frame), 90)))
                value = self.random.choice((0, 0xFF, self.random.randrange(256), frame[at:at + 1][0] ^ 1 << self.random.randrange(8) if at < len(frame) else 0))
                frame = frame[:at] + bytes([value]) + frame[at + 1:]
            elif how == 2:
                frame += self.random.randbytes(self.random.randrange(1, 30))
            else:
                at = self.random.randrange(12, len(frame) + 1)
                frame = frame[:at] + self.random.randbytes(self.random.choice((1, 2, 4))) + frame[at:]
        return frame if len(frame) >= 14 else frame.ljust(14, b'\0')
