"""What a switch must stand: clients that misbehave, hours of change, and nothing to do."""
import json
import os
import socket
import time

from bench import V4, SwitchTest
from rpc import Connection


class ControlSocketTest(SwitchTest):
    def raw(self):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(10)
        self.addCleanup(client.close)
        for _ in range(1000):
            try:
                client.connect(self.weft.path)
                return client
            except BlockingIOError:  # more wait to be accepted than the socket's backlog holds
                time.sleep(0.01)
        self.fail('the control socket accepts nobody')

    def answers(self):
        start = time.monotonic()
        connection = Connection(self.weft.path, timeout=10)
        connection('version')
        connection.close()
        self.assertLess(time.monotonic() - start, 2)

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
    def test_an_idle_switch_uses_less_than_a_hundredth_of_a_core(self):
        self.reach('a', V4['b'])
        time.sleep(2)
        before = self.processor_seconds()
        time.sleep(5)
        share = (self.processor_seconds() - before) / 5
        print(f'idle: {share:.2%} of a core')
        self.assertLess(share, 0.01)


class ChurnTest(SwitchTest):
    """Memory stays flat under change."""

    def churn(self, rounds):
        for n in range(rounds):
            with open(f'{self.weft.dir}/churn.flows', 'w') as f:
                f.writelines(f'table={1 + k % 3},priority={k % 500},tcp,nw_src=10.{n % 256}.{k >> 8}.{k & 255},tp_dst={k % 99},actions=mod_nw_ttl:{k % 255},output:1\n'
                             for k in range(5000))
                f.write('priority=0,actions=normal\n')
            self.weft('replace-flows', 'br0', f'{self.weft.dir}/churn.flows')
            for k in range(20):
                self.weft('add-port', 'br0', f'x{k}', 'type=null')
            self.weft('add-group', 'br0', 'group_id=7,type=all,bucket=output:1')
            for k in range(20):
                self.weft('del-port', 'br0', f'x{k}')
            self.weft('del-groups', 'br0')
            self.weft('dump-flows', 'br0')
            self.lab.ping('a', V4['b'], count=5, interval=0.002)

    def traffic(self, flows):
        """Frames of many flows, through the real datapath."""
        frames = []
        for n in range(flows):
            frames.append(f'020000000002020000000001080045000020{n & 0xffff:04x}00004011000000000a{n >> 8 & 0xffffff:06x}0a000002{n & 0xffff:04x}0035000c0000' + '00' * 4)
        for at in range(0, flows, 500):
            self.weft('inject', 'va', *frames[at:at + 500])

    def test_resident_memory_stays_flat(self):
        self.reach('a', V4['b'])
        rounds = int(os.environ.get('WEFT_CHURN_ROUNDS', '6'))
        self.churn(5)
        self.traffic(20_000)
        before = self.status('VmRSS')
        for _ in range(2):
            self.churn(rounds)
            self.traffic(20_000)
        after = self.status('VmRSS')
        print(f'resident: {before} KiB, after churn {after} KiB')
        self.assertLess(after - before, 8 * 1024)

    def test_resident_memory_with_100000_cached_flows(self):
        self.weft('add-flow', 'br0', 'priority=1,udp,tp_src=0/0x1,actions=drop')
        self.weft('add-flow', 'br0', 'priority=0,actions=normal')
        self.traffic(100_000)
        resident = self.status('VmRSS')
        print(f'resident with 100,000 flows: {resident} KiB')
        self.assertLess(resident, 150 * 1024)
        self.assertIsInstance(json.dumps(self.weft('dp/show')), str)
