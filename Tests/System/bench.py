"""What the system tests share: namespaces a, b and c, each with a device e0 whose other end is a port of the switch in s."""
import os
import time
import unittest

from lab import Lab
from weft import Weft

ADDRESSES = {'a': ('10.77.0.1/24', 'fd77::1/64'), 'b': ('10.77.0.2/24', 'fd77::2/64'), 'c': ('10.77.0.3/24', 'fd77::3/64')}
V4 = {name: pair[0].split('/')[0] for name, pair in ADDRESSES.items()}
V6 = {name: pair[1].split('/')[0] for name, pair in ADDRESSES.items()}

# Where the sender is faster than the receiver, frames are lost, as on any link.
CONGESTION = ('transmit_queue_full', 'no_buffer')


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

    def wait_until(self, condition, what, seconds=60):
        """Waits for something that has to come; how long it takes proves nothing."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                self.fail(f'{what}: not within {seconds} s; the log of weftd: {self.weft.log()}')
            time.sleep(0.02)

    def reach(self, source, target):
        """Waits until a ping comes through."""
        self.wait_until(lambda: self.lab.answered_singly(source, target, seconds=1), f'{target} answers {source}')

    def assert_ping(self, source, target, count=20, interval=0.02, **options):
        """From the first answer on, every request is answered."""
        self.reach(source, target)
        self.assertEqual(self.lab.answered(source, target, count, interval, **options), list(range(1, count + 1)))

    def assert_no_ping(self, source, target, count=2):
        self.assertEqual(self.lab.answered_singly(source, target, count, seconds=1), 0)

    def drops(self):
        return self.weft('drops', '--json')

    def assert_balance(self, allowed=CONGESTION, since=None):
        """Every frame that came in went out or was dropped: for a reason that `allowed` names, if it does not allow all."""
        def is_even():
            nonlocal report
            report = self.drops()
            return report['received'] + report['injected'] + report['copies'] == report['sent'] + report['dropped']
        report = None
        self.wait_until(is_even, 'frames in and out balance')
        if allowed is not None:
            before = since['drops'] if since else {}
            self.assertEqual([r for r, n in report['drops'].items() if n != before.get(r, 0) and r not in allowed], [], report)

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
        # The header is written when the socket is open.
        self.wait_for(lambda: os.path.exists(self.path) and os.path.getsize(self.path) >= 24)

    def wait_for(self, condition):
        deadline = time.monotonic() + 60
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.02)

    def read(self):
        return self.lab.run(self.name, f'tcpdump -r {self.path} -n -e -v', check=False)

    def lines(self, until):
        """What was seen up to the moment at which `until`, a function of the text, holds; and what came with it."""
        self.wait_for(lambda: until(self.read()))
        self.lab.end(self.process)
        try:
            return self.read().splitlines()
        finally:
            os.unlink(self.path)
