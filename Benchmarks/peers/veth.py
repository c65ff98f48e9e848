#!/usr/bin/env python3
"""Measures what runs through a switch between two network namespaces joined to it by veth pairs.

    veth.py SWITCH [--seconds S] [--weftd PATH]

SWITCH is none (one veth pair, the ceiling), bridge (the kernel's), weft, ovs-netdev or ovs-netdev-tso. Prints one JSON
object: ping, TCP throughput one way, small UDP datagrams from a socket, and a flood of 60-byte frames from a packet
socket, sent and received. Needs root, iperf3, iproute2, ethtool, iputils-ping and netsniff-ng; openvswitch-switch for the
two OVS ones. Sender, receiver and switch share the cores of the machine.
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, f'{ROOT}/Tests/Support')
from lab import Failed, Lab, run
from rpc import Refused
from weft import Weft

VSWITCHD = '/usr/lib/openvswitch-switch/ovs-vswitchd'
SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema'


class OpenVSwitch:
    """The userspace datapath of Open vSwitch, in the namespace of the switch."""

    def __init__(self, lab, tso):
        self.lab, self.dir, self.pids = lab, tempfile.mkdtemp(prefix='weft-peer-'), []
        self.environment = dict(os.environ, OVS_RUNDIR=self.dir, OVS_LOGDIR=self.dir, OVS_DBDIR=self.dir)
        try:
            self.start(tso)
        except BaseException:
            self.close()
            raise

    def command(self, line):
        return self.lab.run('s', line, env=self.environment)

    def daemon(self, name, line):
        self.command(f'{line} --pidfile={self.dir}/{name}.pid --detach --no-chdir --log-file={self.dir}/{name}.log -vconsole:off')
        with open(f'{self.dir}/{name}.pid') as f:
            self.pids.append(int(f.read()))

    def start(self, tso):
        vsctl = f'ovs-vsctl --db=unix:{self.dir}/db.sock --timeout=20'
        self.command(f'ovsdb-tool create {self.dir}/conf.db {SCHEMA}')
        self.daemon('ovsdb-server', f'ovsdb-server {self.dir}/conf.db --remote=punix:{self.dir}/db.sock')
        self.command(f'{vsctl} --no-wait init')
        if tso:
            self.command(f'{vsctl} --no-wait set Open_vSwitch . other_config:userspace-tso-enable=true')
        self.daemon('ovs-vswitchd', f'{VSWITCHD} unix:{self.dir}/db.sock')
        self.command(f'{vsctl} add-br br0 -- set bridge br0 datapath_type=netdev -- add-port br0 va -- add-port br0 vb')

    def close(self):
        for pid in reversed(self.pids):
            try:
                os.kill(pid, signal.SIGTERM)
                for _ in range(100):
                    os.kill(pid, 0)
                    time.sleep(0.05)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.dir, ignore_errors=True)


def start(switch, lab, weftd):
    """Brings the switch up between va and vb; returns what has to be closed, or None."""
    if switch == 'bridge':
        lab.ip('s', 'link add br0 type bridge')
        for device in ('va', 'vb'):
            lab.ip('s', f'link set {device} master br0')
        lab.ip('s', 'link set br0 up')
    elif switch == 'weft':
        weft = Weft(weftd=weftd, namespace=lab.namespaces['s'])
        try:
            weft('add-br', 'br0', 'local=none')
            for device in ('va', 'vb'):
                weft('add-port', 'br0', device)
        except BaseException:
            weft.close()
            raise
        return weft
    elif switch.startswith('ovs'):
        if switch == 'ovs-netdev':  # without TSO it forwards frames whose checksum is still to be filled in, and TCP dies
            for name in ('a', 'b'):
                lab.run(name, 'ethtool -K e0 tx off')
        return OpenVSwitch(lab, switch.endswith('tso'))
    return None


def measure(lab, seconds):
    time.sleep(1)
    lab.ping('a', '10.77.0.2', count=10)
    sent, received, average = lab.ping('a', '10.77.0.2', count=200, interval=0.005)
    result = {'ping_ms': average, 'ping_lost': sent - received}
    if not received:
        return result
    tcp = lab.iperf('a', 'b', '10.77.0.2', seconds)
    result['tcp_gbps'] = round(tcp['sum_received']['bits_per_second'] / 1e9, 3)
    result['tcp_retransmits'] = tcp['sum_sent']['retransmits']
    udp = lab.iperf('a', 'b', '10.77.0.2', seconds, '-u -b 0 -l 18')['sum']
    result['udp_sent_kpps'] = round(udp['packets'] / udp['seconds'] / 1e3, 1)
    result['udp_received_kpps'] = round((udp['packets'] - udp['lost_packets']) / udp['seconds'] / 1e3, 1)
    result.update(flood(lab, seconds))
    return result


def flood(lab, seconds):
    frame = (f"{{ eth(da={lab.mac('b', 'e0')}, sa={lab.mac('a', 'e0')}), ipv4(sa=10.77.0.1, da=10.77.0.2), "
             'udp(sp=drnd(), dp=9), fill(0, 18) }')
    before, start = (lab.packets('a', 'e0', 'tx'), lab.packets('b', 'e0', 'rx')), time.monotonic()
    lab.flood('a', 'e0', frame, seconds)
    took = time.monotonic() - start
    time.sleep(0.2)
    return {'flood_sent_kpps': round((lab.packets('a', 'e0', 'tx') - before[0]) / took / 1e3, 1),
            'flood_received_kpps': round((lab.packets('b', 'e0', 'rx') - before[1]) / took / 1e3, 1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('switch', choices=['none', 'bridge', 'weft', 'ovs-netdev', 'ovs-netdev-tso'])
    parser.add_argument('--seconds', type=int, default=4)
    parser.add_argument('--weftd')
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Lab('a', 'b', 's') as lab:
        if options.switch == 'none':
            lab.veth('a', 'e0', 'b', 'e0')
        else:
            for name in ('a', 'b'):
                lab.veth(name, 'e0', 's', f'v{name}')
                lab.ip('s', f'link set v{name} up')
        for name, address in (('a', '10.77.0.1/24'), ('b', '10.77.0.2/24')):
            lab.address(name, 'e0', address)
        running = start(options.switch, lab, options.weftd)
        try:
            print(json.dumps({'switch': options.switch, **measure(lab, options.seconds)}))
        finally:
            if running:
                running.close()


if __name__ == '__main__':
    try:
        main()
    except (Failed, Refused, subprocess.SubprocessError) as error:
        sys.exit(f'veth.py: {error}')
