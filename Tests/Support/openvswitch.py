"""A private Open vSwitch: its userspace datapath with dummy ports, virtual time, and no cache.

It is the oracle of what OpenFlow rules mean. Nothing of it touches the host: sockets, database and logs are in a scratch
directory, ports are dummies whose output goes to pcap files, and no root is needed. `flow-limit=0` keeps it from caching,
so that every packet is translated afresh and every counter is exact at once.
"""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from pcap import PcapTail
from rpc import Connection, Refused

VSWITCHD = '/usr/lib/openvswitch-switch/ovs-vswitchd'
SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema'
BATCH = 64  # a dummy port holds 100 frames at most


def available():
    return os.path.exists(VSWITCHD) and os.path.exists(SCHEMA)


class OpenVSwitch:
    def __init__(self, caches=False):
        self.dir = tempfile.mkdtemp(prefix='weft-ovs-')
        self.environment = dict(os.environ, OVS_RUNDIR=self.dir, OVS_LOGDIR=self.dir, OVS_DBDIR=self.dir)
        self.processes, self.taps, self.received = [], {}, 0
        self.appctl = None
        try:
            self.start(caches)
        except BaseException:
            self.close()
            raise

    def start(self, caches):
        database = f'{self.dir}/db.sock'
        self.command('ovsdb-tool', 'create', f'{self.dir}/conf.db', SCHEMA)
        self.daemon(f'{self.dir}/db.log', 'ovsdb-server', f'{self.dir}/conf.db', f'--remote=punix:{database}',
                    f'--unixctl={self.dir}/db.ctl', '-vconsole:off')
        self.wait_for(database).close()
        self.vsctl('--no-wait', 'init', '--', *([] if caches else ['set', 'Open_vSwitch', '.', 'other_config:flow-limit=0']))
        control = f'{self.dir}/vswitchd.ctl'
        self.daemon(f'{self.dir}/vswitchd.log', VSWITCHD, f'unix:{database}', '--enable-dummy', '--disable-system',
                    '--disable-system-route', f'--unixctl={control}', '-vconsole:off')
        self.appctl = self.wait_for(control)
        self.appctl('time/stop')

    def command(self, *words, stdin=None):
        result = subprocess.run(words, env=self.environment, capture_output=True, text=True, input=stdin, timeout=180)
        if result.returncode:
            raise Refused(f"{words[0]} {' '.join(words[1:])[:300]}: {result.stderr.strip()}")
        return result.stdout

    def daemon(self, log, *words):
        with open(log, 'w') as f:
            self.processes.append(subprocess.Popen(words, env=self.environment, stdin=subprocess.DEVNULL, stdout=f, stderr=f))

    def wait_for(self, path):
        """A connection to a socket that is about to appear."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return Connection(path)
            except OSError:
                if self.processes[-1].poll() is not None or time.monotonic() > deadline:
                    raise Refused(f'{path} did not appear')
                time.sleep(0.002)

    def vsctl(self, *words):
        return self.command('ovs-vsctl', f'--db=unix:{self.dir}/db.sock', '--timeout=60', *words)

    def ofctl(self, command, bridge, *words, version='OpenFlow15', stdin=None):
        return self.command('ovs-ofctl', '-O', version, command, f'{self.dir}/{bridge}.mgmt', *words, stdin=stdin)

    def tap(self, name):
        self.taps[name] = PcapTail(f'{self.dir}/{name}.pcap')
        return f'options:tx_pcap={self.dir}/{name}.pcap'

    def inject(self, port, frames):
        """Frames (hex) are received on a port, one after the other; returns when all are processed."""
        for at in range(0, len(frames), BATCH):
            part = frames[at:at + BATCH]
            self.appctl('netdev-dummy/receive', port, *part)
            self.received += len(part)
            # One frame of each port is processed in a round of the main loop, between two commands.
            for _ in range(100_000):
                if self.counted() >= self.received:
                    break
            else:
                raise Refused(f'{port} did not take {len(part)} frames')

    def counted(self):
        return int(re.search(r'packets received: (\d+)', self.appctl('dpif-netdev/pmd-stats-show')).group(1))

    def collect(self):
        """Frames out since the last look, by port, in hex."""
        got = {name: [f.hex() for f in tap.new()] for name, tap in self.taps.items()}
        return {name: frames for name, frames in got.items() if frames}

    def alive(self):
        return all(p.poll() is None for p in self.processes)

    def close(self):
        if self.appctl:
            self.appctl.close()
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGKILL if 'vswitchd' in process.args[0] else signal.SIGTERM)
            process.wait()
        for tap in self.taps.values():
            tap.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
