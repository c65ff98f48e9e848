"""What the system tests share: namespaces a, b and c, each with a device e0 whose other end is a port of the switch in s."""
import os
import time
import unittest

from lab import Lab
from weft import Weft

ADDRESSES = {'a': ('10.77.0.1/24', 'fd77::1/64'), 'b': ('10.77.0.2/24', 'fd77::2/64'), 'c': ('10.77.0.3/24', 'fd77::3/64')}
V4 = {name: pair[0].split('/')[0] for name, pair in ADDRESSES.items()}
V6 = {name: pair[1].split('/')[0] for name, pair in ADDRESSES.items()}


class SwitchTest(unittest.TestCase):
    """Each test gets a switch and hosts of its own."""

    hosts = ('a', 'b')
    ports = True     # whether the devices are added to br0
    bridge = ('local=none',)
    arguments = ()

    def setUp(self):
        self.lab = Lab('s', *self.hosts)
        self.addCleanup(self.lab.close)
        for name in self.hosts:
            self.connect(name)
        self.weft = self.switch(*self.arguments)
        self.weft('add-br', 'br0', *self.bridge)
        if self.ports:
            for name in self.hosts:
                self.weft('add-port', 'br0', f'v{name}')

    def connect(self, name):
        self.lab.veth(name, 'e0', 's', f'v{name}')
        self.lab.ip('s', f'link set v{name} up')
        self.lab.address(name, 'e0', *ADDRESSES[name])

    def switch(self, *arguments):
        weft = Weft(*arguments, namespace=self.lab.namespaces['s'])
        self.addCleanup(weft.close)
        return weft

    def reach(self, source, target, seconds=5):
        """Waits until a ping comes through."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.lab.ping(source, target, count=1)[1]:
                return
        self.fail(f'{target} does not answer {source} within {seconds} s; the log of weftd: {self.weft.log()}')

    def assert_ping(self, source, target, count=20, interval=0.02, **options):
        self.reach(source, target)
        sent, received, _ = self.lab.ping(source, target, count, interval, **options)
        self.assertEqual((sent, received), (count, count))

    def assert_no_ping(self, source, target):
        self.assertEqual(self.lab.ping(source, target, count=3, interval=0.2)[1], 0)

    def status(self, key):
        """A figure of /proc/PID/status of the daemon, in KiB."""
        with open(f'/proc/{self.pid()}/status') as f:
            for line in f:
                if line.startswith(key + ':'):
                    return int(line.split()[1])
        raise KeyError(key)

    def pid(self):
        # `ip netns exec` replaces itself by the program.
        return self.weft.process.pid

    def processor_seconds(self):
        with open(f'/proc/{self.pid()}/stat') as f:
            fields = f.read().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def capture(self, name, expression='', device='e0'):
        """A tcpdump that runs on a host's device; .lines() ends it and returns what it saw."""
        return Capture(self.lab, name, device, expression)


class Capture:
    def __init__(self, lab, name, device, expression):
        self.lab, self.path = lab, f'/tmp/{lab.prefix}{name}{device}.pcap'
        self.name, self.expression = name, expression
        self.process = lab.spawn(name, f'tcpdump -i {device} -n -U --immediate-mode -w {self.path} {expression}')
        deadline = time.monotonic() + 5
        while not (os.path.exists(self.path) and os.path.getsize(self.path) >= 24) and time.monotonic() < deadline:
            time.sleep(0.02)

    def lines(self, wait=0.3):
        time.sleep(wait)
        self.lab.end(self.process)
        try:
            return self.lab.run(self.name, f'tcpdump -r {self.path} -n -e -v', check=False).splitlines()
        finally:
            os.unlink(self.path)
