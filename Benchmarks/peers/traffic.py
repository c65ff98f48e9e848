#!/usr/bin/env python3
"""Writes the traffic and the rules of the benchmarks.

    traffic.py DIRECTORY [--seed N] [NAME...]

udp_N.pcap        N UDP flows over IPv4 in 60-byte frames, in a shuffled order that repeats when the file is looped; without
                  NAME all of them. connections.py lists what else there is
forward.flows     one rule that sends all of it to port 2
acl.flows         500 prefix and port rules in three tables (about 70 different masks), then port 2
conntrack.flows   connections are tracked in one zone and committed; nat.flows and lb.flows translate them
services_S.setup  S services with 10 backends each; service.flows sends what is translated to those to port 2
The same seed gives the same files, so that every switch gets the same work. Files that exist are kept.
"""
import argparse
import os
import random
import struct
import sys

FLOWS = (1, 1_000, 10_000, 100_000)
HERE, THERE = bytes.fromhex('020000000001'), bytes.fromhex('020000000002')
CLIENTS, SERVERS = 0x0A000000, 0x0A400000  # 10.0.0.0/10 and 10.64.0.0/10
SERVICES = (80, 443, 53, 8080, 5432)
VIPS, TARGETS = 0x0AC80000, 0x0B000000  # 10.200.0.0/16 and what follows, 11.0.0.0/8
BALANCED = (1, 50_000)


def internet_checksum(header):
    total = sum(struct.unpack(f'!{len(header) // 2}H', header))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def endpoints(flow, seed):
    """Source, destination and their ports, which depend on the number of the flow only."""
    choice = random.Random(flow * 7919 + seed)
    source, destination = CLIENTS | choice.getrandbits(22), SERVERS | choice.getrandbits(22)
    return source, destination, choice.randrange(1024, 65535), choice.choice(SERVICES)


def ipv4(length, ident, protocol, source, destination):
    header = struct.pack('!BBHHHBBHII', 0x45, 0, length, ident & 0xFFFF, 0x4000, 64, protocol, 0, source, destination)
    return header[:10] + struct.pack('!H', internet_checksum(header)) + header[12:]


def datagram(source, destination, source_port, destination_port, ident, ethernet=THERE + HERE, size=60):
    """UDP over IPv4 without a UDP checksum."""
    udp = struct.pack('!HHHH', source_port, destination_port, size - 34, 0)
    return (ethernet + b'\x08\x00' + ipv4(size - 14, ident, 17, source, destination) + udp).ljust(size, b'\0')


def udp_frame(flow, seed, size=60):
    """The one frame of a flow."""
    return datagram(*endpoints(flow, seed), flow, size=size)


def balancer_setup(services, backends=10):
    yield 'add-br br0 fail-mode=secure local=none'
    for number in (1, 2):
        yield f'add-port br0 p{number - 1} type=null ofport={number}'
    for service in range(services):
        targets = (dotted(TARGETS + service * backends + n) + ':5353' for n in range(backends))
        yield f'lb/add s{service} vip={dotted(VIPS + service)}:53/udp backends={",".join(targets)} apply=br0'


def dotted(address):
    return '.'.join(str(address >> shift & 255) for shift in (24, 16, 8, 0))


def write_pcap(path, frames):
    with open(path + '.part', 'wb') as f:
        f.write(struct.pack('<IHHiIII', 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for n, frame in enumerate(frames):
            f.write(struct.pack('<IIII', *divmod(n, 1_000_000), len(frame), len(frame)) + frame)
    os.rename(path + '.part', path)


def prefix(address, length):
    address &= 0xFFFFFFFF << (32 - length)
    return '.'.join(str(address >> shift & 255) for shift in (24, 16, 8, 0)) + f'/{length}'


def acl_flows(count, seed):
    choice = random.Random(seed)
    yield 'table=0,priority=100,in_port=1,ip,actions=resubmit(,1)'
    for _ in range(count):
        lengths = choice.choice((8, 12, 14, 16, 18, 20, 22, 24, 26, 28)), choice.choice((8, 10, 12, 14, 16, 20, 24))
        source, destination = CLIENTS | choice.getrandbits(22), SERVERS | choice.getrandbits(22)
        port = choice.choice(('', ',tp_dst=80', ',tp_dst=443', ',tp_dst=53'))
        yield (f'table=1,priority={choice.randrange(10, 1000)},udp,nw_src={prefix(source, lengths[1])},'
               f'nw_dst={prefix(destination, lengths[0])}{port},actions=resubmit(,2)')
    yield 'table=1,priority=1,ip,actions=resubmit(,2)'
    yield 'table=2,priority=1,ip,actions=output:2'


def write_lines(path, lines):
    with open(path, 'w') as f:
        f.write('\n'.join(lines) + '\n')


def shuffled(count, seed, least=1024):
    """The numbers of the flows in the order in which they are sent."""
    order = [n % count for n in range(max(count, least))]
    random.Random(1 + seed).shuffle(order)
    return order


# One zone, as a firewall without an opinion: what `ct` costs and nothing else.
CONNTRACK = ('priority=10,{port}ip,ct_state=-trk,actions=ct(table=1,zone=5)',
             'table=1,priority=10,ip,ct_state=+trk+new,actions=ct(commit,zone=5),output:2',
             'table=1,priority=10,ip,ct_state=+trk+est,actions=output:2')
# Whatever arrives goes out by port 2, both directions alike.
NAT = ('priority=10,in_port=1,ip,ct_state=-trk,actions=ct(table=1,zone=5,nat)',
       'table=1,priority=10,ip,ct_state=+trk+new,actions=ct(commit,zone=5,nat(src=192.0.2.1)),output:2',
       'table=1,priority=10,ip,ct_state=+trk+est,actions=output:2')
# Only clients speak, as their choice of a backend is not known beforehand. What is translated has its backend.
BACKENDS = 10
BALANCE = ('priority=10,in_port=1,ip,ct_state=-trk,actions=ct(table=1,zone=5,nat)',
           'table=1,priority=20,ip,ct_state=+trk+dnat,actions=output:2',
           'table=1,priority=10,ip,ct_state=+trk+new,nw_dst=10.96.0.1,actions=group:1')
GROUP = 'group_id=1,type=select,selection_method=dp_hash,' + ','.join(
    f'bucket=bucket_id:{n},weight:100,actions=ct(commit,zone=5,table=1,nat(dst=10.64.0.{n + 1}:8080))' for n in range(BACKENDS))
# Only what is committed and translated comes out, so that frames out are connections made.
CONNECTIONS = ('priority=10,in_port=1,ip,ct_state=-trk,actions=ct(table=1,zone=5,nat)',
               'table=1,priority=10,ip,ct_state=+trk+new,actions=ct(commit,zone=5,nat(src=192.0.2.1-192.0.2.254),table=2)',
               'table=2,priority=10,ip,ct_state=+trk+snat,actions=output:2')


def make(directory, seed=0):
    """The rules."""
    os.makedirs(directory, exist_ok=True)
    for services in BALANCED:
        write_lines(f'{directory}/services_{services}.setup', balancer_setup(services))
    write_lines(f'{directory}/service.flows', ['in_port=1,udp,nw_dst=11.0.0.0/8,actions=output:2'])
    write_lines(f'{directory}/forward.flows', ['in_port=1,udp,nw_dst=10.0.0.0/8,actions=output:2'])
    write_lines(f'{directory}/acl.flows', acl_flows(500, 5 + seed))
    write_lines(f'{directory}/conntrack.flows', [line.format(port='in_port=1,') for line in CONNTRACK])
    write_lines(f'{directory}/conntrack-any.flows', [line.format(port='') for line in CONNTRACK])
    write_lines(f'{directory}/nat.flows', NAT)
    write_lines(f'{directory}/lb.flows', BALANCE)
    write_lines(f'{directory}/lb.commands', [f"add-group br0 '{GROUP}'"])
    write_lines(f'{directory}/connections.flows', CONNECTIONS)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('directory')
    parser.add_argument('names', nargs='*', metavar='NAME')
    parser.add_argument('--seed', type=int, default=0)
    options = parser.parse_args()
    make(options.directory, options.seed)
    import connections
    for name in options.names or [f'udp_{count}.pcap' for count in FLOWS]:
        try:
            connections.need(options.directory, name, options.seed)
        except KeyError:
            sys.exit(f'traffic.py: {name}: there is no such file; there are {", ".join(f"{n}_N.pcap" for n in connections.FILES)}')


if __name__ == '__main__':
    main()
