"""What a switch must stand: clients that misbehave, hours of change, and nothing to do."""
import glob
import json
import os
import re
import socket
import time

from bench import V4, SwitchTest
from rpc import Connection


class ControlSocketTest(SwitchTest):
    def raw(self):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(120)
        self.addCleanup(client.close)
        for _ in range(6000):
            try:
                client.connect(self.weft.path)
                return client
            except BlockingIOError:  # more wait to be accepted than the socket's backlog holds
                time.sleep(0.01)
        self.fail('the control socket accepts nobody')

    def answers(self):
        connection = Connection(self.weft.path)
        connection('version')
        connection.close()

    def test_a_thousand_connections(self):
        clients = [self.raw() for _ in range(1000)]
        self.answers()
        for client in clients[::100]:
            client.sendall(b'{"method":"version","params":[],"id":1}\n')
            self.assertIn(b'result', client.recv(65536))
        self.assert_ping('a', V4['b'])

    def test_half_requests_and_nonsense(self):
        for data in (b'{"method":', b'{', b'\0' * 100, b'[1,2,3]', b'"text"', b'{"method":1,"params":2,"id":3}', b'{"method":"show"}',
                     b'{"method":"show","params":{},"id":1}', b'{"method":"show","params":[1,null],"id":1}', b'\xff\xfe\xfd', b'}' * 1000,
                     b'[' * 100_000, b'{"a":' * 50_000, b'{"method":"' + b'x' * 1_000_000 + b'","params":[],"id":1}'):
            client = self.raw()
            client.sendall(data)
            self.answers()
        self.assert_ping('a', V4['b'])

    def test_a_wrong_request_leaves_the_connection_usable(self):
        client = Connection(self.weft.path)
        client.socket.sendall(b'{"method":"show","params":"no array","id":1}\n')
        self.assertIsNotNone(client.next_object().get('error'))
        self.assertIsNotNone(client('version'))
        client.close()

    def test_a_huge_request(self):
        client = self.raw()
        try:
            for _ in range(200):
                client.sendall(b'{"method":"add-flow","params":["br0","' + b'a' * 1_000_000)
        except OSError:
            pass  # it may cut the connection
        self.answers()
        self.assertLess(self.status('VmRSS'), 400_000)

    def test_a_client_that_never_reads(self):
        with open(f'{self.weft.dir}/many.flows', 'w') as f:
            f.writelines(f'table=2,priority={n},ip,actions=drop\n' for n in range(20_000))
        self.weft('add-flows', 'br0', f'{self.weft.dir}/many.flows')
        client = self.raw()
        client.setblocking(False)
        try:
            for _ in range(500):
                client.sendall(b'{"method":"dump-flows","params":["br0"],"id":1}\n')
        except OSError:
            pass
        self.answers()
        self.assert_ping('a', V4['b'])
        self.assertLess(self.status('VmRSS'), 600_000)


class IdleTest(SwitchTest):
    WINDOW = 3  # seconds

    def wakeups(self):
        total = 0
        for path in glob.glob(f'/proc/{self.pid()}/task/*/status'):
            with open(path) as f:
                total += int(re.search(r'^voluntary_ctxt_switches:\s*(\d+)', f.read(), re.M).group(1))
        return total

    def quiet(self):
        """Whether nothing kept it busy for a while. A worker that polls takes a whole core; one that sleeps wakes up now and then."""
        before = self.processor_seconds(), self.wakeups()
        time.sleep(self.WINDOW)
        share, wakeups = (self.processor_seconds() - before[0]) / self.WINDOW, (self.wakeups() - before[1]) / self.WINDOW
        print(f'idle: {share:.2%} of a core, {wakeups:.0f} wakeups a second')
        return share < 0.2 and wakeups < 200

    def test_an_idle_switch_sleeps(self):
        self.reach('a', V4['b'])
        self.wait_until(self.quiet, 'an idle switch sleeps')


class ChurnTest(SwitchTest):
    """Memory stays flat under change: rules, ports, groups, cached flows and stations come and go, and all of it is counted.

    Twelve rounds; with WEFT_CHURN_SECONDS (Tests/System/run --churn) as many as fit in.
    """

    RULES, FLOWS, STATIONS, PORTS = 4000, 6000, 3000, 20
    WARM = 6  # rounds in which the tables, which are bounded, fill up

    def setUp(self):
        super().setUp()
        self.round = 0
        # Less than a round brings, so that each round pushes out what the one before left.
        self.weft('set', 'flow-limit=4000')
        self.weft('set-br', 'br0', 'mac-table-size=2048')

    def change_rules(self):
        n, path = self.round, f'{self.weft.dir}/churn.flows'
        with open(path, 'w') as f:
            f.writelines(f'table={1 + k % 3},priority={k % 500},tcp,nw_src=10.{n % 256}.{k >> 8}.{k & 255},tp_dst={k % 99},actions=mod_nw_ttl:{k % 255},output:1\n'
                         for k in range(self.RULES))
            # Each source port is a cached flow of its own.
            f.write(f'priority={4 + n % 2},cookie={n},udp,actions=move:NXM_OF_UDP_SRC[]->NXM_NX_REG0[0..15],normal\npriority=0,actions=normal\n')
            f.writelines(f'priority=6,udp,tp_src={k},tp_dst=99,actions=drop\n' for k in range(64))
        self.weft('replace-flows', 'br0', path)
        for k in range(100):
            self.weft('add-flow', 'br0', f'table=9,priority={k},ip,nw_dst=10.{n % 256}.{k}.0/24,actions=dec_ttl,output:2')
        self.weft('del-flows', 'br0', 'table=9')

    def change_ports(self):
        for k in range(self.PORTS):
            self.weft('add-port', 'br0', f'x{self.round % 7}-{k}', 'type=null', f'tag={k + 1}')
        self.weft('add-group', 'br0', 'group_id=7,type=select,bucket=output:1,bucket=output:2')
        self.weft('add-mirror', 'br0', 'm0', f'select-src-port=x{self.round % 7}-0', f'output-port=x{self.round % 7}-1')
        self.weft('del-mirror', 'br0', 'm0')
        for k in range(self.PORTS):
            self.weft('del-port', 'br0', f'x{self.round % 7}-{k}')
        self.weft('del-groups', 'br0')

    def udp(self, count, source=0x0200_0000_0001, step=0, first=0):
        """Frames to host b with one source port after the other, and sender's addresses `step` apart."""
        for n in range(first, first + count):
            body = f'080045000020{n & 0xffff:04x}0000401100000a{n >> 8 & 0xffffff:06x}0a000002{n & 0xffff:04x}0035000c0000' + '00' * 4
            yield f'020000000002{source + n * step:012x}{body}'

    def inject(self, frames):
        frames = list(frames)
        for at in range(0, len(frames), 500):
            self.weft('inject', 'va', *frames[at:at + 500])
        return len(frames)

    def one_round(self):
        self.round += 1
        self.change_rules()
        self.change_ports()
        sent = self.inject(self.udp(self.FLOWS))
        sent += self.inject(self.udp(self.STATIONS, source=0x0202_0000_0000 + self.round * 0x1_0000, step=1))
        line = next(l for l in self.weft('dump-flows', 'br0').splitlines() if f'cookie={self.round:#x},' in l)
        self.assertEqual(int(re.search(r'n_packets=(\d+)', line).group(1)), sent, line)
        self.assertLessEqual(len(self.weft('fdb/show', 'br0').splitlines()) - 1, 2048)
        self.assertEqual(self.lab.answered('a', V4['b'], count=5, interval=0.002), [1, 2, 3, 4, 5])
        if self.round % 3 == 0:
            self.weft('dp/flush')
        return self.status('VmRSS')

    def test_resident_memory_stays_flat(self):
        self.reach('a', V4['b'])
        end = time.monotonic() + float(os.environ.get('WEFT_CHURN_SECONDS', '0'))
        resident = [self.one_round() for _ in range(self.WARM)]
        while len(resident) < 2 * self.WARM or time.monotonic() < end:
            resident.append(self.one_round())
        self.assert_balance(allowed=None)
        warm, later = max(resident[:self.WARM]), max(resident[self.WARM:])
        shown = resident[::max(1, len(resident) // 12)]
        print(f'resident after each of {len(resident)} rounds: {shown} KiB; at most {warm} KiB at first, {later} KiB later')
        print(self.weft('dp/show'))
        self.assertLess(later - warm, 6 * 1024, resident)


class CacheTest(SwitchTest):
    def test_resident_memory_with_100000_cached_flows(self):
        self.weft('add-flow', 'br0', 'priority=1,udp,tp_src=0/0x1,actions=drop')
        self.weft('add-flow', 'br0', 'priority=0,actions=normal')
        frames = [f'020000000002020000000001080045000020{n & 0xffff:04x}0000401100000a{n >> 8 & 0xffffff:06x}0a000002{n & 0xffff:04x}0035000c0000' + '00' * 4
                  for n in range(100_000)]
        for at in range(0, len(frames), 500):
            self.weft('inject', 'va', *frames[at:at + 500])
        resident = self.status('VmRSS')
        print(f'resident with 100,000 flows: {resident} KiB')
        self.assertLess(resident, 150 * 1024)
        self.assertIsInstance(json.dumps(self.weft('dp/show')), str)
