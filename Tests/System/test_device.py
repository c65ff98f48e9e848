"""Devices that go, come back and change: the switch follows at once, and no buffer or count is lost to it."""
import time

from bench import V4, SwitchTest
from lab import words


class Devices(SwitchTest):
    def port(self, name):
        return next(port for bridge in self.weft('show', '--json') for port in bridge['ports'] if port['name'] == name)

    def follows(self, name, condition, what, within=0.4):
        """The switch knows within a fraction of the slow look's two seconds."""
        start = time.monotonic()
        while not condition(self.port(name)):
            if time.monotonic() - start > within:
                self.fail(f'{what} is not known within {within} s: {self.port(name)}')
            time.sleep(0.005)
        return time.monotonic() - start


class FollowTest(Devices):
    def test_changes_are_followed_at_once(self):
        self.reach('a', V4['b'])
        times = {}
        for round in range(3):
            for what, command, condition in (
                    ('mtu', 'link set va mtu 1400', lambda p: p['mtu'] == 1400),
                    ('mtu back', 'link set va mtu 1500', lambda p: p['mtu'] == 1500),
                    ('down', 'link set va down', lambda p: p['link'] == 'down'),
                    ('up', 'link set va up', lambda p: p['link'] == 'up')):
                self.lab.ip('s', command)
                times[what] = max(times.get(what, 0), self.follows('va', condition, what))
            self.lab.ip('a', 'link set e0 down')
            # The kernel itself takes up to a second to tell of a carrier.
            times['carrier'] = max(times.get('carrier', 0), self.follows('va', lambda p: p['link'] == 'down', 'no carrier', 1.5))
            self.lab.ip('a', 'link set e0 up')
            self.follows('va', lambda p: p['link'] == 'up', 'carrier', 1.5)
            self.lab.ip('s', 'link del va')
            times['gone'] = max(times.get('gone', 0), self.follows('va', lambda p: p['link'] == 'down', 'the deletion'))
            self.connect('a')
            times['back'] = max(times.get('back', 0), self.follows('va', lambda p: p['link'] == 'up', 'the return', 1.5))
            self.reach('a', V4['b'])
        print('followed within ' + ', '.join(f'{what} {1000 * seconds:.0f} ms' for what, seconds in times.items()))

    def test_a_renamed_device_is_gone(self):
        self.reach('a', V4['b'])
        self.lab.ip('s', 'link set va down')
        self.lab.ip('s', 'link set va name other')
        self.follows('va', lambda p: p['link'] == 'down' and p.get('error'), 'the new name')
        self.lab.ip('s', 'link set other name va')
        self.lab.ip('s', 'link set va up')
        self.follows('va', lambda p: p['link'] == 'up', 'the old name', 1.5)
        self.reach('a', V4['b'])


class VirtualTimeTest(FollowTest):
    """Devices are real when time is not."""
    arguments = ('--virtual-time',)
