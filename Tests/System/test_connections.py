"""Hosts talk through rules that track and translate their connections, with the default settings of their devices."""
import json
import os
import re

from bench import V4, V6, SwitchTest
from test_change import Pinging

TRANSLATED = {4: '10.77.0.100', 6: 'fd77::100'}  # what host a looks like to the others
SERVICE = '10.77.0.200'                          # behind which b and c are
PORTS = {'a': 1, 'b': 2, 'c': 3}


class TrackedTest(SwitchTest):
    """A secure bridge; neighbours find each other, everything else of IP goes through table 1, tracked in zone 5."""

    bridge = ('local=none', 'fail-mode=secure')
    ports = False

    def setUp(self):
        super().setUp()
        for name in self.hosts:
            self.weft('add-port', 'br0', f'v{name}', f'ofport={PORTS[name]}')
        self.path = f'{self.weft.dir}/flows'

    COMMON = ('priority=20,arp,actions=normal', 'priority=30,icmp6,icmp_type=135,actions=normal', 'priority=30,icmp6,icmp_type=136,actions=normal',
              'priority=10,ip,actions=ct(table=1,zone=5,nat)', 'priority=10,ipv6,actions=ct(table=1,zone=5,nat)', 'priority=0,actions=drop')

    def flows(self, lines, more=()):
        with open(self.path, 'w') as f:
            f.write('\n'.join((*self.COMMON, *lines, *more)) + '\n')
        self.weft('replace-flows', 'br0', self.path)

    def neighbour(self, name, address, whose):
        self.lab.ip(name, f"neigh replace {address} lladdr {self.lab.mac(whose, 'e0')} dev e0")

    def connections(self, *filter_):
        return self.weft('ct/dump', '-s', *filter_).splitlines()

    def created(self):
        return self.weft('ct/stats', '--json')['events']['created']

    def serve(self, name):
        """A web server at port 8080 that answers with the name of its host."""
        directory = f'{self.weft.dir}/{name}'
        os.mkdir(directory)
        with open(f'{directory}/who', 'w') as f:
            f.write(name)
        self.lab.spawn(name, f'python3 -m http.server 8080 --directory {directory}')
        self.wait_until(lambda: ':8080' in self.lab.run(name, 'ss -Hltn', check=False), 'the web server listens')

    def fetch(self, client, address, port=80):
        return self.lab.run(client, f'curl -s -S --max-time 60 http://{address}:{port}/who')

    def packets(self, match):
        """Packets of the rules that dump-flows shows for a match."""
        return sum(int(n) for n in re.findall(r'n_packets=(\d+)', self.weft('dump-flows', 'br0', match)))

    def counted(self):
        """Packets that all connections have counted, both ways."""
        return sum(int(n) for line in self.connections() for n in re.findall(r'packets=(\d+)', line))


class SourceTest(TrackedTest):
    """Host a hides behind another address."""

    RULES = [f'table=1,priority=20,ct_state=+new+trk,{ip},in_port=1,actions=ct(commit,zone=5,nat(src={address})),output:2'
             for ip, address in (('ip', TRANSLATED[4]), ('ipv6', TRANSLATED[6]))]
    RULES += ['table=1,priority=10,ct_state=+est+trk,in_port=1,actions=output:2', 'table=1,priority=10,ct_state=+est+trk,in_port=2,actions=output:1',
              'table=1,priority=10,ct_state=+rel+trk,in_port=2,actions=output:1', 'table=1,priority=0,actions=drop']

    def setUp(self):
        super().setUp()
        self.flows(self.RULES)
        for address in TRANSLATED.values():
            self.neighbour('b', address, 'a')

    def test_ping(self):
        for target in (V4['b'], V6['b']):
            self.assert_ping('a', target, count=20)
        lines = [line for line in self.connections() if line.startswith('icmp')]
        self.assertTrue(any(f"dst={TRANSLATED[4]}," in line for line in lines), lines)
        self.assertTrue(any(f"dst={TRANSLATED[6]}," in line for line in lines), lines)
        # Who was not asked may not begin.
        self.assert_no_ping('b', TRANSLATED[4])

    def test_tcp_and_udp(self):
        for target in (V4['b'], V6['b']):
            self.reach('a', target)
            with self.subTest(target=target):
                for arguments in ('', '-R', '-P 4', '-u -b 20M -l 1000'):
                    report = self.lab.iperf('a', 'b', target, 1, arguments)
                    self.assertGreater(report['sum_received']['bytes'] if 'sum_received' in report else report['sum']['bytes'], 0)
        self.assert_balance(allowed=None)

    def test_a_web_page_and_what_the_server_sees(self):
        self.serve('b')
        capture = self.capture('b', 'tcp port 8080')
        before = self.created()
        self.assertEqual([self.fetch('a', V4['b'], 8080) for _ in range(10)], ['b'] * 10)
        self.assertEqual(self.created() - before, 10)
        lines = '\n'.join(capture.lines(lambda text: text.count('Flags [S]') >= 10))
        self.assertNotIn(f"{V4['a']}.", lines)
        self.assertIn(f'{TRANSLATED[4]}.', lines)
        self.assertEqual(self.packets('table=1,ip,in_port=1,ct_state=+new+trk'), 10)
        # Every packet that was tracked belongs to one of them.
        self.assertEqual(self.counted(), self.packets('ip,table=0'))

    def test_an_error_comes_back_to_its_sender(self):
        """A closed port of UDP: the error quotes the translated packet, and the sender hears of it."""
        self.reach('a', V4['b'])
        script = (f"import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(60); s.connect(('{V4['b']}', 9)); s.send(b'x')\n"
                  "try: s.recv(1)\nexcept ConnectionRefusedError: print('refused')")
        self.assertEqual(self.lab.run('a', ['python3', '-c', script]).strip(), 'refused')

    def test_no_connection_is_lost_at_a_change_of_rules(self):
        self.reach('a', V4['b'])
        pinging, created = Pinging(self, 'a', V4['b']), self.created()
        listener = self.lab.spawn('b', 'iperf3 -s -1')
        self.wait_until(lambda: ':5201' in self.lab.run('b', 'ss -Hltn', check=False), 'the server listens')
        with open(f'{self.weft.dir}/report', 'w') as f:
            client = self.lab.spawn('a', f"iperf3 -c {V4['b']} -t 4 -J", stdout=f)
        changes = 0
        while client.poll() is None:
            more = [f'table=1,priority=5,ip,nw_src=10.{changes % 200}.{n}.0/24,actions=drop' for n in range(200)]
            self.flows(self.RULES, more)
            changes += 1
        self.lab.end(listener)
        pinging.assert_nothing_lost()
        with open(f'{self.weft.dir}/report') as f:
            report = json.load(f)
        self.assertNotIn('error', report)
        self.assertGreater(report['end']['sum_received']['bytes'], 0)
        # iperf3 has one connection to control and one for data; the ping one that was there.
        self.assertEqual(self.created() - created, 2, self.connections())
        print(f'{changes} changes of rules under load')


class BalanceTest(TrackedTest):
    """A service behind which two hosts are, chosen by a group."""

    hosts = ('a', 'b', 'c')

    def setUp(self):
        super().setUp()
        # With the devices' MAC addresses a port says which host it is.
        self.ways = [f"table=2,priority=10,ip,nw_dst={V4[n]},actions=set_field:{self.lab.mac(n, 'e0')}->eth_dst,output:{PORTS[n]}" for n in self.hosts]
        buckets = ','.join(f'bucket=bucket_id:{n},actions=ct(commit,zone=5,nat(dst={V4[name]}:8080),table=2)' for n, name in enumerate(('b', 'c')))
        self.weft('add-group', 'br0', f'group_id=1,type=select,selection_method=dp_hash,{buckets}')
        self.flows([f'table=1,priority=20,ct_state=+new+trk,tcp,nw_dst={SERVICE},tp_dst=80,actions=group:1',
                    'table=1,priority=10,ct_state=+est+trk,ip,actions=resubmit(,2)', 'table=1,priority=0,actions=drop', *self.ways])
        self.neighbour('a', SERVICE, 'b')
        for name in ('b', 'c'):
            self.serve(name)

    def test_pages_come_from_both(self):
        before = self.created()
        pages = [self.fetch('a', SERVICE) for _ in range(40)]
        self.assertEqual(set(pages), {'b', 'c'})
        self.assertEqual(self.created() - before, 40)
        lines = self.connections('zone=5')
        for name in ('b', 'c'):
            chosen = [line for line in lines if f'reply=(src={V4[name]},dst={V4["a"]},sport=8080' in line]
            self.assertEqual(len(chosen), pages.count(name), lines)
            self.assertTrue(all(f'dst={SERVICE},' in line for line in chosen), chosen)
        groups = self.weft('dump-group-stats', 'br0')
        self.assertEqual(sorted(int(n) for n in re.findall(r'bucket\d+:packet_count=(\d+)', groups)), sorted((pages.count('b'), pages.count('c'))), groups)
        self.assertEqual(self.counted(), self.packets('ip,table=0'))

    def test_a_connection_keeps_its_server_when_the_other_way_changes(self):
        """While data flows, the group loses the bucket that is not used, then both; the connection lives on."""
        report = self.download(lambda: self.weft('mod-group', 'br0', f"group_id=1,type=select,bucket=bucket_id:0,actions=ct(commit,zone=5,nat(dst={V4['b']}:8080),table=2)"))
        self.assertEqual(report, 'whole')

    def download(self, change):
        """Fetches 200 MB while a change is made again and again; 'whole' if all of it came."""
        for name in ('b', 'c'):
            with open(f'{self.weft.dir}/{name}/big', 'wb') as f:
                f.truncate(200_000_000)
        client = self.lab.spawn('a', f'curl -s --max-time 120 -o {self.weft.dir}/got http://{SERVICE}/big')
        while client.poll() is None:
            change()
            self.flows([f'table=1,priority=20,ct_state=+new+trk,tcp,nw_dst={SERVICE},tp_dst=80,actions=group:1',
                        'table=1,priority=10,ct_state=+est+trk,ip,actions=resubmit(,2)', 'table=1,priority=0,actions=drop', *self.ways])
        return 'whole' if client.returncode == 0 and os.path.getsize(f'{self.weft.dir}/got') == 200_000_000 else f'curl ended with {client.returncode}'
