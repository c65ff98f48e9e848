"""Broken conversations, fragments and errors through three switches at once, one in each cache mode: they must not end, must agree, and must lose no buffer.

The rules track and translate in one zone, and track in another, with the helper for FTP. What they commit in the first zone is
always translated, so that reply tuples are unique, and nothing depends on the order in which a hash table keeps things.
Input is text, one step a line, which is also the form of the corpus:

    p1 HEX...        frames received on a port, one after the other
    warp MS          time passes
    flush [WORD...]  ct/flush

After each round its frames are played once more, in bursts, by weft-replay in each mode.
"""
import collections
import ipaddress
import json
import struct
import subprocess
import tempfile

from frames import checksum
from pcap import PcapTail, write_pcap
from rpc import Refused
from talk import Host, Talk, summed
from weft import REPLAY, Weft

MODES = ('none', 'megaflow', 'all')
RULES = (
    'cookie=1,table=0,priority=10,ip,actions=ct(table=1,zone=5,nat)',
    'cookie=2,table=0,priority=10,ipv6,actions=ct(table=1,zone=5,nat)',
    'cookie=3,table=0,priority=0,actions=resubmit(,9)',
    'cookie=4,table=1,priority=20,ct_state=+new+trk,ip,in_port=1,actions=ct(commit,zone=5,exec(move:NXM_OF_IN_PORT[]->NXM_NX_CT_MARK[0..15]),nat(src=198.51.100.1),table=2)',
    'cookie=5,table=1,priority=20,ct_state=+new+trk,ipv6,in_port=1,actions=ct(commit,zone=5,nat(src=[2001:db8:fffe::1]),table=2)',
    'cookie=6,table=1,priority=30,ct_state=+new+trk,ip,nw_dst=203.0.113.10,in_port=1,actions=ct(commit,zone=5,exec(set_field:7->ct_label),nat(dst=10.1.2.10),table=2)',
    'cookie=7,table=1,priority=15,ct_state=+inv+trk,actions=resubmit(,9)',
    'cookie=8,table=1,priority=10,actions=resubmit(,2)',
    'cookie=9,table=2,priority=10,ip,actions=ct(table=3,zone=7)',
    'cookie=10,table=2,priority=10,ipv6,actions=ct(table=3,zone=7)',
    'cookie=11,table=3,priority=20,ct_state=+new+trk,tcp,tp_dst=21,actions=ct(commit,zone=7,alg=ftp),resubmit(,9)',
    'cookie=12,table=3,priority=10,ct_state=+new+trk,ip,actions=ct(commit,zone=7),resubmit(,9)',
    'cookie=12,table=3,priority=10,ct_state=+new+trk,ipv6,actions=ct(commit,zone=7),resubmit(,9)',
    'cookie=13,table=3,priority=10,ct_state=+rpl+trk,ip,actions=dec_ttl,resubmit(,9)',
    'cookie=14,table=3,priority=5,actions=resubmit(,9)',
    'cookie=15,table=9,in_port=1,actions=output:2',
    'cookie=16,table=9,in_port=2,actions=output:1',
)


class Disagreement(Exception):
    """The modes differ, or a switch does not balance."""


class Trio:
    """The same switch in each cache mode."""

    def __init__(self, weftd):
        self.switches, self.taps = [], []
        try:
            for mode in MODES:
                weft = Weft('--virtual-time', '--workers', '1', '--cache', mode, weftd=weftd)
                self.switches.append(weft)
                weft('add-br', 'br0', 'local=none', 'fail-mode=secure')
                for n in (1, 2):
                    weft('add-port', 'br0', f'p{n}', 'type=pcap', f'ofport={n}', f'tx={weft.dir}/p{n}.pcap')
                weft('ct/set', 'maxconns=2000', 'early-drop-age=never', 'min-frag-v4=400')
                for rule in RULES:
                    weft('add-flow', 'br0', rule)
                self.taps.append({f'p{n}': PcapTail(f'{weft.dir}/p{n}.pcap') for n in (1, 2)})
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for weft in self.switches:
            weft.close()
        for tap in (tap for taps in self.taps for tap in taps.values()):
            tap.close()

    def each(self, *words):
        return [weft(*words) for weft in self.switches]

    def same(self, what, answers):
        for mode, answer in zip(MODES[1:], answers[1:]):
            if answer != answers[0]:
                here, there = answer, answers[0]
                if isinstance(answer, list):  # of lines: those that only one has
                    here, there = [line for line in answer if line not in there], [line for line in there if line not in answer]
                raise Disagreement(f'{what}: --cache {mode} {str(here)[:1500]}, --cache {MODES[0]} {str(there)[:1500]}')
        return answers[0]

    def take(self, line):
        """One step; the frames that came out, by port."""
        words = line.split()
        if words[0] == 'warp':
            self.each('time/warp', words[1])
        elif words[0] == 'flush':
            self.same('flushed', self.each('ct/flush', *words[1:]))
        else:
            self.each('inject', *words)
        return self.same(line[:600], [{name: tap.new() for name, tap in taps.items()} for taps in self.taps])

    def compare(self):
        """Connections, counters and drops; and whether every frame is accounted for."""
        self.same('connections', [sorted(self.plain(line) for line in text.splitlines()) for text in self.each('ct/dump', '-m', '-s')])
        self.same('rules', [sorted(self.rule(line) for line in text.splitlines() if 'cookie' in line) for text in self.each('dump-flows', 'br0')])
        reports = self.each('drops', '--json')
        self.same('drops', [report['drops'] for report in reports])
        for mode, report in zip(MODES, reports):
            came = report['received'] + report['injected'] + report['copies']
            if came != report['sent'] + report['dropped'] + report['held']:
                raise Disagreement(f'--cache {mode}: {came} frames came, and not as many went, were dropped or are held: {report}')

    @staticmethod
    def plain(line):
        """Without the number of the record."""
        return ','.join(word for number, word in enumerate(line.split(',')) if not (word.startswith('id=') and line.split(',')[number - 1].endswith(')')))

    @staticmethod
    def rule(line):
        return [word for word in line.replace(',', ' ').split() if word.startswith(('cookie=', 'n_packets=', 'n_bytes='))]

    def end(self):
        """What waits is given up, everything else ended: no buffer may be in use any more."""
        self.take('warp 31000')
        self.take('flush')
        self.compare()
        for mode, report in zip(MODES, self.each('drops', '--json')):
            if report['held'] or report['buffers']:
                raise Disagreement(f"--cache {mode}: {report['held']} frames are held, {report['buffers']} buffers in use, and nothing goes on")


def address(data):
    return ipaddress.ip_address(bytes(data))


def mend(frame):
    """The frame with right checksums, as far as it can be read: so that what was broken elsewhere is looked at."""
    data = bytearray(frame)
    if len(data) < 34 or bytes(data[12:14]) not in (b'\x08\x00', b'\x86\xdd'):
        return bytes(data)
    if data[12] == 8:
        size, end = (data[14] & 15) * 4, min(len(data), 14 + struct.unpack_from('!H', data, 16)[0])
        if size < 20 or 14 + size > end:
            return bytes(data)
        data[24:26] = b'\0\0'
        data[24:26] = struct.pack('!H', checksum(bytes(data[14:14 + size])))
        version, protocol, l4, ends = 4, data[23], 14 + size, (data[26:30], data[30:34])
    else:
        if len(data) < 54:
            return bytes(data)
        version, protocol, l4, ends, end = 6, data[20], 54, (data[22:38], data[38:54]), min(len(data), 54 + struct.unpack_from('!H', data, 18)[0])
    at = {6: 16, 17: 6, 1: 2, 58: 2}.get(protocol)
    if at is not None and end - l4 >= at + 2:
        data[l4:end] = summed(version, address(ends[0]), address(ends[1]), protocol, bytes(data[l4:end]), at)
    return bytes(data)


class Source:
    """Makes steps up."""

    def __init__(self, r, mutate):
        self.random, self.mutate = r, mutate
        host = lambda n: Host(f'p{n}', bytes.fromhex(f'0200000000{n:02x}'), ipaddress.ip_address(f'10.1.{n}.10'), ipaddress.ip_address(f'2001:db8:{n}::10'))
        self.hosts = host(1), host(2)
        self.router = {4: ipaddress.ip_address('10.9.9.9'), 6: ipaddress.ip_address('2001:db8:9::9')}
        self.talks, self.current = [], None

    def talk(self):
        r = self.random
        if self.talks and r.random() < 0.92:
            return r.choice(self.talks[-10:])
        version = r.choice((4, 4, 6))
        sides = self.hosts if r.random() < 0.9 else self.hosts[::-1]
        target = ipaddress.ip_address('203.0.113.10') if version == 4 and r.random() < 0.3 and sides is self.hosts else sides[1].addresses[version]
        kind = r.choices(('tcp', 'udp', 'icmp', 'other'), (50, 20, 15, 15))[0]
        self.talks.append(Talk(r, kind, version, sides, target, (r.randrange(1024, 65536), r.choice((21, 53, 80))), address))
        return self.talks[-1]

    def saw(self, outputs):
        if self.current is not None:
            for side, host in enumerate(self.current.sides):
                for frame in outputs.get(host.port, []):
                    self.current.saw(side, frame)

    def damaged(self, frame):
        """Damaged behind the Ethernet header or not at all; half of it with right checksums."""
        r = self.random
        if r.random() < 0.5:
            return frame
        body = self.mutate(frame[14:])
        frame = (frame[:14] + body)[:9000]
        return mend(frame) if r.random() < 0.6 else frame

    def event(self):
        r = self.random
        self.current = None
        return r.choice((f'warp {r.choice((1, 500, 29_999, 30_001, 61_000))}', f'warp {r.choice((10, 1000))}', 'flush zone=7', 'flush'))

    def conversations(self):
        r = self.random
        if r.random() < 0.02:
            return self.event()
        self.current = self.talk()
        port, frame = self.current.frame()
        frames = [self.damaged(frame)]
        while r.random() < 0.25:  # more in the same burst
            again, more = self.current.frame()
            if again != port:
                break
            frames.append(self.damaged(more))
        return line(port, frames)

    def errors(self):
        """Errors about what arrived: whole, short, lying, damaged."""
        r = self.random
        if r.random() < 0.02:
            return self.event()
        self.current = self.talk()
        made = self.current.error(self.router[self.current.version]) if r.random() < 0.6 else None
        port, frame = made or self.current.frame()
        return line(port, [self.damaged(frame) if made else frame])

    def fragments(self):
        """The pieces of a datagram, as they should be or not, in any order, mixed with those of another."""
        r = self.random
        if r.random() < 0.04:
            self.current = None
            return r.choice(('warp 100', 'warp 5000', 'warp 31000', 'flush'))
        self.current = None
        version, side = r.choice((4, 4, 6)), r.choice((0, 0, 1))
        pieces = self.cut(version, side)
        if r.random() < 0.3:
            pieces += self.cut(version, side)
        if r.random() < 0.5:
            r.shuffle(pieces)
        if r.random() < 0.2:
            pieces.pop(r.randrange(len(pieces)))
        if r.random() < 0.2 and pieces:
            pieces.insert(r.randrange(len(pieces)), r.choice(pieces))
        if r.random() < 0.15 and pieces:
            at = r.randrange(len(pieces))
            pieces[at] = self.damaged(pieces[at])
        return line(self.hosts[side].port, pieces) if pieces else 'warp 1'

    def cut(self, version, side):
        r = self.random
        protocol = r.choice((17, 17, 6, 1 if version == 4 else 58))
        source = self.hosts[side].addresses[version]
        destination = self.hosts[1 - side].addresses[version] if side == 0 or r.random() < 0.3 else \
            ipaddress.ip_address('198.51.100.1' if version == 4 else '2001:db8:fffe::1')
        ports = (r.choice((2000, 2001)), 53) if side == 0 else (53, r.choice((2000, 2001)))
        data = r.randbytes(r.choice((1000, 2500, 4000)))
        if protocol == 17:
            body, at = struct.pack('!HHHH', *ports, 8 + len(data), 0) + data, 6
        elif protocol == 6:
            body, at = struct.pack('!HHIIHHHH', *ports, 1, 1, 0x5010, 512, 0, 0) + data, 16
        else:
            body, at = struct.pack('!BBHHH', 8 if version == 4 else 128, 0, 0, 7, 1) + data, 2
        body = summed(version, source, destination, protocol, body, at)
        size, ident = r.choice((400, 808, 1280, 1448)), r.choice((1, 2, r.getrandbits(16)))
        pieces, start = [], 0
        while start < len(body):
            length = size if r.random() < 0.9 else r.choice((8, 16, size - 3, size + 8))
            piece, more = body[start:start + length], start + length < len(body)
            offset = start if r.random() < 0.95 else max(0, start + r.choice((-16, -8, 8, 65_000)))
            pieces.append(self.piece(version, side, source, destination, protocol, piece, offset // 8 & 0x1FFF, more if r.random() < 0.97 else not more, ident))
            start += length
        return pieces

    def piece(self, version, side, source, destination, protocol, data, offset, more, ident):
        head = self.hosts[1 - side].mac + self.hosts[side].mac
        if version == 4:
            header = struct.pack('!BBHHHBBH', 0x45, 0, 20 + len(data), ident, offset | 0x2000 * more, 64, protocol, 0) + source.packed + destination.packed
            return head + b'\x08\x00' + header[:10] + struct.pack('!H', checksum(header)) + header[12:] + data
        header = struct.pack('!IHBB', 6 << 28, 8 + len(data), 44, 64) + source.packed + destination.packed
        return head + b'\x86\xdd' + header + struct.pack('!BBHI', protocol, 0, offset << 3 | more, ident) + data


BURST = 32
FILLER = bytes.fromhex('02000000000202000000000188b5')  # goes the way of what is not IP


def conversation(data):
    """What frames of one conversation, and errors about it, have in common whatever their direction and translation."""
    try:
        version = data[0] >> 4
        if version == 4:
            protocol, l4, fragment = data[9], (data[0] & 15) * 4, struct.unpack_from('!H', data, 6)[0] & 0x3FFF
            if fragment:
                return 'fragment', data[4:6]
        else:
            protocol, l4 = data[6], 40
            if protocol == 44:
                return 'fragment', data[44:48]
            if protocol == 60:
                protocol, l4 = data[40], 40 + (data[41] + 1) * 8
        if protocol in (1, 58) and data[l4] in ((3, 4, 5, 11, 12) if protocol == 1 else (1, 2, 3, 4)):
            return conversation(data[l4 + 8:])
        if protocol in (1, 58):
            return 'query', data[l4 + 4:l4 + 6]
        if protocol in (6, 17):
            return protocol, frozenset(struct.unpack_from('!HH', data, l4))
        return 'other', protocol
    except (IndexError, struct.error):
        return 'broken', 0


def spread(frames):
    """The frames in bursts in which no conversation occurs twice, each in its order, filled up where there are too few.

    Two first packets of one connection in one burst are both looked up before either is committed, or not, as the caches have it.
    """
    waiting, result = list(frames), []
    while waiting:
        burst, taken, left = [], set(), []
        for frame in waiting:
            key = conversation(frame[14:])
            if key in taken or len(burst) == BURST:
                left.append(frame)
            else:
                burst.append(frame)
            taken.add(key)
        result += burst + [FILLER] * (BURST - len(burst))
        waiting = left
    return result


class Bursts:
    """The frames of a round, each port's in bursts of 32, in each cache mode. Time is real, and next to none passes."""

    def __init__(self, replay):
        self.replay = replay or REPLAY

    def compare(self, steps):
        frames = {'p1': [], 'p2': []}
        for words in map(str.split, steps):
            if words[0] in frames:
                frames[words[0]] += [bytes.fromhex(word) for word in words[1:]]
        with tempfile.TemporaryDirectory(prefix='weft-fuzz-') as directory:
            for port, list_ in frames.items():
                write_pcap(f'{directory}/{port}.pcap', spread([frame for frame in list_ if len(frame) >= 14]))
            with open(f'{directory}/flows', 'w') as f:
                f.write('\n'.join(RULES) + '\n')
            with open(f'{directory}/setup', 'w') as f:
                f.write('add-br br0 local=none fail-mode=secure\nct/set min-frag-v4=400\n'
                        + ''.join(f'add-port br0 p{n} type=pcap ofport={n}\n' for n in (1, 2)))
            results = [self.play(mode, directory) for mode in MODES]
        for mode, result in zip(MODES[1:], results[1:]):
            if result != results[0]:
                here, there = ({port: list((a[0][port] - b[0][port]).elements())[:3] for port in frames} for a, b in ((result, results[0]), (results[0], result)))
                raise Disagreement(f'in bursts: only --cache {mode} {here} {result[1]}, only --cache {MODES[0]} {there} {results[0][1]}')

    def play(self, mode, directory):
        """Frames out by port, and the drops."""
        words = [self.replay, '--setup', f'{directory}/setup', '--flows', f'{directory}/flows', '--cache', mode, '--json']
        for port in ('p1', 'p2'):
            words += ['--rx', f'{port}={directory}/{port}.pcap', '--tx', f'{port}={directory}/{mode}-{port}.pcap']
        result = subprocess.run(words, capture_output=True, text=True, timeout=120)
        if result.returncode:
            raise Disagreement(f'weft-replay --cache {mode} ended with {result.returncode}: {result.stderr[-500:]}')
        out = {port: collections.Counter(frame.hex() for frame in PcapTail(f'{directory}/{mode}-{port}.pcap').new()) for port in ('p1', 'p2')}
        return out, json.loads(result.stdout)['drops']


def line(port, frames):
    return f"{port} {' '.join(frame.hex() for frame in frames if frame)}"


def run(fuzzer, kind, more):
    """Rounds of some hundred steps each; what a round did is what a failure needs."""
    bursts = Bursts(fuzzer.options.replay)
    with Trio(fuzzer.options.weftd) as trio:
        try:
            for text in fuzzer.corpus():
                fuzzer.last = []
                for step in text.splitlines():
                    fuzzer.last.append(step)
                    fuzzer.count += 1
                    trio.take(step)
                trio.compare()
                trio.end()
                bursts.compare(fuzzer.last)
            while more():
                fuzzer.last, source = [], Source(fuzzer.random, fuzzer.mutate)
                for number in range(200):
                    step = getattr(source, kind)()
                    fuzzer.last.append(step)
                    fuzzer.count += 1
                    source.saw(trio.take(step))
                    if number % 50 == 49:
                        trio.compare()
                    if not more():
                        break
                trio.end()
                bursts.compare(fuzzer.last)
        except (Refused, OSError):
            for weft in trio.switches:
                if weft.process.poll() is not None:
                    raise Disagreement(f'weftd ended with {weft.process.returncode}: {weft.log()}')
            raise
