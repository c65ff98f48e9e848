"""A service in front of real servers: clients in one namespace, backends in others, all behind one bridge that does NORMAL."""
import json
import os
import re
import subprocess
import sys

from bench import SwitchTest

SUPPORT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'Support')
BACKENDS = ('b1', 'b2', 'b3')
VIP4, VIP6 = '10.78.0.100', 'fd78::100'


class BalanceTest(SwitchTest):
    hosts = ('c', *BACKENDS)

    def connect(self, name):
        number = self.hosts.index(name) + 1
        self.lab.veth(name, 'e0', 's', f'v{name}')
        self.lab.ip('s', f'link set v{name} up')
        self.lab.address(name, 'e0', f'10.78.0.{number}/24', f'fd78::{number}/64')

    def setUp(self):
        super().setUp()
        self.mac = {name: self.lab.mac(name, 'e0') for name in self.hosts}
        self.servers = {name: self.serve(name) for name in BACKENDS}
        self.clients = []
        self.addCleanup(self.end_clients)

    def end_clients(self):
        for process in self.clients:
            if process.poll() is None:
                process.kill()
                process.wait()

    def serve(self, name, *addresses):
        process = self.lab.spawn(name, [sys.executable, f'{SUPPORT}/backend.py', name, '8080', *addresses], stdout=subprocess.PIPE, text=True)
        self.assertEqual(process.stdout.readline(), 'ready\n')
        return process

    def backend(self, name, version=4, weight=None):
        number = self.hosts.index(name) + 1
        address = f'10.78.0.{number}' if version == 4 else f'[fd78::{number}]'
        return f'{address}:8080' + (f'@{weight}' if weight is not None else '') + f'/{self.mac[name]}'

    def address(self, name):
        return self.backend(name).split('/')[0]

    def add(self, *settings, names=BACKENDS, vip=f'{VIP4}:80', service='web', answer='arp,echo', version=4):
        self.weft('lb/add', service, f'vip={vip}', 'backends=' + ','.join(self.backend(n, version) for n in names), 'apply=br0',
                  f'answer={answer}', *settings)

    def curl(self, url=f'http://{VIP4}/', host='c', check=True):
        return self.lab.run(host, f'curl -s --max-time 30 {url}', check=check).split()

    def names(self, count, **options):
        return [self.curl(**options)[0] for _ in range(count)]

    def start_clients(self, long):
        command = self.lab.inside('c', [sys.executable, f'{SUPPORT}/clients.py', VIP4, '80', str(long)])
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.clients.append(process)
        return process

    def mark(self, process, name):
        process.stdin.write(f'mark {name}\n')
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    def short_ones(self, process, name, more=20):
        """Waits until so many further short connections were made."""
        start = self.mark(process, name)['short']
        self.wait_until(lambda: self.mark(process, name + '-later')['short'] >= start + more, 'short connections')

    def finish(self, process):
        process.stdin.write('end\n')
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    def test_curl_in_turn(self):
        self.add()
        self.assertEqual(sorted(self.names(6)), sorted(BACKENDS * 2))
        # The backends see the client itself.
        self.assertEqual(self.curl()[1], '10.78.0.1')
        self.assertEqual(self.lab.answered_singly('c', VIP4, 3), 3)
        self.assertRegex(self.weft('lb/stats', 'web'), r'chosen: 7, returned: 0, refused: 0, packets: [1-9]')

    def test_cluster_mode_hides_clients(self):
        self.add('mode=cluster', f'snat={VIP4}')
        self.assertEqual(sorted(self.names(3)), sorted(BACKENDS))
        self.assertEqual(self.curl()[1], VIP4)

    def test_ipv6(self):
        self.add(vip=f'[{VIP6}]:80', answer='nd,echo', version=6)
        self.assertEqual(sorted(self.names(3, url=f'http://[{VIP6}]/')), sorted(BACKENDS))
        self.assertEqual(self.curl(url=f'http://[{VIP6}]/')[1], 'fd78::1')
        self.assertEqual(self.lab.answered_singly('c', VIP6, 3), 3)

    def udp(self, count, size=5, port=None):
        """The names that answer so many datagrams, each of a socket of its own unless one port is given."""
        script = (f'import socket\nfor i in range({count}):\n s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(20)\n'
                  f' s.bind(("", {port or 0})); s.sendto(b"x" * {size}, ("{VIP4}", 53)); print(s.recv(65535).decode().split()[0], flush=True)\n')
        return self.lab.run('c', [sys.executable, '-c', script]).split()

    def test_udp(self):
        self.add(vip=f'{VIP4}:53/udp')
        self.assertEqual(sorted(self.udp(6)), sorted(BACKENDS * 2))
        self.assertEqual(len(set(self.udp(5, port=4000))), 1)
        # Datagrams in fragments, there and back.
        self.assertEqual(sorted(self.udp(3, size=5000)), sorted(BACKENDS))

    def test_udp_backend_that_is_removed_leaves_nothing_behind(self):
        self.add(vip=f'{VIP4}:53/udp')
        first = self.udp(1, port=4000)[0]
        self.assertEqual(self.udp(1, port=4000), [first])
        self.weft('lb/backend', 'del', 'web', self.address(first))
        self.assertNotIn(first, self.udp(3, port=4000))

    def test_affinity(self):
        self.add('affinity=600')
        self.assertEqual(len(set(self.names(8))), 1)

    def test_a_client_that_is_its_own_backend(self):
        self.add(names=('b1',))
        self.assertEqual(self.curl(host='b1'), ['b1', VIP4])

    def test_direct_server_return(self):
        for name in BACKENDS:
            # The backend has the address too, and does not speak of it.
            self.lab.run(name, 'sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2')
            self.lab.address(name, 'lo', f'{VIP4}/32')
        self.weft('lb/add', 'web', f'vip={VIP4}:8080', 'backends=' + ','.join(self.backend(n) for n in BACKENDS), 'apply=br0',
                  'mode=dsr', 'answer=arp')
        self.assertEqual(sorted(self.names(6, url=f'http://{VIP4}:8080/')), sorted(BACKENDS * 2))
        self.assertEqual(self.curl(url=f'http://{VIP4}:8080/')[1], '10.78.0.1')

    def test_without_backends_connections_are_refused_or_dropped(self):
        self.add(names=())
        code = subprocess.run(self.lab.inside('c', f'curl -s --max-time 30 http://{VIP4}/')).returncode
        self.assertEqual(code, 7)  # refused
        self.weft('lb/set', 'web', 'empty=drop')
        code = subprocess.run(self.lab.inside('c', f'curl -s --max-time 2 http://{VIP4}/')).returncode
        self.assertEqual(code, 28)  # timed out
        self.assertRegex(self.weft('drops'), r'no_backend: [1-9]')

    def test_health_checks(self):
        """The host of the switch has an address in the bridge, from which it asks."""
        self.weft('add-port', 'br0', 'in0', 'type=internal')
        self.lab.address('s', 'in0', '10.78.0.9/24')
        self.add('check=http:/alive', 'check-interval=200ms', 'check-timeout=150ms', 'check-fall=2', 'check-rise=1')
        up = lambda name: re.search(re.escape(self.address(name)) + r'\n +state: (\w+)', self.weft('lb/show', 'web')).group(1)
        self.wait_until(lambda: 'check: not yet' not in self.weft('lb/show', 'web'), 'first checks')
        self.lab.end(self.servers['b2'])
        self.wait_until(lambda: up('b2') == 'down', 'b2 is found to be down')
        self.assertEqual(sorted(self.names(4)), ['b1', 'b1', 'b3', 'b3'])
        self.assertRegex(self.weft('lb/stats', 'web'), r'checks: \d+ good, [1-9]\d* bad')
        self.servers['b2'] = self.serve('b2')
        self.wait_until(lambda: up('b2') == 'up', 'b2 is found to be up')
        self.assertIn('b2', self.names(3))
        # Nobody checks any more: all of them count as alive.
        self.lab.end(self.servers['b2'])
        self.wait_until(lambda: up('b2') == 'down', 'b2 is found to be down again')
        self.weft('lb/set', 'web', 'check=none', 'check-interval=', 'check-timeout=', 'check-fall=', 'check-rise=')
        self.assertEqual(up('b2'), 'up')

    def test_changes_under_load(self):
        """Drained, removed, added and killed: only the connections of a backend that is removed or killed break."""
        self.add('algorithm=least-connections', names=('b1', 'b2'))
        clients = self.start_clients(long=20)
        self.wait_until(lambda: all(c['asked'] > 0 for c in self.mark(clients, 'start')['long']), 'long connections')
        self.weft('lb/backend', 'drain', 'web', self.address('b1'))
        self.short_ones(clients, 'drained')
        self.weft('lb/backend', 'add', 'web', self.backend('b3'))
        self.short_ones(clients, 'added')
        before = {i: c['asked'] for i, c in enumerate(self.mark(clients, 'asked')['long'])}
        self.wait_until(lambda: all(c['asked'] > before[i] for i, c in enumerate(self.mark(clients, 'on')['long'])), 'all go on')
        self.weft('lb/backend', 'del', 'web', self.address('b2'))
        self.short_ones(clients, 'removed')
        # Those of the one that is gone are told so at once, those that are drained go on.
        self.wait_until(lambda: all(c['broken'] for c in self.mark(clients, 'broken')['long'] if c['backend'] == 'b2'), 'resets')
        before = {i: c['asked'] for i, c in enumerate(self.mark(clients, 'asked2')['long'])}
        self.wait_until(lambda: all(c['asked'] > before[i] for i, c in enumerate(self.mark(clients, 'on2')['long']) if c['backend'] != 'b2'),
                        'the drained ones go on')
        self.lab.end(self.servers['b3'])
        self.weft('lb/backend', 'activate', 'web', self.address('b1'))
        self.weft('lb/backend', 'del', 'web', self.address('b3'))
        self.short_ones(clients, 'killed')
        result = self.finish(clients)
        held = {name: [c for c in result['long'] if c['backend'] == name] for name in BACKENDS}
        self.assertEqual([len(held['b1']), len(held['b2'])], [10, 10])
        self.assertEqual([c for c in held['b1'] if c['broken']], [])
        self.assertTrue(all('Reset' in c['broken'] for c in held['b2']), held['b2'])
        short, at = result['short'], result['marks']
        self.assertEqual([s for s in short[:at['removed']] if s.startswith('!')], [])
        # One may have been under way at each change.
        self.assertEqual([s for s in short[at['drained'] + 1:at['added']] if s == 'b1'], [])
        self.assertIn('b3', short[at['added']:at['removed']])
        self.assertEqual([s for s in short[at['removed'] + 1:at['killed']] if s == 'b2'], [])
        self.assertEqual(set(short[at['killed'] + 1:]), {'b1'})
        self.assertRegex(self.weft('lb/show', 'web'), re.escape(self.address('b1')) + r'\n +state: up')
