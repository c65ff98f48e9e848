"""Capture files, written when a case asks for one, under a name that says what is in it and how many.

udp_N       N UDP flows in one direction
both_N      N UDP connections, the frame of each direction behind the other: established from the second frame on
snat_N      the same, with answers to the address that nat.flows gives the sender
one_N       N clients of the service in services_1.setup; nobody answers
many_N      N clients of the 50,000 services in services_50000.setup
vip_N       N clients of one service, 10.96.0.1:80; nobody answers
ovn_a_N     N UDP connections of vm12 (port 5) to vm21 (port 6) in the topology whose rules are in ovn/, and
ovn_b_N     their answers
new_N       N frames that each begin a UDP connection, from 4,096 clients to as many servers
syn_N       N SYN segments with forged sources that never come again, to 10.64.0.1:80
victims_N   N TCP connections to port 80, one segment of each
explosion_N the attack of Csikor et al., "Tuple Space Explosion" (CoNEXT 2019): frames that differ from the rules in
            explosion.flows at each first bit of source address and both ports, so that each needs a mask of its own
"""
import os
import re
import struct

import traffic

VM12, VM21 = 0x0A00010C, 0x0A000215
ROUTER_FROM_VM12, ROUTER_FROM_VM21 = bytes.fromhex('00000000ff01' '000000000112'), bytes.fromhex('00000000ff02' '000000000221')
SERVICE, TRANSLATED = 0x0A600001, 0xC0000201
FROM_SERVER = traffic.HERE + traffic.THERE
# What the attacked access list allows: each rule on another field, as the paper has it.
ALLOWED = (0x0A00000A, 12345, 80)  # source address, source port, destination port
EXPLOSION = ('in_port=1,priority=30,tcp,tp_dst=80,actions=output:2', 'in_port=1,priority=20,tcp,nw_src=10.0.0.10,actions=output:2',
             'in_port=1,priority=10,tcp,tp_src=12345,actions=output:2', 'in_port=1,priority=0,actions=drop',
             *(f'in_port=3,{rule}' for rule in ('priority=30,tcp,tp_dst=80,actions=output:2', 'priority=20,tcp,nw_src=10.0.0.10,actions=output:2',
                                                'priority=10,tcp,tp_src=12345,actions=output:2', 'priority=0,actions=drop')),
             'in_port=4,udp,actions=output:2')


def udp(count, seed):
    return (traffic.udp_frame(n, seed) for n in traffic.shuffled(count, seed))


def both(count, seed):
    for n in traffic.shuffled(count, seed):
        source, destination, port, service = traffic.endpoints(n, seed)
        yield traffic.datagram(source, destination, port, service, n)
        yield traffic.datagram(destination, source, service, port, n, FROM_SERVER)


def snat(count, seed):
    for n in traffic.shuffled(count, seed):
        source, destination, port, service = traffic.endpoints(n, seed)
        yield traffic.datagram(source, destination, port, service, n)
        yield traffic.datagram(destination, TRANSLATED, service, port, n, FROM_SERVER)


def vip(count, seed):
    for n in traffic.shuffled(count, seed):
        source, _, port, _ = traffic.endpoints(n, seed)
        yield traffic.datagram(source, SERVICE, port, 80, n)


def balanced(services):
    def frames(count, seed):
        for n in traffic.shuffled(count, seed):
            source, _, port, _ = traffic.endpoints(n, seed)
            yield traffic.datagram(source, traffic.VIPS + n % services, port, 53, n)
    return frames


def ovn(reply):
    def frames(count, seed):
        for n in traffic.shuffled(count, seed):
            client, server = 1024 + n % 60_000, 5000 + n // 60_000
            if reply:
                yield traffic.datagram(VM21, VM12, server, client, n, ROUTER_FROM_VM21)
            else:
                yield traffic.datagram(VM12, VM21, client, server, n, ROUTER_FROM_VM12)
    return frames


def new(count, seed, clients=4096):
    """One header for each client, and a new source port in each round: millions of these are written in seconds."""
    heads, tail = [], struct.pack('!HHH', 80, 26, 0) + bytes(18)
    for n in range(min(clients, count)):
        source, destination = 0x64400000 | n * 977 & 0x3FFFFF, traffic.SERVERS | n * 3571 & 0x3FFFFF
        heads.append(traffic.THERE + traffic.HERE + b'\x08\x00' + traffic.ipv4(46, n, 17, source, destination))
    for n in range(count):
        yield heads[n % len(heads)] + struct.pack('!H', 1024 + n // len(heads)) + tail


def tcp(source, destination, source_port, destination_port, flags, ident):
    """A segment without data and with right checksums."""
    segment = struct.pack('!HHIIBBHHH', source_port, destination_port, 1, 0 if flags == 2 else 1, 0x50, flags, 8192, 0, 0)
    total = internet_sum(struct.pack('!IIBBH', source, destination, 0, 6, 20) + segment)
    segment = segment[:16] + struct.pack('!H', ~total & 0xFFFF) + segment[18:]
    return (traffic.THERE + traffic.HERE + b'\x08\x00' + traffic.ipv4(40, ident, 6, source, destination) + segment).ljust(60, b'\0')


def internet_sum(data):
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)


def syn(count, seed):
    for n in range(count):
        # An odd factor: no source comes twice.
        yield tcp(0xC6000000 | n * 2_654_435_761 & 0xFFFFFF, 0x0A400001, 1024 + n % 60_000, 80, 2, n)


def victims(count, seed):
    for n in traffic.shuffled(count, seed):
        source, destination, port, _ = traffic.endpoints(n, seed)
        yield tcp(source, destination, port, 80, 0x10, n)


def explosion(count, seed):
    """For each first differing bit of each field that the rules look at: 32 * 16 * 16 = 8,192 frames."""
    frames = [tcp(ALLOWED[0] ^ 1 << a, 0x0A400001, ALLOWED[1] ^ 1 << b, ALLOWED[2] ^ 1 << c, 0x10, a)
              for a in range(32) for b in range(16) for c in range(16)]
    for n in range(count):
        yield frames[n * 4099 % len(frames)]


FILES = {'udp': udp, 'both': both, 'snat': snat, 'vip': vip, 'one': balanced(1), 'many': balanced(50_000), 'ovn_a': ovn(False), 'ovn_b': ovn(True),
         'new': new, 'syn': syn, 'victims': victims, 'explosion': explosion}


def need(directory, name, seed=0):
    """The path of the file NAME in the directory, which is written if it is not there."""
    path = f'{directory}/{name}'
    if not os.path.exists(path):
        found = re.fullmatch(r'(\w+)_(\d+)\.pcap', name)
        if found is None or found.group(1) not in FILES:
            raise KeyError(name)
        traffic.write_pcap(path, FILES[found.group(1)](int(found.group(2)), seed))
    return path
