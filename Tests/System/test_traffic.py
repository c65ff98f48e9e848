"""Hosts on either side of the switch talk to each other with the default settings of their devices."""
import re

from bench import CONGESTION, V4, V6, SwitchTest


class TrafficTest(SwitchTest):
    def test_ping(self):
        self.assert_ping('a', V4['b'], count=50)
        self.assert_ping('b', V6['a'], count=50)

    def test_ping_sizes_and_fragments(self):
        for size in (0, 1, 17, 18, 1472, 1473, 4000, 20000):
            self.assert_ping('a', V4['b'], count=3, size=size)
            self.assert_ping('a', V6['b'], count=3, size=size)

    def test_tcp(self):
        self.reach('a', V4['b'])
        before = self.drops()
        for target in (V4['b'], V6['b']):
            self.reach('a', target)
            for direction in ('', '-R'):
                with self.subTest(target=target, direction=direction):
                    report = self.lab.iperf('a', 'b', target, 2, direction)
                    self.assertGreater(report['sum_received']['bytes'], 0)
        self.assert_balance(since=before)

    def test_udp(self):
        for target in (V4['b'], V6['b']):
            self.reach('a', target)
            with self.subTest(target=target):
                before, sent = self.drops(), self.frames('vb', 'tx')
                self.lab.iperf('a', 'b', target, 2, '-u -b 20M -l 1000')
                self.assert_balance(since=before)
                self.assertGreater(self.frames('vb', 'tx') - sent, 100)

    def frames(self, port, way):
        return int(re.search(rf'port {port} .*?{way} packets=(\d+)', self.weft('port-stats'), re.S).group(1))

    def test_many_connections_at_once(self):
        self.reach('a', V4['b'])
        report = self.lab.iperf('a', 'b', V4['b'], 2, '-P 8')
        self.assertTrue(all(s['receiver']['bytes'] > 0 for s in report['streams']))

    def test_flow_rules_rewrite_what_arrives(self):
        self.reach('a', V4['b'])
        self.weft('add-flow', 'br0', 'priority=10,icmp,nw_dst=10.77.0.2,actions=set_field:0xb8->nw_tos,dec_ttl,normal')
        self.weft('add-flow', 'br0', 'priority=0,actions=normal')
        capture = self.capture('b', 'icmp and dst 10.77.0.2')
        self.assertEqual(self.lab.answered_singly('a', V4['b'], 3), 3)
        lines = '\n'.join(capture.lines(lambda text: text.count('echo request') >= 3))
        self.assertIn('tos 0xb8, ttl 63', lines)
        self.assertNotIn('bad cksum', lines)

    def test_secure_bridge_without_rules_passes_nothing(self):
        self.weft('set-br', 'br0', 'fail-mode=secure')
        self.weft('del-flows', 'br0')
        self.assert_no_ping('a', V4['b'])
        self.weft('add-flow', 'br0', 'actions=normal')
        self.assert_ping('a', V4['b'])

    def test_what_came_in_went_out_or_was_dropped(self):
        self.reach('a', V4['b'])
        before = self.drops()
        self.assert_ping('a', V4['b'], count=100, interval=0.002)
        self.assertGreaterEqual(self.frames('va', 'rx'), 100)
        self.assertGreaterEqual(self.frames('vb', 'tx'), 100)
        self.assert_balance(since=before)
        # And each drop has its port.
        self.weft('add-flow', 'br0', 'priority=10,icmp,nw_src=10.77.0.1,actions=drop')
        self.assert_no_ping('a', V4['b'])
        self.assert_balance(since=before, allowed=(*CONGESTION, 'rule_drop'))
        drops = self.weft('drops')
        self.assertRegex(drops, r'\nbridge br0 port va:\n(  .*\n)*?  rule_drop: [1-9]')
        self.assertNotRegex(drops, r'\nbridge br0 port vb:\n(  .*\n)*?  rule_drop: ')


class ThreeHostsTest(SwitchTest):
    hosts = ('a', 'b', 'c')

    def test_unicast_goes_to_its_port_only(self):
        self.assert_ping('a', V4['b'])
        capture = self.capture('c', 'icmp')
        self.assert_ping('a', V4['b'])
        self.assertEqual(self.lab.answered_singly('a', V4['c']), 1)  # c sees this one, and so has seen all before it
        seen = [line for line in capture.lines(lambda text: 'echo reply' in text) if 'ICMP echo' in line]
        self.assertEqual([line for line in seen if V4['b'] in line], [])
        self.assertEqual(len(seen), 2)

    def test_mirror(self):
        self.assert_ping('a', V4['b'])
        self.weft('add-mirror', 'br0', 'm0', 'select-src-port=va', 'output-port=vc')
        capture = self.capture('c', 'icmp')
        self.assertEqual(self.lab.answered_singly('a', V4['b'], 4), 4)
        seen = '\n'.join(capture.lines(lambda text: text.count('echo request') >= 4))
        self.assertEqual(seen.count('echo request'), 4)
        self.weft('del-mirror', 'br0', 'm0')

    def test_capture_command(self):
        path = f'{self.weft.dir}/crossing.pcap'
        self.assert_ping('a', V4['b'])
        self.weft('capture', 'vb', path, 'filter=icmp')
        self.assertEqual(self.lab.answered_singly('a', V4['b'], 5), 5)
        self.weft('capture', 'stop', 'vb')
        lines = self.lab.run('s', f'tcpdump -r {path} -n', check=False)
        self.assertEqual((lines.count('echo request'), lines.count('echo reply')), (5, 5))


class VlanTest(SwitchTest):
    hosts = ('a', 'b', 'c')
    ports = False

    def test_access_ports_of_one_vlan_and_of_two(self):
        self.weft('add-port', 'br0', 'va', 'tag=10')
        self.weft('add-port', 'br0', 'vb', 'tag=10')
        self.weft('add-port', 'br0', 'vc', 'tag=20')
        self.assert_ping('a', V4['b'])
        self.assert_no_ping('a', V4['c'])
        self.weft('set-port', 'vc', 'tag=10')
        self.assert_ping('a', V4['c'])

    def trunk(self):
        """A second bridge with host c behind a pair of devices that carry tags: t0 of br0 and t1 of br1."""
        self.lab.veth('s', 't0', 's', 't1')
        for device in ('t0', 't1'):
            self.lab.ip('s', f'link set {device} up')
        self.weft('add-br', 'br1', 'local=none')
        self.weft('add-port', 'br1', 'vc', 'tag=10')
        self.weft('add-port', 'br1', 't1', 'trunks=10,20')

    def assert_tagged(self):
        self.assert_ping('a', V4['c'])
        # What a packet socket sends past the queueing discipline is seen where it arrives only.
        captures = [self.capture('s', 'vlan 10 and icmp', device=device) for device in ('t0', 't1')]
        self.assertEqual(self.lab.answered_singly('a', V4['c'], 3), 3)
        seen = '\n'.join('\n'.join(capture.lines(lambda text: text.count('vlan 10') >= 3)) for capture in captures)
        self.assertEqual((seen.count('vlan 10'), seen.count('echo request'), seen.count('echo reply')), (6, 3, 3))
        for target in (V4['c'], V6['c']):
            report = self.lab.iperf('a', 'c', target, 2)
            self.assertGreater(report['sum_received']['bytes'], 0)
        # A frame that the sender left to be cut into segments counts by its segments.
        self.assertNotIn('exceeds_mtu', self.weft('drops'))

    def test_trunk_carries_tags(self):
        self.trunk()
        self.weft('add-port', 'br0', 'va', 'tag=10')
        self.weft('add-port', 'br0', 'vb', 'tag=20')
        self.weft('add-port', 'br0', 't0', 'trunks=10,20')
        self.assert_tagged()
        self.assert_no_ping('b', V4['c'])
        self.weft('set-port', 'vc', 'tag=20')
        self.assert_ping('b', V4['c'])

    def test_tag_pushed_by_a_rule(self):
        self.trunk()
        self.weft('set-br', 'br0', 'fail-mode=secure')
        self.weft('add-port', 'br0', 'va', 'ofport=1')
        self.weft('add-port', 'br0', 't0', 'ofport=2')
        self.weft('add-flow', 'br0', 'in_port=1,actions=push_vlan:0x8100,set_field:4106->vlan_vid,output:2')
        self.weft('add-flow', 'br0', 'in_port=2,dl_vlan=10,actions=pop_vlan,output:1')
        self.assert_tagged()


class LocalPortTest(SwitchTest):
    bridge = ()

    def test_the_host_itself_over_the_local_port(self):
        self.lab.address('s', 'br0', '10.77.0.9/24', 'fd77::9/64')
        self.assert_ping('a', '10.77.0.9')
        self.assert_ping('a', 'fd77::9')
        report = self.lab.iperf('a', 's', '10.77.0.9', 2)
        self.assertGreater(report['sum_received']['bytes'], 0)

    def test_internal_port(self):
        self.weft('add-port', 'br0', 'in0', 'type=internal')
        self.lab.address('s', 'in0', '10.77.0.10/24')
        self.assert_ping('b', '10.77.0.10')
        self.weft('del-port', 'br0', 'in0')
        self.assertNotIn('in0', self.lab.ip('s', 'link show', check=False))

    def test_tap_port(self):
        self.weft('add-port', 'br0', 'tap0', 'type=tap')
        self.lab.address('s', 'tap0', '10.77.0.11/24')
        self.assert_ping('a', '10.77.0.11')
