"""Conversations between two hosts, of which a switch in between sees every frame: as they should be, and as they should not.

A conversation decides one frame at a time. It is told what of its frames arrived at the other end, and looking like what, so
that answers go to translated addresses, as they do in life. TCP follows a script (handshake, data, end, perhaps again on
the same ports); at every point something else may happen instead: a retransmission, a segment outside the window, a reset, a
SYN from the other side, a wrong checksum, options that make no sense. Errors of ICMP quote what arrived, whole, short or lying.
"""
import struct

from frames import checksum

SYN, ACK, FIN, RST, PSH, URG = 0x02, 0x10, 0x01, 0x04, 0x08, 0x20
MASK = 0xFFFFFFFF


class Host:
    def __init__(self, port, mac, v4, v6):
        self.port, self.mac, self.addresses = port, mac, {4: v4, 6: v6}


def pseudo_header(version, source, destination, protocol, length):
    if version == 4:
        return source.packed + destination.packed + struct.pack('!BBH', 0, protocol, length)
    return source.packed + destination.packed + struct.pack('!II', length, protocol)


def summed(version, source, destination, protocol, body, at):
    """A transport header and what follows, with the right checksum at offset `at`."""
    pseudo = b'' if protocol == 1 else pseudo_header(version, source, destination, protocol, len(body))
    total = checksum(pseudo + body[:at] + b'\0\0' + body[at + 2:])
    return body[:at] + struct.pack('!H', total or (0xFFFF if protocol == 17 else 0)) + body[at + 2:]


class Seen:
    """What an arrived frame says: addresses, ports, and the network packet itself."""

    def __init__(self, frame, address):
        at = 14
        self.version = 4 if frame[12] == 8 else 6
        self.packet = frame[at:]
        if self.version == 4:
            length = struct.unpack_from('!H', frame, at + 2)[0]
            self.packet = frame[at:at + length]
            self.source, self.destination = address(frame[at + 12:at + 16]), address(frame[at + 16:at + 20])
            self.protocol, at = frame[at + 9], at + (frame[at] & 15) * 4
        else:
            self.source, self.destination = address(frame[at + 8:at + 24]), address(frame[at + 24:at + 40])
            self.protocol, at = frame[at + 6], at + 40
            if self.protocol == 60:
                self.protocol, at = frame[at], at + (frame[at + 1] + 1) * 8
        self.l4 = frame[at:]
        self.ports = struct.unpack_from('!HH', frame, at) if len(frame) >= at + 4 else (0, 0)


class Talk:
    """One conversation. Side 0 begins; `target` is the address that it sends to."""

    def __init__(self, random, kind, version, sides, target, ports, address):
        self.random, self.kind, self.version, self.sides = random, kind, version, sides
        self.target, self.ports, self.address = target, ports, address
        self.arrived = [None, None]  # the last frame that came to each side
        self.sent = []               # (side, frame)
        self.begin()

    def begin(self):
        r = self.random
        self.next = [r.choice((r.getrandbits(32), 0xFFFFFF00, 1)), r.getrandbits(32)]
        self.scale = [r.choice((None, 0, 2, 7, 14, 15)), r.choice((None, 0, 3, 7))]
        self.script = self.plan() if self.kind == 'tcp' else []
        self.identifier = r.getrandbits(16)

    def plan(self):
        r = self.random
        steps = [(0, SYN), (1, SYN | ACK), (0, ACK)]
        if r.random() < 0.12:  # simultaneous open (RFC 9293, section 3.5)
            steps = [(0, SYN), (1, SYN), (0, SYN | ACK), (1, SYN | ACK)]
        elif r.random() < 0.15:  # picked up in the middle
            steps = []
        for _ in range(r.randrange(0, 8)):
            steps.append((r.randrange(2), r.choice((ACK, ACK | PSH, ACK | PSH))))
        first = r.randrange(2)
        steps += r.choice(([], [(first, FIN | ACK), (1 - first, ACK), (1 - first, FIN | ACK), (first, ACK)],
                           [(first, FIN | ACK), (1 - first, FIN | ACK), (first, ACK), (1 - first, ACK)],
                           [(first, RST | ACK)], [(first, RST)], [(first, FIN | ACK), (1 - first, RST)]))
        return steps

    def tuple_from(self, side):
        """Source, destination and ports of what a side sends: to whom it heard from, else to whom it thinks."""
        seen = self.arrived[side]
        if seen is not None and seen.protocol not in (1, 58):
            return seen.destination, seen.source, (seen.ports[1], seen.ports[0])
        own = self.sides[side].addresses[self.version]
        if side == 0:
            return own, self.target, self.ports
        if seen is not None:
            return own, seen.source, (self.ports[1], self.ports[0])
        return own, self.sides[0].addresses[self.version], (self.ports[1], self.ports[0])

    def saw(self, side, frame):
        """A frame of this conversation came out where a side is."""
        if frame[12:14] in (b'\x08\x00', b'\x86\xdd'):
            try:
                self.arrived[side] = Seen(frame, self.address)
            except (ValueError, IndexError, struct.error):
                pass  # cut short

    def frame(self):
        """The side that sends, and what."""
        side, protocol, body = getattr(self, self.kind)()
        if body is None:
            frame = protocol
        else:
            frame = self.wrap(side, protocol, body)
        self.sent.append((side, frame))
        return self.sides[side].port, frame

    def wrap(self, side, protocol, body, source=None, destination=None):
        r = self.random
        own, other, _ = self.tuple_from(side)
        source, destination = source or own, destination or other
        if self.version == 4:
            options = bytes((1, 1, 1, 0)) if r.random() < 0.03 else b''
            header = struct.pack('!BBHHHBBH', 0x45 + len(options) // 4, 0, 20 + len(options) + len(body), r.getrandbits(16), r.choice((0, 0x4000)),
                                 r.choice((64, 64, 1)), protocol, 0) + source.packed + destination.packed + options
            total = checksum(header) if r.random() > 0.01 else r.getrandbits(16)
            packet = header[:10] + struct.pack('!H', total) + header[12:] + body
        else:
            if r.random() < 0.04:
                protocol, body = 60, struct.pack('!BB6x', protocol, 0) + body
            packet = struct.pack('!IHBB', 6 << 28, len(body), protocol, 64) + source.packed + destination.packed + body
        frame = self.sides[1 - side].mac + self.sides[side].mac + (b'\x08\x00' if self.version == 4 else b'\x86\xdd') + packet
        if r.random() < 0.3:
            frame = frame.ljust(60, b'\0')
        elif r.random() < 0.03:
            frame += r.randbytes(r.randrange(1, 9))
        if r.random() < 0.01:
            frame = frame[:r.randrange(14, len(frame))]
        return frame

    def again(self):
        """Something that was sent before, from where it was sent."""
        side, frame = self.random.choice(self.sent[-6:])
        return side, frame, None

    # TCP

    def tcp(self):
        r = self.random
        if self.sent and r.random() < 0.09:
            return self.again()
        if r.random() < 0.2:
            return self.stray()
        if not self.script:
            if r.random() < 0.5:
                side = r.randrange(2)
                return self.segment(side, r.choice((ACK, ACK | PSH, RST | ACK, FIN | ACK)))
            self.begin()  # the same ports once more
            return self.tcp()
        side, flags = self.script.pop(0)
        if side == 1 and self.arrived[1] is None and r.random() < 0.9:
            side = 0  # nobody answers what did not arrive
        if r.random() < 0.05:  # lost before it came here
            self.advance(side, flags, 0)
        return self.segment(side, flags)

    def stray(self):
        """What a script does not have."""
        r, side, kind = self.random, self.random.randrange(2), self.random.randrange(11)
        if self.arrived[1] is None:
            side = 0
        ahead = lambda *choices: self.next[side] + r.choice(choices) & MASK
        if kind == 0:  # outside the window, or at its edges
            return self.segment(side, r.choice((ACK, ACK | PSH)), ahead(-70_000, -1, 1, 65_535, 66_000, 200_000, 1 << 30, 1 << 31), keep=True)
        if kind == 1:  # a reset that hits or misses (RFC 5961, section 3.2)
            return self.segment(side, r.choice((RST, RST | ACK)), ahead(0, 1, -1, 2, 500, 100_000), keep=r.random() < 0.7)
        if kind == 2:  # acknowledges what was not sent
            return self.segment(side, ACK, acknowledges=self.next[1 - side] + r.choice((1, 70_000, -70_000, 1 << 29)) & MASK, keep=True)
        if kind == 3:
            return self.segment(side, SYN, r.choice((self.next[side], r.getrandbits(32))), keep=True)
        if kind == 4:
            return self.segment(side, SYN | ACK, keep=True)
        if kind == 5:
            return self.segment(side, r.choice((0, FIN, SYN | FIN, SYN | RST, PSH, URG, 0x3F, ACK | URG, SYN | PSH, r.getrandbits(12))), keep=True)
        if kind == 6:
            return self.segment(side, ACK | PSH, broken='checksum', keep=True)
        if kind == 7:
            return self.segment(side, r.choice((SYN, ACK)), broken='options', keep=True)
        if kind == 8:
            return self.segment(side, ACK, broken='offset', keep=True)
        if kind == 9:  # keep-alive (RFC 9293, section 3.8.4)
            return self.segment(side, ACK, ahead(-1), keep=True)
        return self.segment(side, ACK, window=r.choice((0, 1, 65_535)), keep=r.random() < 0.5)

    def segment(self, side, flags, sequence=None, acknowledges=None, window=None, broken=None, keep=False):
        r = self.random
        source, destination, ports = self.tuple_from(side)
        data = r.randbytes(r.choice((1, 5, 100, 536))) if flags & PSH or r.random() < 0.05 and not flags & (SYN | RST) else b''
        options = b''
        if flags & SYN and self.scale[side] is not None and not (flags & ACK and self.scale[0] is None):
            options = struct.pack('!BBBBBBBB', 2, 4, 5, 0xB4, 1, 3, 3, self.scale[side])
        elif r.random() < 0.15 and flags & ACK and not flags & SYN:
            options = struct.pack('!BBBBII', 1, 1, 8, 10, r.getrandbits(32), r.getrandbits(32))
        if broken == 'options':
            options = r.choice((b'\x03\x00\x07\x00', b'\x03\x03', b'\x02\x04\x05', b'\x08\xff\x00\x00', b'\x03\x03\xff\x00', b'\x03\x01\x03\x03\x07\x00\x00\x00'))
            options = options.ljust((len(options) + 3) // 4 * 4, r.choice((b'\0', b'\1')))
        words = 5 + len(options) // 4
        if broken == 'offset':
            words = r.choice((0, 4, 6, 15))
        sequence = self.next[side] if sequence is None else sequence
        acknowledges = (self.next[1 - side] if flags & ACK else 0) if acknowledges is None else acknowledges
        if window is None:
            window = r.choice((512, 8192, 65_535))
        body = struct.pack('!HHIIHHHH', *ports, sequence, acknowledges, words << 12 | flags & 0xFFF, window, 0, 0) + options + data
        body = summed(self.version, source, destination, 6, body, 16)
        if broken == 'checksum':
            body = body[:16] + bytes((body[16] ^ 1 << r.randrange(8),)) + body[17:]
        if not keep:
            self.advance(side, flags, len(data))
        return side, 6, body

    def advance(self, side, flags, size):
        self.next[side] = self.next[side] + size + bool(flags & SYN) + bool(flags & FIN) & MASK

    # UDP and others

    def udp(self):
        r = self.random
        if self.sent and r.random() < 0.15:
            return self.again()
        side = r.choice((0, 0, 1)) if self.arrived[1] or r.random() < 0.1 else 0
        source, destination, ports = self.tuple_from(side)
        data = r.randbytes(r.choice((0, 1, 18, 200)))
        length = 8 + len(data)
        lying = r.random() < 0.05
        if lying:
            length = r.choice((0, 7, length + 1, max(8, length - 1), 0xFFFF))
        body = summed(self.version, source, destination, 17, struct.pack('!HHHH', *ports, length, 0) + data, 6)
        if r.random() < 0.08:
            body = body[:6] + r.choice((b'\0\0', b'\x12\x34', b'\xff\xff')) + body[8:]
        return side, 17, body

    def icmp(self):
        """Queries: echo and, in IPv4, timestamp and information (RFC 792; RFC 4443, section 4)."""
        r = self.random
        if self.sent and r.random() < 0.15:
            return self.again()
        pairs = ((8, 0), (8, 0), (13, 14), (15, 16)) if self.version == 4 else ((128, 129),)
        request, reply = pairs[self.identifier % len(pairs)]
        side = r.choice((0, 0, 1, 1)) if self.arrived[1] or r.random() < 0.15 else 0
        source, destination, _ = self.tuple_from(side)
        identifier = self.identifier
        seen = self.arrived[side]
        if seen is not None and seen.protocol in (1, 58) and len(seen.l4) >= 6:
            identifier = struct.unpack_from('!H', seen.l4, 4)[0]
        if side == 1 and seen is not None:
            destination = seen.source
        protocol = 1 if self.version == 4 else 58
        kind = reply if side == 1 else request
        if r.random() < 0.06:
            kind = r.choice((request, reply, 9, 10, 17, 42, 133, 135))
        code = 0 if r.random() > 0.04 else 1
        body = struct.pack('!BBHHH', kind, code, 0, identifier, r.getrandbits(16)) + r.randbytes(r.choice((0, 12, 40)))
        body = summed(self.version, source, destination, protocol, body, 2)
        if r.random() < 0.04:
            body = body[:2] + r.randbytes(2) + body[4:]
        return side, protocol, body

    def other(self):
        r = self.random
        side = r.randrange(2)
        protocol = (132, 47, 50, 33)[self.identifier % 4]
        return side, protocol, struct.pack('!HH', *self.tuple_from(side)[2]) + r.randbytes(r.choice((0, 8, 20)))

    def error(self, router=None):
        """An ICMP error about what came to a side, from there or from a router on the way; None if nothing came."""
        r = self.random
        side = r.choice([n for n in (0, 1) if self.arrived[n] is not None] or [None])
        if side is None:
            return None
        seen = self.arrived[side]
        quoted = bytearray(seen.packet)
        self.garble(quoted)
        header = 40 if self.version == 6 else 20
        quoted = bytes(quoted)[:r.choice((header + 8, header + 8, header + 20, header + 28, 576, 4, header, header + 7, len(quoted)))]
        if self.version == 4:
            protocol, kind, code = 1, *r.choice(((3, 1), (3, 3), (3, 4), (11, 0), (4, 0), (5, 1), (12, 0), (3, 13)))
        else:
            protocol, kind, code = 58, *r.choice(((1, 4), (2, 0), (3, 0), (4, 1), (1, 0)))
        source = router if router is not None and r.random() < 0.3 else seen.destination
        destination = seen.source
        body = struct.pack('!BBHI', kind, code, 0, r.choice((0, 0, 1400))) + quoted
        body = summed(self.version, source, destination, protocol, body, 2)
        if r.random() < 0.04:
            body = body[:2] + r.randbytes(2) + body[4:]
        return self.sides[side].port, self.wrap(side, protocol, body, source, destination)

    def garble(self, quoted):
        """Now and then what is quoted is not what was sent."""
        r = self.random
        if r.random() > 0.25 or len(quoted) < 28:
            return
        kind = r.randrange(5)
        if kind == 0:  # its length
            quoted[2 if self.version == 4 else 4] ^= r.choice((0xFF, 0x01))
        elif kind == 1:  # its sender
            quoted[15 if self.version == 4 else 23] ^= 1
        elif kind == 2:  # header length or version
            quoted[0] = r.choice((0x4F, 0x44, 0x60, 0x00, 0x46))
        elif kind == 3:  # fragment, or the protocol
            quoted[6] = r.choice((0x20, 6, 17, 1, 58, 44))
        else:
            at = r.randrange(len(quoted))
            quoted[at] = r.getrandbits(8)
