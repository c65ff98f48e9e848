"""Devices that go, come back and change: the switch follows at once, and no buffer or count is lost to it."""
import statistics
import time

from bench import V4, SwitchTest
from lab import words


class Devices(SwitchTest):
    def port(self, name):
        return next(port for bridge in self.weft('show', '--json') for port in bridge['ports'] if port['name'] == name)

    def follows(self, name, condition, what):
        """Waits until the switch knows; the seconds that it took."""
        start = time.monotonic()
        while not condition(self.port(name)):
            if time.monotonic() - start > 60:
                self.fail(f'{what} is not known within a minute: {self.port(name)}')
            time.sleep(0.005)
        return time.monotonic() - start


class FollowTest(Devices):
    def test_changes_are_followed_at_once(self):
        self.reach('a', V4['b'])
        times, all_times = {}, []
        for round in range(3):
            for what, command, condition in (
                    ('mtu', 'link set va mtu 1400', lambda p: p['mtu'] == 1400),
                    ('mtu back', 'link set va mtu 1500', lambda p: p['mtu'] == 1500),
                    ('down', 'link set va down', lambda p: p['link'] == 'down'),
                    ('up', 'link set va up', lambda p: p['link'] == 'up')):
                self.lab.ip('s', command)
                all_times.append(self.follows('va', condition, what))
                times[what] = max(times.get(what, 0), all_times[-1])
            self.lab.ip('a', 'link set e0 down')
            # The kernel itself takes up to a second to tell of a carrier.
            times['carrier'] = max(times.get('carrier', 0), self.follows('va', lambda p: p['link'] == 'down', 'no carrier'))
            self.lab.ip('a', 'link set e0 up')
            self.follows('va', lambda p: p['link'] == 'up', 'carrier')
            self.lab.ip('s', 'link del va')
            times['gone'] = max(times.get('gone', 0), self.follows('va', lambda p: p['link'] == 'down', 'the deletion'))
            self.connect('a')
            times['back'] = max(times.get('back', 0), self.follows('va', lambda p: p['link'] == 'up', 'the return'))
            self.reach('a', V4['b'])
        # The slow look, every two seconds, would find half of them after one second or later.
        self.assertLess(statistics.median(all_times), 0.5)
        print('followed within ' + ', '.join(f'{what} {1000 * seconds:.0f} ms' for what, seconds in times.items()))

    def test_a_renamed_device_is_gone(self):
        self.reach('a', V4['b'])
        self.lab.ip('s', 'link set va down')
        self.lab.ip('s', 'link set va name other')
        self.follows('va', lambda p: p['link'] == 'down' and p.get('error'), 'the new name')
        self.lab.ip('s', 'link set other name va')
        self.lab.ip('s', 'link set va up')
        self.follows('va', lambda p: p['link'] == 'up', 'the old name')
        self.reach('a', V4['b'])


class VirtualTimeTest(FollowTest):
    """Devices are real when time is not."""
    arguments = ('--virtual-time',)


class RecreateTest(Devices):
    hosts = ('a', 'b', 'c')
    rounds = 20

    def test_a_device_is_made_anew_under_load(self):
        for name in ('b', 'c'):
            self.reach('a', V4[name])
        frame = (f"{{ eth(da=ff:ff:ff:ff:ff:ff, sa={self.lab.mac('a', 'e0')}), ipv4(sa=10.77.0.1, da=10.77.0.255), "
                 'udp(sp=drnd(), dp=9), fill(0, 18) }')
        flood = self.lab.flood('a', 'e0', frame)
        for _ in range(self.rounds):
            self.lab.ip('s', 'link del vc')
            self.follows('vc', lambda p: p['link'] == 'down', 'the deletion')
            back = self.lab.spawn('b', words('ping -q -f -n -c 200 10.77.0.1'))
            self.connect('c')
            self.follows('vc', lambda p: p['link'] == 'up', 'the return')
            back.wait(120)
        self.lab.end(flood)
        self.lab.ip('a', 'neigh flush all')
        self.reach('a', V4['c'])
        before = self.lab.packets('c', 'e0', 'rx')
        self.assert_ping('a', V4['c'])
        self.assertGreater(self.lab.packets('c', 'e0', 'rx'), before)
        self.assert_balance(allowed=None)
        self.wait_until(lambda: self.drops()['buffers'] == 0, 'all buffers are back')
        balance = self.drops()
        tx = next(port['tx'] for port in balance['ports'] if port['name'] == 'vc')
        self.assertGreater(tx.get('port_down', 0), 0)
        self.assertIsNone(self.weft.process.poll())
        print(f"{balance['received']} received, {balance['sent']} sent, {balance['dropped']} dropped, at vc {tx}")
