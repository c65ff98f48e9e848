#!/usr/bin/env python3
"""Measures Open vSwitch with DPDK: one poll thread, frames out of memory (net_pcap, infinite_rx) into nothing (net_null).

    openvswitch.py --frames [PORT=]FILE.pcap... --flows FILE.flows [--commands FILE] [--settle S] [--seconds S] [--core N]
                   [--smc] [--no-emc] [--upcalls] [--once]

Prints one JSON object: million packets a second sent, cycles for each, and what an upcall (a first packet through the
slow path) costs. Frames come in on port 1 or the OpenFlow port PORT; port 2 swallows, unless ports are named. --commands is a
file of ovs-ofctl commands, one a line. --smc switches the signature cache on, --no-emc the exact cache off; --upcalls measures
the cost of upcalls while the caches fill, which slows everything else down. --once reads the file with libpcap as it goes, to
its end, instead of repeating it from memory: for millions of different frames.

Needs root and Debian's openvswitch-switch-dpdk, librte-net-null23, librte-net-pcap23 and librte-mempool-ring23 (scripts/setup --peers). Works in
a network namespace and a directory of its own, touches no network card, and gives back the hugepages it asked for.
"""
import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

VSWITCHD = '/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk'
SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema'
HUGEPAGES = '/proc/sys/vm/nr_hugepages'
PAGES_WANTED = 512  # of 2 MiB
MARK = 'WEFT_PEER_NAMESPACE'


def available():
    return os.path.exists(VSWITCHD) and os.geteuid() == 0


class OpenVSwitch:
    def __init__(self, core):
        self.core = core
        self.dir = tempfile.mkdtemp(prefix='weft-peer-')
        self.environment = dict(os.environ, OVS_RUNDIR=self.dir, OVS_LOGDIR=self.dir, OVS_DBDIR=self.dir)
        self.database = f'unix:{self.dir}/db.sock'
        self.pids, self.mounted = [], None
        with open(HUGEPAGES) as f:
            self.pages_before = int(f.read())

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        self.set_hugepages(self.pages_before + PAGES_WANTED)
        self.mounted = f'{self.dir}/huge'
        os.mkdir(self.mounted)
        self.command('mount', '-t', 'hugetlbfs', 'none', self.mounted)
        self.command('ovsdb-tool', 'create', f'{self.dir}/conf.db', SCHEMA)
        self.daemon('ovsdb-server', 'ovsdb-server', f'{self.dir}/conf.db', f'--remote=punix:{self.dir}/db.sock')
        self.vsctl('--no-wait', 'init')
        extra = f'--file-prefix={os.path.basename(self.dir)} --huge-dir={self.mounted} --no-pci'
        self.set('dpdk-init=true', 'dpdk-socket-mem=600', f'pmd-cpu-mask={1 << self.core:#x}',
                 f'dpdk-lcore-mask={1 << (0 if self.core else 1):#x}', f'dpdk-extra={extra}', wait=False)
        self.daemon('ovs-vswitchd', VSWITCHD, self.database)
        self.control = f'{self.dir}/ovs-vswitchd-dpdk.{self.pids[-1]}.ctl'

    def __exit__(self, *_):
        for pid in reversed(self.pids):
            end(pid)
        if self.mounted and os.path.ismount(self.mounted):
            subprocess.run(['umount', self.mounted], capture_output=True)
        self.set_hugepages(self.pages_before)
        shutil.rmtree(self.dir, ignore_errors=True)

    @staticmethod
    def set_hugepages(count):
        with open(HUGEPAGES, 'w') as f:
            f.write(str(count))

    def command(self, *words):
        result = subprocess.run(words, env=self.environment, capture_output=True, text=True)
        if result.returncode:
            raise RuntimeError(f"{' '.join(words)}: {result.stderr.strip()}")
        return result.stdout

    def daemon(self, name, *words):
        pidfile = f'{self.dir}/{name}.pid'
        self.command(*words, f'--pidfile={pidfile}', '--detach', '--no-chdir', f'--log-file={self.dir}/{name}.log', '-vconsole:off')
        with open(pidfile) as f:
            self.pids.append(int(f.read()))

    def vsctl(self, *words):
        return self.command('ovs-vsctl', f'--db={self.database}', '--timeout=30', *words)

    def set(self, *settings, wait=True):
        self.vsctl(*([] if wait else ['--no-wait']), 'set', 'Open_vSwitch', '.', *(f'other_config:{s}' for s in settings))

    def appctl(self, *words):
        return self.command('ovs-appctl', '-t', self.control, *words)

    def add_port(self, name, number, device):
        self.vsctl('add-port', 'br0', name, '--', 'set', 'Interface', name, 'type=dpdk', f'ofport_request={number}',
                   f'options:dpdk-devargs={device}')

    def ofctl(self, *words):
        return self.command('ovs-ofctl', '-O', 'OpenFlow15', *words)

    def forward(self, frames, flows, commands=None, once=False):
        """From here on the poll thread forwards without a pause. `frames` are pairs of port and file."""
        self.vsctl('add-br', 'br0', '--', 'set', 'bridge', 'br0', 'datapath_type=netdev', 'fail-mode=secure')
        if [port for port, _ in frames] == [1]:
            self.add_port('p1', 2, 'net_null1,size=64,no-rx=1')
        if commands:
            with open(commands) as f:
                for line in f:
                    self.ofctl(*shlex.split(line))
        self.ofctl('add-flows', 'br0', flows)
        for number, (port, file) in enumerate(frames):
            self.add_port(f'rx{port}', port, f"net_pcap{number},rx_pcap={file}{'' if once else ',infinite_rx=1'}")

    def performance(self):
        text = self.appctl('dpif-netdev/pmd-perf-show')

        def number(pattern):
            found = re.search(pattern, text)
            return float(found.group(1)) if found else None
        return {'mpps': round((number(r'Tx packets:\s+\d+\s+\((\d+) Kpps\)') or 0) / 1000, 4),
                'cycles_per_packet': number(r'Rx packets:.*?(\d+) cycles/pkt'),
                'microseconds_per_upcall': number(r'Upcalls:.*?([\d.]+) us/upcall')}


def end(pid):
    try:
        os.kill(pid, signal.SIGTERM)
        for _ in range(100):
            os.kill(pid, 0)
            time.sleep(0.1)
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def measure(options):
    with OpenVSwitch(options.core) as switch:
        if options.smc:
            switch.set('smc-enable=true')
        if options.no_emc:
            switch.set('emc-insert-inv-prob=0')
        if options.upcalls:
            switch.set('pmd-perf-metrics=true')
        frames = [(int(port or 1), os.path.abspath(file)) for port, _, file in (f.rpartition('=') for f in options.frames)]
        switch.forward(frames, os.path.abspath(options.flows), options.commands, options.once)
        time.sleep(options.settle)
        if not options.upcalls:
            switch.appctl('dpif-netdev/pmd-stats-clear')
            time.sleep(options.seconds)
        return {'peer': 'ovs-dpdk', **switch.performance()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--frames', required=True, action='append', metavar='[PORT=]FILE')
    parser.add_argument('--flows', required=True)
    parser.add_argument('--commands', metavar='FILE')
    parser.add_argument('--once', action='store_true')
    parser.add_argument('--settle', type=float, default=4)
    parser.add_argument('--seconds', type=float, default=4)
    parser.add_argument('--core', type=int, default=1)
    parser.add_argument('--smc', action='store_true')
    parser.add_argument('--no-emc', action='store_true')
    parser.add_argument('--upcalls', action='store_true')
    options = parser.parse_args()
    if not available():
        sys.exit('openvswitch.py: needs root and openvswitch-switch-dpdk')
    if os.environ.get(MARK) != '1':  # a network namespace of its own: its br0 meets nobody else's
        os.execvpe('unshare', ['unshare', '--net', sys.executable, *sys.argv], dict(os.environ, **{MARK: '1'}))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        print(json.dumps(measure(options)))
    except RuntimeError as error:
        sys.exit(f'openvswitch.py: {error}')


if __name__ == '__main__':
    main()
