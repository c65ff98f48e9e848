#!/usr/bin/env python3
"""Writes the traffic and the rules of the benchmarks.

    traffic.py DIRECTORY [--seed N]

udp_N.pcap        N UDP flows over IPv4 in 60-byte frames, in a shuffled order that repeats when the file is looped
forward.flows     one rule that sends all of it to port 2
acl.flows         500 prefix and port rules in three tables (about 70 different masks), then port 2
lb_N.pcap         N UDP flows to one service, lb_S_N.pcap to S services; lb_S.setup makes those, with 10 backends each
lb.flows          one rule that sends what the balancer has translated to port 2
The same seed gives the same files, so that every switch gets the same work. Files that exist are kept.
"""
import argparse
import os
import random
import struct

FLOWS = (1, 1_000, 10_000, 100_000)
HERE, THERE = bytes.fromhex('020000000001'), bytes.fromhex('020000000002')
CLIENTS, SERVERS = 0x0A000000, 0x0A400000  # 10.0.0.0/10 and 10.64.0.0/10
SERVICES = (80, 443, 53, 8080, 5432)
VIPS, BACKENDS = 0x0AC80000, 0x0B000000  # 10.200.0.0/16 and what follows, 11.0.0.0/8
BALANCED = (1, 50_000)


def internet_checksum(header):
    total = sum(struct.unpack(f'!{len(header) // 2}H', header))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def udp_frame(flow, seed, size=60):
    """The one frame of a flow; addresses and ports depend on its number only."""
    choice = random.Random(flow * 7919 + seed)
    source, destination = CLIENTS | choice.getrandbits(22), SERVERS | choice.getrandbits(22)
    ports = choice.randrange(1024, 65535), choice.choice(SERVICES)
    ipv4 = struct.pack('!BBHHHBBHII', 0x45, 0, size - 14, flow & 0xFFFF, 0x4000, 64, 17, 0, source, destination)
    ipv4 = ipv4[:10] + struct.pack('!H', internet_checksum(ipv4)) + ipv4[12:]
    udp = struct.pack('!HHHH', *ports, size - 34, 0)
    return (THERE + HERE + b'\x08\x00' + ipv4 + udp).ljust(size, b'\0')


def balanced_frame(flow, seed, services, size=60):
    """The one frame of a flow from a client to one of so many services."""
    choice = random.Random(flow * 7919 + seed)
    source, port = CLIENTS | choice.getrandbits(22), choice.randrange(1024, 65535)
    ipv4 = struct.pack('!BBHHHBBHII', 0x45, 0, size - 14, flow & 0xFFFF, 0x4000, 64, 17, 0, source, VIPS + flow % services)
    ipv4 = ipv4[:10] + struct.pack('!H', internet_checksum(ipv4)) + ipv4[12:]
    return (THERE + HERE + b'\x08\x00' + ipv4 + struct.pack('!HHHH', port, 53, size - 34, 0)).ljust(size, b'\0')


def balancer_setup(services, backends=10):
    yield 'add-br br0 fail-mode=secure local=none'
    for number in (1, 2):
        yield f'add-port br0 p{number - 1} type=null ofport={number}'
    for service in range(services):
        targets = (dotted(BACKENDS + service * backends + n) + ':5353' for n in range(backends))
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


def make(directory, seed=0, flows=FLOWS):
    os.makedirs(directory, exist_ok=True)
    for count in flows:
        path = f'{directory}/udp_{count}.pcap'
        if not os.path.exists(path):
            order = [n % count for n in range(max(count, 1024))]
            random.Random(1 + seed).shuffle(order)
            write_pcap(path, (udp_frame(n, seed) for n in order))
    for services in BALANCED:
        for count in flows[1:]:
            path = f'{directory}/lb_{count}.pcap' if services == 1 else f'{directory}/lb_{services}_{count}.pcap'
            if not os.path.exists(path):
                order = list(range(count))
                random.Random(1 + seed).shuffle(order)
                write_pcap(path, (balanced_frame(n, seed, services) for n in order))
        write_lines(f'{directory}/lb_{services}.setup', balancer_setup(services))
    write_lines(f'{directory}/lb.flows', ['in_port=1,udp,nw_dst=11.0.0.0/8,actions=output:2'])
    write_lines(f'{directory}/forward.flows', ['in_port=1,udp,nw_dst=10.0.0.0/8,actions=output:2'])
    write_lines(f'{directory}/acl.flows', acl_flows(500, 5 + seed))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('directory')
    parser.add_argument('--seed', type=int, default=0)
    options = parser.parse_args()
    make(options.directory, options.seed)


if __name__ == '__main__':
    main()
