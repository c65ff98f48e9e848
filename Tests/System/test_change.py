"""What changes while traffic runs: rules, ports, devices, configuration, the daemon itself. No packet is lost to it."""
import os
import signal
import time

from bench import V4, SwitchTest
from lab import answers, words
from rpc import Refused
from weft import Weft


class Pinging:
    """A ping that runs while something else happens, from the first answer until some have come after it."""

    def __init__(self, test, source, target, interval=0.002):
        self.test, self.path = test, f'{test.weft.dir}/ping'
        with open(self.path, 'w') as f:
            self.process = test.lab.spawn(source, f'ping -n -i {interval} {target}', stdout=f)
        self.wait_for_more()

    def answers(self):
        with open(self.path) as f:
            return answers(f.read())

    def wait_for_more(self):
        before = len(self.answers())
        self.test.wait_until(lambda: len(self.answers()) >= before + 20, 'the ping goes on')

    def assert_nothing_lost(self):
        """Every request up to the last that was answered was answered, once; how many there were."""
        self.wait_for_more()
        self.test.lab.end(self.process)
        seen = self.answers()
        self.test.assertEqual(sorted(seen), list(range(1, max(seen) + 1)))
        return len(seen)


class RuleChangeTest(SwitchTest):
    def rules(self, count, path, last='actions=normal'):
        with open(path, 'w') as f:
            for n in range(count):
                f.write(f'table=1,priority=10,tcp,nw_src=10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255},tp_dst={n % 60000},actions=drop\n')
            f.write(f'table=0,priority=0,{last}\n')

    def test_replacing_100000_rules_loses_no_ping(self):
        self.reach('a', V4['b'])
        path, times = f'{self.weft.dir}/many.flows', []
        self.rules(100_000, path)
        pinging = Pinging(self, 'a', V4['b'])
        for _ in range(3):
            start = time.monotonic()
            self.weft('replace-flows', 'br0', path)
            times.append(time.monotonic() - start)
        count = pinging.assert_nothing_lost()
        print(f'replace-flows with 100,000 rules: {max(times):.2f} s at most, {count} pings')

    def test_replacing_rules_under_a_flood(self):
        self.reach('a', V4['b'])
        path = f'{self.weft.dir}/many.flows'
        self.rules(20_000, path)
        frame = f"{{ eth(da={self.lab.mac('b', 'e0')}, sa={self.lab.mac('a', 'e0')}), ipv4(sa=10.77.0.1, da=10.77.0.2), udp(sp=drnd(), dp=9), fill(0, 18) }}"
        flood = self.lab.flood('a', 'e0', frame)
        for _ in range(3):
            before = self.lab.packets('b', 'e0', 'rx')
            self.wait_until(lambda: self.lab.packets('b', 'e0', 'rx') > before + 1000, 'frames of the flood arrive')
            self.weft('replace-flows', 'br0', path)
        before = self.lab.packets('b', 'e0', 'rx')
        self.wait_until(lambda: self.lab.packets('b', 'e0', 'rx') > before + 1000, 'frames of the flood still arrive')
        self.lab.end(flood)

    def test_a_wrong_line_changes_nothing(self):
        self.reach('a', V4['b'])
        path = f'{self.weft.dir}/wrong.flows'
        self.rules(1000, path)
        with open(path, 'a') as f:
            f.write('priority=1,ip,nw_src=10.0.0.300,actions=drop\n')
        before = self.weft('dump-flows', 'br0')
        with self.assertRaises(Refused) as caught:
            self.weft('replace-flows', 'br0', path)
        self.assertIn('1002', str(caught.exception))
        without_age = lambda text: sorted(line.split('table=')[1] for line in text.splitlines() if 'table=' in line)
        self.assertEqual(len(without_age(before)), len(without_age(self.weft('dump-flows', 'br0'))))

    def test_a_change_takes_effect_at_once(self):
        self.reach('a', V4['b'])
        self.weft('add-flow', 'br0', 'priority=0,actions=normal')
        for _ in range(5):
            self.weft('add-flow', 'br0', 'priority=9,icmp,actions=drop')
            self.assert_no_ping('a', V4['b'], count=1)
            self.weft('del-flows', 'br0', 'icmp')
            self.assertEqual(self.lab.answered_singly('a', V4['b'], 2), 2)


class PortChangeTest(SwitchTest):
    hosts = ('a', 'b', 'c')

    def test_adding_and_removing_a_port_loses_no_ping(self):
        self.reach('a', V4['b'])
        pinging = Pinging(self, 'a', V4['b'])
        for _ in range(10):
            self.weft('del-port', 'br0', 'vc')
            self.weft('add-port', 'br0', 'vc')
        pinging.assert_nothing_lost()
        self.assert_ping('a', V4['c'])

    def test_device_that_goes_and_comes_back(self):
        self.reach('a', V4['c'])
        pinging = Pinging(self, 'a', V4['b'])
        self.lab.ip('s', 'link del vc')
        self.assertIn('vc', self.weft('show'))
        self.connect('c')
        self.lab.ip('a', 'neigh flush all')  # the new device has another address
        self.reach('a', V4['c'])
        self.assert_ping('a', V4['c'])
        pinging.assert_nothing_lost()

    def test_link_down_and_up(self):
        self.reach('a', V4['c'])
        self.lab.ip('s', 'link set vc down')
        self.assert_no_ping('a', V4['c'])
        self.lab.ip('s', 'link set vc up')
        self.reach('a', V4['c'])

    def test_administratively_down(self):
        self.reach('a', V4['c'])
        self.weft('set-port', 'vc', 'admin=down')
        self.assert_no_ping('a', V4['c'])
        self.weft('set-port', 'vc', 'admin=up')
        self.reach('a', V4['c'])


class RestartTest(SwitchTest):
    def save(self):
        path = f'{self.weft.dir}/weft.yaml'
        self.weft('config/save', path)
        return path

    def test_killed_and_started_again(self):
        self.weft('add-flow', 'br0', 'priority=5,actions=normal')
        self.reach('a', V4['b'])
        path = self.save()
        for _ in range(2):
            self.weft.process.kill()
            self.weft.process.wait()
            self.assert_no_ping('a', V4['b'])
            self.weft.command = [*self.weft.command, '--config', path] if '--config' not in self.weft.command else self.weft.command
            self.weft.start()
            self.assert_ping('a', V4['b'])
            self.assertIn('priority=5', self.weft('dump-flows', 'br0'))

    def test_stops_cleanly(self):
        self.reach('a', V4['b'])
        self.weft.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.weft.process.wait(60), 0)
        self.assertFalse(os.path.exists(self.weft.path))

    def test_reload(self):
        self.reach('a', V4['b'])
        path = self.save()
        self.weft.stop()
        self.weft.command += ['--config', path]
        self.weft.start()
        self.reach('a', V4['b'])
        self.weft('add-port', 'br0', 'extra', 'type=null')
        with_port = f'{self.weft.dir}/with.yaml'
        self.weft('config/save', with_port)
        self.weft('del-port', 'br0', 'extra')
        os.replace(with_port, path)
        pinging = Pinging(self, 'a', V4['b'])
        self.weft.process.send_signal(signal.SIGHUP)
        self.wait_until(lambda: 'extra' in self.weft('show'), 'the port of the new file is there')
        pinging.assert_nothing_lost()

    def test_wrong_configuration_is_refused_and_the_old_one_stays(self):
        path = self.save()
        self.weft.stop()
        self.weft.command += ['--config', path]
        self.weft.start()
        self.reach('a', V4['b'])
        with open(path, 'a') as f:
            f.write('\nno-such-key: 1\n')
        self.weft.process.send_signal(signal.SIGHUP)
        self.wait_until(lambda: 'no-such-key' in self.weft.log(), 'the wrong key is named')
        self.assert_ping('a', V4['b'])


class CapabilityTest(SwitchTest):
    """Two capabilities are enough, and a missing one is named."""

    def run_as_nobody(self, capabilities):
        os.chmod(self.weft.dir, 0o777)
        weft = Weft.__new__(Weft)
        weft.dir, weft.process, weft.environment, weft.connection = self.weft.dir, None, dict(os.environ), None
        weft.path = f'{self.weft.dir}/nobody.sock'
        caps = ','.join(f'+{c}' for c in capabilities) or '-all'
        limit = ['--inh-caps', caps, '--ambient-caps', caps] if capabilities else ['--inh-caps', '-all']
        weft.command = ['ip', 'netns', 'exec', self.lab.namespaces['s'], 'setpriv', '--reuid=65534', '--regid=65534', '--clear-groups',
                        *limit, '--', *words(self.weft.command[-3]), '--control', weft.path]
        return weft

    def setUp(self):
        super().setUp()
        self.weft('del-br', 'br0')

    def test_two_capabilities_are_enough(self):
        weft = self.run_as_nobody(['net_raw', 'net_admin'])
        try:
            weft.start()
            # Who may open the TUN device is the system's affair; where not all may, the bridge goes without a port of its own.
            is_open = os.stat('/dev/net/tun').st_mode & 0o006 == 0o006
            weft('add-br', 'br0', *([] if is_open else ['local=none']))
            weft('add-port', 'br0', 'va')
            weft('add-port', 'br0', 'vb')
            self.reach('a', V4['b'])
        finally:
            weft.stop()

    def test_missing_capability_is_named(self):
        weft = self.run_as_nobody([])
        try:
            try:
                weft.start()
                weft('add-br', 'br0', 'local=none')
                weft('add-port', 'br0', 'va')
                said = weft('show') + weft.log()
            except Refused as error:
                said = str(error) + weft.log()
            self.assertIn('CAP_NET_RAW', said)
        finally:
            weft.stop()
