#!/usr/bin/env python3
"""Writes Tests/Scenarios/lb.json: load-balanced services, frame by frame. What is expected is built here from the meaning of
a service, with nothing of the switch.

    Tests/Support/balancing.py > Tests/Scenarios/lb.json
"""
import ipaddress
import json
import struct
import sys

CLIENT, OTHER, VIP, ONE, TWO, SNAT = '10.0.0.9', '10.0.0.10', '10.0.0.100', '10.0.1.1', '10.0.1.2', '10.0.0.50'
CLIENT6, VIP6, ONE6, TWO6 = '2001:db8::9', '2001:db8::100', '2001:db8:1::1', '2001:db8:1::2'
CM, VM, M1, M2 = '020000000009', '020000000064', '020000000101', '020000000102'
FIN, SYN, RST, ACK = 1, 2, 4, 16
FLOWS = [f'cookie=0x1,priority=10,ip,nw_dst={ONE},actions=output:2', f'cookie=0x2,priority=10,ip,nw_dst={TWO},actions=output:3',
         f'cookie=0x3,priority=10,ip,nw_dst=10.0.0.0/28,actions=output:1', f'cookie=0x4,priority=5,ip,nw_dst={VIP},actions=output:4',
         f'cookie=0x5,priority=10,ipv6,ipv6_dst={ONE6},actions=output:2', f'cookie=0x6,priority=10,ipv6,ipv6_dst={TWO6},actions=output:3',
         f'cookie=0x7,priority=10,ipv6,ipv6_dst=2001:db8::/120,actions=output:1', 'cookie=0x8,priority=1,arp,actions=output:4']
SETUP = ['add-br br0 fail-mode=secure local=none'] + [f'add-port br0 p{i} type=pcap tx=$DIR/p{i}.pcap ofport={i}' for i in (1, 2, 3, 4)]


def packed(address):
    return ipaddress.ip_address(address).packed


def checksum(data):
    data += b'\0' * (len(data) % 2)
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def pseudo(src, dst, proto, size):
    if ':' in src:
        return packed(src) + packed(dst) + struct.pack('!IHBB', size, 0, 0, proto)
    return packed(src) + packed(dst) + struct.pack('!BBH', 0, proto, size)


def ip(src, dst, proto, payload, ttl=64, ident=0x1234, frag=0):
    if ':' in src:
        return struct.pack('!IHBB', 6 << 28, len(payload), proto, ttl) + packed(src) + packed(dst) + payload
    head = struct.pack('!BBHHHBBH', 0x45, 0, 20 + len(payload), ident, frag, ttl, proto, 0) + packed(src) + packed(dst)
    return head[:10] + struct.pack('!H', checksum(head)) + head[12:] + payload


def eth(packet, src=CM, dst=VM):
    return dst + src + ('86dd' if packet[0] >> 4 == 6 else '0800') + packet.hex()


def summed(src, dst, proto, segment, at):
    value = checksum(pseudo(src, dst, proto, len(segment)) + segment) or 0xffff
    return segment[:at] + struct.pack('!H', value) + segment[at + 2:]


def tcp_packet(src, sport, dst, dport, flags, seq=1000, ack=0, data=b'', window=8192, **options):
    head = struct.pack('!HHIIBBHHH', sport, dport, seq, ack, 0x50, flags, window, 0, 0)
    return ip(src, dst, 6, summed(src, dst, 6, head + data, 16), **options)


def udp_segment(src, sport, dst, dport, data):
    return summed(src, dst, 17, struct.pack('!HHHH', sport, dport, 8 + len(data), 0) + data, 6)


def udp_packet(src, sport, dst, dport, data=b'question', **options):
    return ip(src, dst, 17, udp_segment(src, sport, dst, dport, data), **options)


def tcp(*words, src_mac=CM, dst_mac=VM, **options):
    return eth(tcp_packet(*words, **options), src_mac, dst_mac)


def udp(*words, src_mac=CM, dst_mac=VM, **options):
    return eth(udp_packet(*words, **options), src_mac, dst_mac)


def icmp(src, dst, kind, code, rest, data, src_mac=CM, dst_mac=VM, **options):
    message = struct.pack('!BBHI', kind, code, 0, rest) + data
    if ':' in src:
        return eth(ip(src, dst, 58, summed(src, dst, 58, message, 2), **options), src_mac, dst_mac)
    message = message[:2] + struct.pack('!H', checksum(message)) + message[4:]
    return eth(ip(src, dst, 1, message, **options), src_mac, dst_mac)


def step(port, frame, **out):
    return {'in': port, 'frame': frame, 'out': {name: [value] if isinstance(value, str) else value for name, value in out.items()}}


def command(line, **out):
    return {'run': line, 'out': {name: [value] for name, value in out.items()}}


SCENARIOS = []


def scenario(about, setup, steps, flows=FLOWS, **packets):
    SCENARIOS.append({'name': f'lb/{len(SCENARIOS) + 1:03}', 'about': about, 'setup': SETUP + setup, 'flows': {'br0': flows},
                      'steps': steps, 'packets': {'br0': packets.get('packets', {})}})


def add(*settings, vip=f'{VIP}:80', backends=f'{ONE}:8080,{TWO}:8080', apply='br0', name='web'):
    return ' '.join([f'lb/add {name} vip={vip} backends={backends} apply={apply}', *settings])


def conversation(port, backend, at, vip=VIP, client=CLIENT, vport=80, bport=8080):
    """A TCP connection from SYN to data, each way."""
    there = lambda *a, **k: step('p1', tcp(client, port, vip, vport, *a, **k), **{at: tcp(client, port, backend, bport, *a, **k)})
    back = lambda *a, **k: step(at, tcp(backend, bport, client, port, *a, src_mac=M1, dst_mac=CM, **k),
                                p1=tcp(vip, vport, client, port, *a, src_mac=M1, dst_mac=CM, **k))
    return [there(SYN, seq=1000), back(SYN | ACK, seq=5000, ack=1001), there(ACK, seq=1001, ack=5001),
            there(ACK, seq=1001, ack=5001, data=b'GET /'), back(ACK, seq=5001, ack=1006, data=b'200')]


scenario('round robin, TCP over IPv4: replies come from the service', [add()],
         conversation(4001, ONE, 'p2') + conversation(4002, TWO, 'p3') + conversation(4003, ONE, 'p2') + [
             # What belongs to nobody passes as it is: another port of the address, another protocol, another address, a backend's other port.
             step('p1', tcp(CLIENT, 4009, VIP, 81, SYN), p4='='), step('p1', udp(CLIENT, 4009, VIP, 80), p4='='),
             step('p1', tcp(CLIENT, 4009, ONE, 80, SYN), p2='='), step('p2', tcp(ONE, 22, CLIENT, 4009, SYN, src_mac=M1), p1='='),
             # A connection that a backend itself begins, from the port that it serves: no reply, so nothing is translated.
             step('p2', tcp(ONE, 8080, CLIENT, 999, SYN, src_mac=M1), p1='=')],
         packets={'0x1': 7, '0x2': 3, '0x3': 8, '0x4': 2})

scenario('round robin, TCP over IPv6', [add(vip=f'[{VIP6}]:80', backends=f'[{ONE6}]:8080,[{TWO6}]:8080')],
         conversation(4001, ONE6, 'p2', VIP6, CLIENT6) + conversation(4002, TWO6, 'p3', VIP6, CLIENT6) + [
             step('p1', tcp(CLIENT6, 4009, VIP6, 81, SYN))])

scenario('UDP: a client keeps its backend while its connection lives; drained, weighted to nothing, removed',
         [add(vip=f'{VIP}:53/udp', backends=f'{ONE}:5353,{TWO}:5353')], [
             step('p1', udp(CLIENT, 4001, VIP, 53), p2=udp(CLIENT, 4001, ONE, 5353)),
             step('p1', udp(CLIENT, 4001, VIP, 53), p2=udp(CLIENT, 4001, ONE, 5353)),
             step('p2', udp(ONE, 5353, CLIENT, 4001, src_mac=M1), p1=udp(VIP, 53, CLIENT, 4001, src_mac=M1)),
             step('p1', udp(CLIENT, 4002, VIP, 53), p3=udp(CLIENT, 4002, TWO, 5353)),
             command(f'lb/backend drain web {ONE}:5353'),
             step('p1', udp(CLIENT, 4003, VIP, 53), p3=udp(CLIENT, 4003, TWO, 5353)),
             step('p1', udp(CLIENT, 4001, VIP, 53), p2=udp(CLIENT, 4001, ONE, 5353)),
             step('p2', udp(ONE, 5353, CLIENT, 4001, src_mac=M1), p1=udp(VIP, 53, CLIENT, 4001, src_mac=M1)),
             command(f'lb/backend del web {ONE}:5353'),
             step('p1', udp(CLIENT, 4001, VIP, 53), p3=udp(CLIENT, 4001, TWO, 5353)),
             # It is no backend any more: what it sends is its own.
             step('p2', udp(ONE, 5353, CLIENT, 4001, src_mac=M1), p1='='),
             command(f'lb/backend add web {ONE}:5353@3'), command(f'lb/backend weight web {TWO}:5353 0'),
             step('p1', udp(CLIENT, 4005, VIP, 53), p2=udp(CLIENT, 4005, ONE, 5353)),
             step('p1', udp(CLIENT, 4006, VIP, 53), p2=udp(CLIENT, 4006, ONE, 5353)),
             step('p1', udp(CLIENT, 4002, VIP, 53), p3=udp(CLIENT, 4002, TWO, 5353)),
             command('lb/del web'), step('p1', udp(CLIENT, 4002, VIP, 53), p4='='), step('p1', udp(CLIENT, 4006, VIP, 53), p4='=')])

scenario('cluster mode: both ends are translated', [add('mode=cluster', f'snat={SNAT}')], [
    step('p1', tcp(CLIENT, 4001, VIP, 80, SYN), p2=tcp(SNAT, 4001, ONE, 8080, SYN)),
    step('p2', tcp(ONE, 8080, SNAT, 4001, SYN | ACK, seq=5000, ack=1001, src_mac=M1), p1=tcp(VIP, 80, CLIENT, 4001, SYN | ACK, seq=5000, ack=1001, src_mac=M1)),
    step('p1', tcp(OTHER, 4001, VIP, 80, SYN), p3=tcp(SNAT, 4001, TWO, 8080, SYN)),
    # The same port at the same backend is taken: the next one of its class.
    step('p1', tcp(OTHER, 4002, VIP, 80, SYN), p2=tcp(SNAT, 4002, ONE, 8080, SYN)),
    step('p1', tcp(CLIENT, 4002, VIP, 80, SYN), p3=tcp(SNAT, 4002, TWO, 8080, SYN)),
    step('p1', tcp('10.0.0.11', 4001, VIP, 80, SYN), p2=tcp(SNAT, 4003, ONE, 8080, SYN)),
    step('p2', tcp(ONE, 8080, SNAT, 4003, SYN | ACK, seq=5000, ack=1001, src_mac=M1), p1=tcp(VIP, 80, '10.0.0.11', 4001, SYN | ACK, seq=5000, ack=1001, src_mac=M1))])

scenario('hairpin: a client that is its own backend sees the service as its client', [add(backends=f'{CLIENT}:8080')], [
    step('p1', tcp(CLIENT, 4001, VIP, 80, SYN), p1=tcp(VIP, 4001, CLIENT, 8080, SYN)),
    step('p1', tcp(CLIENT, 8080, VIP, 4001, SYN | ACK, seq=5000, ack=1001), p1=tcp(VIP, 80, CLIENT, 4001, SYN | ACK, seq=5000, ack=1001)),
    step('p1', tcp(CLIENT, 4001, VIP, 80, ACK, seq=1001, ack=5001), p1=tcp(VIP, 4001, CLIENT, 8080, ACK, seq=1001, ack=5001))],
    flows=['ip,actions=in_port'])

reset = tcp(VIP, 80, CLIENT, 4001, RST | ACK, seq=0, ack=1001, src_mac=VM, dst_mac=CM, window=0, ident=0, frag=0x4000)
question = udp_packet(CLIENT, 4001, VIP, 53)
scenario('no backend: a reset, an ICMP error, or nothing',
         [add(backends=''), add(vip=f'{VIP}:53/udp', backends='', name='dns')], [
             step('p1', tcp(CLIENT, 4001, VIP, 80, SYN), p1=reset),
             step('p1', eth(question), p1=icmp(VIP, CLIENT, 3, 3, 0, question, src_mac=VM, dst_mac=CM, ident=0, frag=0x4000)),
             command('lb/set web empty=drop'), step('p1', tcp(CLIENT, 4001, VIP, 80, SYN)),
             command(f'lb/backend add web {TWO}:8080'), step('p1', tcp(CLIENT, 4001, VIP, 80, SYN), p3=tcp(CLIENT, 4001, TWO, 8080, SYN)),
             command(f'lb/backend drain web {TWO}:8080'), step('p1', tcp(CLIENT, 4002, VIP, 80, SYN)),
             step('p1', tcp(CLIENT, 4001, VIP, 80, SYN), p3=tcp(CLIENT, 4001, TWO, 8080, SYN)),
             command(f'lb/backend activate web {TWO}:8080'), step('p1', tcp(CLIENT, 4002, VIP, 80, SYN), p3=tcp(CLIENT, 4002, TWO, 8080, SYN))])

ask = lambda op, sha, spa, tha, tpa: f'0001080006040{op:03}' + sha + packed(spa).hex() + tha + packed(tpa).hex()
solicitation = lambda target: struct.pack('!BBHI', 135, 0, 0, 0) + packed(target) + bytes.fromhex('0101' + CM)
group = 'ff02::1:ff00:100'


def nd(target):
    return eth(ip(CLIENT6, group, 58, summed(CLIENT6, group, 58, solicitation(target), 2), ttl=255), CM, '3333ff000100')


advertisement = struct.pack('!BBHI', 136, 0, 0, 0x60000000) + packed(VIP6) + bytes.fromhex('0201' + VM)
scenario('the address answers ARP, neighbour solicitations and echo when asked to', [
    add('answer=arp,echo', 'mac=02:00:00:00:00:64'),
    add('answer=nd', 'mac=02:00:00:00:00:64', vip=f'[{VIP6}]:80', backends=f'[{ONE6}]:80', name='six')], [
        step('p1', 'ff' * 6 + CM + '0806' + ask(1, CM, CLIENT, '00' * 6, VIP), p1=CM + VM + '0806' + ask(2, VM, VIP, CM, CLIENT)),
        step('p1', 'ff' * 6 + CM + '0806' + ask(1, CM, CLIENT, '00' * 6, ONE), p4='='),
        step('p1', icmp(CLIENT, VIP, 8, 0, 0x10001, b'ping'),
             p1=icmp(VIP, CLIENT, 0, 0, 0x10001, b'ping', src_mac=VM, dst_mac=CM, ident=0, frag=0x4000)),
        step('p1', nd(VIP6), p1=eth(ip(VIP6, CLIENT6, 58, summed(VIP6, CLIENT6, 58, advertisement, 2), ttl=255), VM, CM)),
        step('p1', nd(ONE6)),
        # Echo was not asked for.
        step('p1', icmp(CLIENT6, VIP6, 128, 0, 0x10001, b'ping'))])

scenario('direct server return: the address stays, the station is the backend\'s',
         [add('mode=dsr', vip=f'{VIP}:8080', backends=f'{ONE}:8080/02:00:00:00:01:01,{TWO}:8080/02:00:00:00:01:02')], [
             step('p1', tcp(CLIENT, 4001, VIP, 8080, SYN), p2=tcp(CLIENT, 4001, VIP, 8080, SYN, dst_mac=M1)),
             step('p1', tcp(CLIENT, 4002, VIP, 8080, SYN), p3=tcp(CLIENT, 4002, VIP, 8080, SYN, dst_mac=M2)),
             step('p1', tcp(CLIENT, 4001, VIP, 8080, ACK, seq=1001, ack=777), p2=tcp(CLIENT, 4001, VIP, 8080, ACK, seq=1001, ack=777, dst_mac=M1)),
             # Silent for an hour: an established connection, as far as its client's segments tell.
             {'warp': 3_600_000, 'tick': 600_000},
             step('p1', tcp(CLIENT, 4001, VIP, 8080, ACK, seq=1001, ack=777, data=b'x'), p2=tcp(CLIENT, 4001, VIP, 8080, ACK, seq=1001, ack=777, data=b'x', dst_mac=M1)),
             step('p2', tcp(VIP, 8080, CLIENT, 4001, ACK, seq=777, ack=1002, src_mac=M1, dst_mac=CM), p1='=')],
         flows=[f'ip,nw_dst={VIP},dl_dst=02:00:00:00:01:01,actions=output:2', f'ip,nw_dst={VIP},dl_dst=02:00:00:00:01:02,actions=output:3',
                f'ip,nw_dst={CLIENT},actions=output:1'])

scenario('affinity: a client comes back to its backend until its time is over', [add('affinity=100')], [
    step('p1', tcp(CLIENT, 4001, VIP, 80, SYN), p2=tcp(CLIENT, 4001, ONE, 8080, SYN)),
    step('p1', tcp(OTHER, 4001, VIP, 80, SYN), p3=tcp(OTHER, 4001, TWO, 8080, SYN)),
    step('p1', tcp(CLIENT, 4002, VIP, 80, SYN), p2=tcp(CLIENT, 4002, ONE, 8080, SYN)),
    {'warp': 99_000}, step('p1', tcp(CLIENT, 4003, VIP, 80, SYN), p2=tcp(CLIENT, 4003, ONE, 8080, SYN)),
    {'warp': 99_000}, step('p1', tcp(CLIENT, 4004, VIP, 80, SYN), p2=tcp(CLIENT, 4004, ONE, 8080, SYN)),
    {'warp': 100_000}, step('p1', tcp(OTHER, 4005, VIP, 80, SYN), p2=tcp(OTHER, 4005, ONE, 8080, SYN)),
    step('p1', tcp(CLIENT, 4006, VIP, 80, SYN), p3=tcp(CLIENT, 4006, TWO, 8080, SYN)),
    command(f'lb/backend drain web {TWO}:8080'), step('p1', tcp(CLIENT, 4007, VIP, 80, SYN), p2=tcp(CLIENT, 4007, ONE, 8080, SYN))])


def fragments(src, sport, dst, dport, data, mac=CM, vmac=VM, size=1400):
    whole = udp_segment(src, sport, dst, dport, data)
    return [eth(ip(src, dst, 17, whole[:size], frag=0x2000), mac, vmac), eth(ip(src, dst, 17, whole[size:], frag=size // 8), mac, vmac)]


data = bytes(range(256)) * 6
sent, got = fragments(CLIENT, 4001, VIP, 53, data), fragments(CLIENT, 4001, ONE, 5353, data)
back, seen = fragments(ONE, 5353, CLIENT, 4001, data, M1, CM), fragments(VIP, 53, CLIENT, 4001, data, M1, CM)
scenario('fragments wait for their datagram and go on as fragments', [add(vip=f'{VIP}:53/udp', backends=f'{ONE}:5353')], [
    step('p1', sent[0]), step('p1', sent[1], p2=got), step('p2', back[1]), step('p2', back[0], p1=seen),
    # Too short to be a fragment (ipf-v4-min-frag of Open vSwitch): nobody knows whose it is.
    step('p1', fragments(CLIENT, 4001, VIP, 53, data, size=1000)[0])])

scenario('ICMP errors about connections are translated, inside too', [add()], [
    step('p1', tcp(CLIENT, 4001, VIP, 80, SYN), p2=tcp(CLIENT, 4001, ONE, 8080, SYN)),
    # A router on the way to the client says that a reply was too long.
    step('p1', icmp('10.0.0.1', VIP, 3, 4, 1400, tcp_packet(VIP, 80, CLIENT, 4001, SYN | ACK)), p2=icmp('10.0.0.1', ONE, 3, 4, 1400, tcp_packet(ONE, 8080, CLIENT, 4001, SYN | ACK))),
    # The backend itself says that nobody is there.
    step('p2', icmp(ONE, CLIENT, 3, 3, 0, tcp_packet(CLIENT, 4001, ONE, 8080, SYN), src_mac=M1), p1=icmp(VIP, CLIENT, 3, 3, 0, tcp_packet(CLIENT, 4001, VIP, 80, SYN), src_mac=M1)),
    # About nothing that is known: as it is.
    step('p2', icmp(ONE, CLIENT, 3, 3, 0, tcp_packet(CLIENT, 4002, ONE, 8080, SYN), src_mac=M1), p1='=')])

scenario('a service at ports takes packets there only', [add(apply='p1,p2')], [
    step('p3', tcp(CLIENT, 4001, VIP, 80, SYN), p4='='),
    step('p1', tcp(CLIENT, 4001, VIP, 80, SYN), p2=tcp(CLIENT, 4001, ONE, 8080, SYN)),
    step('p1', tcp(CLIENT, 4002, VIP, 80, SYN), p3=tcp(CLIENT, 4002, TWO, 8080, SYN)),
    step('p2', tcp(ONE, 8080, CLIENT, 4001, SYN | ACK, seq=5000, ack=1001, src_mac=M1), p1=tcp(VIP, 80, CLIENT, 4001, SYN | ACK, seq=5000, ack=1001, src_mac=M1)),
    step('p3', tcp(TWO, 8080, CLIENT, 4002, SYN | ACK, seq=5000, ack=1001, src_mac=M2), p1='=')])

scenario('NORMAL: frames are sent on to the backend\'s station, back through the port that they came from if it is there', [
    add('answer=arp', 'mac=02:00:00:00:00:64', backends=f'{ONE}:8080/02:00:00:00:01:01,{CLIENT}:8080/02:00:00:00:00:09')], [
        step('p2', 'ff' * 6 + M1 + '0806' + ask(1, M1, ONE, '00' * 6, CLIENT), p1='=', p3='=', p4='='),
        step('p1', tcp(CLIENT, 4001, VIP, 80, SYN), p2=tcp(CLIENT, 4001, ONE, 8080, SYN, dst_mac=M1)),
        step('p2', tcp(ONE, 8080, CLIENT, 4001, SYN | ACK, seq=5000, ack=1001, src_mac=M1, dst_mac=CM), p1=tcp(VIP, 80, CLIENT, 4001, SYN | ACK, seq=5000, ack=1001, src_mac=M1, dst_mac=CM)),
        step('p1', tcp(CLIENT, 4002, VIP, 80, SYN), p1=tcp(VIP, 4002, CLIENT, 8080, SYN, dst_mac=CM)),
        step('p1', tcp(CLIENT, 8080, VIP, 4002, SYN | ACK, seq=5000, ack=1001), p1=tcp(VIP, 80, CLIENT, 4002, SYN | ACK, seq=5000, ack=1001, dst_mac=CM))],
    flows=['actions=normal'])

sys.path.insert(0, __file__.rsplit('/', 1)[0])
from scenario import dump  # noqa: E402

if __name__ == '__main__':
    dump(SCENARIOS, '/dev/stdout')
