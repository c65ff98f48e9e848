#!/usr/bin/env python3
"""Measures a running weftd with one worker, fed from capture files: what a replay inside one process cannot show.

    daemon.py CASE --traffic DIRECTORY [--seconds S] [--quick] [--weftd PATH]

CASE is one of

    memory      bytes of resident memory for each connection: what the process grows by from the moment at which the same frames
                have all been played into a rule that drops them, to the moment at which their connections are established in
                both directions. So buffers, the file, rules and caches of packets are not counted; everything of connections is
    latency     the time of a round, from looking at the queues until everything is handed to the ports, in which a frame was
                forwarded; at the 99.9th percentile over all frames of all ports. Alone: 200,000 frames a second of 10,000
                established connections. Then with 200,000 new ones, committed and translated, a second; then while a zone of a
                million connections is flushed. A frame may have waited for the round before, too
    synflood    10,000 established connections as fast as they are taken, without and with 150,000 SYN segments a second, each
                from another source, through the same rules. `kept` is established frames forwarded in a second with the
                flood, by those without. The table is limited to 200,000 connections, so the flood fills it and goes on
    explosion   frames that are allowed by an access list, as fast as they are taken, without and then with 20,000 frames a
                second of an attack that wants 8,192 masks (connections.py), through the same rules. `kept` is the victims'
                frames forwarded in a second with the attack, by those without; `others` the same of a third port, whose rules
                have nothing to do with it, and which gets 500,000 frames a second

The flood stops and goes on in turns, and the median of what was kept in each counts: so the machine's own moods meet both.

Prints one JSON object.
"""
import argparse
import json
import os
import re
import sys
import time
from statistics import median

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.dont_write_bytecode = True
sys.path[:0] = [f'{ROOT}/Tests/Support', HERE]
import connections
import traffic
from rpc import Refused
from weft import Weft

FLOOD, ATTACK, OTHERS, NEW = 150_000, 20_000, 500_000, 200_000  # frames a second
TABLE = 200_000  # connections at the most under the flood


class Measurement(Exception):
    pass


class Daemon:
    def __init__(self, options):
        self.options = options
        self.weft = Weft('--workers', '1', '--log-level', 'error', weftd=options.weftd)
        self('add-br', 'br0', 'local=none', 'fail-mode=secure')
        self('add-port', 'br0', 'p1', 'type=null', 'ofport=2')

    def __call__(self, *words):
        return self.weft(*words)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.weft.close()

    def play(self, name, number, file, **keys):
        path = connections.need(self.options.traffic, file)
        self('add-port', 'br0', name, 'type=pcap', f'rx={path}', f'ofport={number}', *(f'{k}={v}' for k, v in keys.items()))

    def flows(self, lines):
        path = f'{self.weft.dir}/flows'
        traffic.write_lines(path, lines)
        self('replace-flows', 'br0', path)

    def received(self):
        return {row['name']: row['rx']['packets'] for row in self('port-stats', '--json')}

    def wait_for(self, name, frames, seconds=120):
        deadline = time.monotonic() + seconds
        while self.received()[name] < frames:
            if time.monotonic() > deadline:
                raise Measurement(f'{name} received {self.received()[name]} of {frames} frames within {seconds} s')
            time.sleep(0.01)

    def rates(self):
        """Frames a second of each port."""
        before, start = self.received(), time.monotonic()
        time.sleep(self.options.seconds)
        after, took = self.received(), time.monotonic() - start
        return {name: (after[name] - before[name]) / took for name in before}

    def beside(self, attacker, turns=5):
        """Frames a second of each port without and with the attacker's: a pair for each turn, an interval each."""
        pairs = []
        for _ in range(1 if self.options.quick else turns):
            pair = []
            for state in 'down', 'up':
                self('set-port', attacker, f'admin={state}')
                time.sleep(0.2)  # what the port makes up for is over
                pair.append(self.rates())
            pairs.append(pair)
        return pairs

    def resident(self):
        """Bytes."""
        with open(f'/proc/{self.weft.process.pid}/status') as f:
            return int(re.search(r'VmRSS:\s*(\d+)', f.read()).group(1)) * 1024

    def connections(self):
        return self('ct/stats', '--json')

    def slowest(self):
        """Microseconds at the 99.9th percentile since the last pmd/clear."""
        return float(re.search(r'p99\.9 ([\d.]+) ns', self('pmd/stats')).group(1)) / 1000


def conntrack_rules():
    return [line.format(port='') for line in traffic.CONNTRACK]


def memory(options):
    count = 10_000 if options.quick else 1_000_000
    with Daemon(options) as daemon:
        daemon.flows(['actions=drop'])
        daemon.play('p0', 1, f'both_{count}.pcap')
        daemon.wait_for('p0', 2 * count)
        time.sleep(0.5)
        before = daemon.resident()
        daemon('del-port', 'br0', 'p0')
        daemon.flows(conntrack_rules())
        daemon.play('p0', 1, f'both_{count}.pcap')
        daemon.wait_for('p0', 2 * count)
        time.sleep(0.5)
        after, there = daemon.resident(), daemon.connections()
        if there['answered'] < 0.99 * count:
            raise Measurement(f"{there['answered']} of {count} connections are established")
        return {'connections': there['answered'], 'bytes_per_connection': round((after - before) / there['total'], 1)}


def latency(options):
    count = 100_000 if options.quick else 1_000_000
    with Daemon(options) as daemon:
        daemon.flows([*conntrack_rules(), 'priority=20,in_port=3,ip,ct_state=-trk,actions=ct(table=3,zone=6,nat)',
                      'table=3,ip,ct_state=+trk+new,actions=ct(commit,zone=6,nat(src=192.0.2.1-192.0.2.254)),output:2',
                      'priority=20,in_port=4,ip,actions=ct(commit,zone=7),output:2'])
        daemon.play('p0', 1, 'both_10000.pcap', loop='yes', rate=NEW)
        time.sleep(0.5)
        daemon('pmd/clear')
        time.sleep(options.seconds)
        result = {'idle': daemon.slowest()}
        daemon.play('p2', 3, 'new_3000000.pcap' if not options.quick else 'new_300000.pcap', rate=NEW)
        time.sleep(0.2)
        before = daemon.connections()['events']['created']
        daemon('pmd/clear')
        start = time.monotonic()
        time.sleep(options.seconds)
        result['with_new'], took = daemon.slowest(), time.monotonic() - start
        result['new_per_second'] = round((daemon.connections()['events']['created'] - before) / took)
        daemon('del-port', 'br0', 'p2')
        daemon('ct/flush', 'zone=6')
        daemon.play('p3', 4, f'new_{count}.pcap')
        daemon.wait_for('p3', count)
        time.sleep(0.2)
        daemon('pmd/clear')
        start = time.monotonic()
        daemon('ct/flush', 'zone=7')
        result['flush_seconds'] = round(time.monotonic() - start, 3)
        result['with_flush'] = daemon.slowest()
        result['new_above_idle'] = round(max(0, result['with_new'] - result['idle']), 1)
        result['flush_above_idle'] = round(max(0, result['with_flush'] - result['idle']), 1)
        return result


def synflood(options):
    with Daemon(options) as daemon:
        daemon('ct/set', f'maxconns={TABLE}')
        daemon.flows(conntrack_rules())
        daemon.play('p0', 1, 'both_10000.pcap', loop='yes')
        daemon.play('p2', 3, f'syn_{100_000 if options.quick else 1_000_000}.pcap', loop='yes', rate=FLOOD)
        time.sleep(0.2 if options.quick else 2 * TABLE / FLOOD)
        before = daemon.resident()
        pairs = daemon.beside('p2')
        stats = daemon.connections()
        established = daemon('ct/stats', '--json', 'zone=5', 'ct_nw_proto=17')['answered']
        return {'clean_mpps': median(clean['p0'] for clean, _ in pairs) / 1e6, 'flood_mpps': median(flood['p0'] for _, flood in pairs) / 1e6,
                'kept': median(flood['p0'] / clean['p0'] for clean, flood in pairs), 'flood_per_second': round(median(flood['p2'] for _, flood in pairs)),
                'lost': 10_000 - established, 'growth_bytes': daemon.resident() - before, 'table': stats['total'],
                'dropped_early': stats['events']['dropped_early'], 'refused': sum(stats['refused'].values())}


def explosion(options):
    with Daemon(options) as daemon:
        daemon.flows(connections.EXPLOSION)
        daemon.play('p0', 1, 'victims_1000.pcap', loop='yes')
        daemon.play('p3', 4, 'udp_1000.pcap', loop='yes', rate=OTHERS)
        time.sleep(0.5)
        clean = daemon.rates()
        daemon.play('p2', 3, 'explosion_8192.pcap', loop='yes', rate=ATTACK)
        time.sleep(2 * 8192 / ATTACK)
        rates = daemon.rates()
        masks = daemon('dp/show', '--json')
        return {'clean_mpps': clean['p0'] / 1e6, 'attacked_mpps': rates['p0'] / 1e6, 'kept': rates['p0'] / clean['p0'],
                'others': rates['p3'] / clean['p3'], 'attack_per_second': round(rates['p2']), 'caches': masks}


CASES = {'memory': memory, 'latency': latency, 'synflood': synflood, 'explosion': explosion}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('case', choices=CASES)
    parser.add_argument('--traffic', required=True, metavar='DIRECTORY')
    parser.add_argument('--seconds', type=float, default=4)
    parser.add_argument('--quick', action='store_true', help='smaller tables: to see that it works')
    parser.add_argument('--weftd')
    options = parser.parse_args()
    options.traffic = os.path.abspath(options.traffic)
    os.makedirs(options.traffic, exist_ok=True)
    try:
        print(json.dumps(CASES[options.case](options)))
    except (Refused, Measurement, OSError) as error:
        sys.exit(f'daemon.py: {error}')


if __name__ == '__main__':
    main()
