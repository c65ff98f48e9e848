"""Network namespaces with names of their own, veth pairs between them, and the processes that run inside.

Everything is taken down again by close(): only processes that were started here are ended, only namespaces that were made
here are removed, and no device of the host is touched.
"""
import itertools
import json
import os
import re
import shlex
import signal
import subprocess
import time

NUMBERS = itertools.count()


class Failed(Exception):
    """A command ended with an error."""


def words(command):
    return shlex.split(command) if isinstance(command, str) else list(command)


def run(command, check=True, timeout=120, **options):
    result = subprocess.run(words(command), capture_output=True, text=True, timeout=timeout, errors='replace', **options)
    if check and result.returncode:
        raise Failed(f"{command}: {result.stderr.strip() or result.stdout.strip()}"[:1000])
    return result.stdout


def answers(output):
    """The numbers of the answers that ping printed."""
    return [int(number) for number in re.findall(r'icmp_seq=(\d+) ttl=', output)]


class Lab:
    def __init__(self, *names):
        self.prefix = f'weft{os.getpid()}n{next(NUMBERS)}'
        self.namespaces, self.processes = {}, []
        try:
            for name in names:
                self.add_namespace(name)
        except BaseException:
            self.close()
            raise

    def add_namespace(self, name):
        full = f'{self.prefix}{name}'
        run(f'ip netns add {full}')
        self.namespaces[name] = full
        # No address autoconfiguration traffic of its own unless a test asks for IPv6 addresses by hand.
        self.run(name, 'sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.router_solicitations=0', check=False)
        run(f'ip -n {full} link set lo up')

    def ip(self, name, arguments, **options):
        return run(f'ip -n {self.namespaces[name]} {arguments}', **options)

    def inside(self, name, command):
        return ['ip', 'netns', 'exec', self.namespaces[name], *words(command)]

    def run(self, name, command, **options):
        return run(self.inside(name, command), **options)

    def spawn(self, name, command, **options):
        options.setdefault('stdout', subprocess.DEVNULL)
        options.setdefault('stderr', subprocess.DEVNULL)
        process = subprocess.Popen(self.inside(name, command), stdin=subprocess.DEVNULL, start_new_session=True, **options)
        process.ending = signal.SIGTERM
        self.processes.append(process)
        return process

    def veth(self, one, device, other, peer):
        self.ip(one, f'link add {device} type veth peer name {peer} netns {self.namespaces[other]}')

    def address(self, name, device, *addresses):
        for address in addresses:
            self.ip(name, f"{'-6 ' if ':' in address else ''}addr add {address} dev {device}{' nodad' if ':' in address else ''}")
        self.ip(name, f'link set {device} up')

    def mac(self, name, device):
        return re.search(r'link/ether (\S+)', self.ip(name, f'link show {device}')).group(1)

    def packets(self, name, device, way):
        return json.loads(self.ip(name, f'-s -j link show {device}'))[0]['stats64'][way]['packets']

    def ping(self, name, target, count=5, interval=0.02, size=56, extra=''):
        """Sent, received, and the average round trip in milliseconds: for measuring. An answer that takes long is not waited for."""
        output = self.run(name, f'ping -q -n -c {count} -i {interval} -s {size} -W 1 {extra} {target}', check=False,
                          timeout=count * interval + 30)
        found = re.search(r'(\d+) packets transmitted, (\d+) received', output)
        average = re.search(r'= [\d.]+/([\d.]+)/', output)
        sent, received = (int(found.group(1)), int(found.group(2))) if found else (0, 0)
        return sent, received, float(average.group(1)) if average else None

    def answered(self, name, target, count=5, interval=0.02, size=56, extra=''):
        """Sends until `count` requests are answered, for a minute at most. Returns the numbers of the first `count` that were: 1 to
        `count` if nothing was lost, however long an answer took."""
        return answers(self.run(name, f'ping -n -c {count} -i {interval} -s {size} -w 60 {extra} {target}', check=False))[:count]

    def answered_singly(self, name, target, count=1, seconds=20):
        """How many of exactly `count` requests were answered, each sent after the answer to the one before."""
        return sum(len(answers(self.run(name, f'ping -n -c 1 -W {seconds} {target}', check=False))) for _ in range(count))

    def iperf(self, client, server, target, seconds=2, arguments=''):
        """The `end` object of iperf3's JSON report."""
        listener = self.spawn(server, 'iperf3 -s -1')
        try:
            deadline = time.monotonic() + 60
            while ':5201' not in self.run(server, 'ss -Hltn', check=False) and time.monotonic() < deadline:
                time.sleep(0.02)
            report = json.loads(self.run(client, f'iperf3 -c {target} -t {seconds} --connect-timeout 30000 -J {arguments}', check=False,
                                         timeout=seconds + 120))
        finally:
            self.end(listener)
        if 'error' in report:
            raise Failed(f"iperf3 to {target}: {report['error']}")
        return report['end']

    def flood(self, client, device, frame, seconds=None):
        """60-byte frames from a memory-mapped packet socket, as fast as one core sends them. Without an end in time, the process."""
        command = f'trafgen -o {device} -P 1 -q {shlex.quote(frame)}'
        if seconds is None:
            process = self.spawn(client, command)
            process.ending = signal.SIGINT  # at another its child goes on sending
            return process
        return self.spawn(client, f'timeout -s INT {seconds} {command}').wait(seconds + 30)

    def end(self, process):
        """Ends it and the children that it has made."""
        if process.poll() is None:
            os.killpg(process.pid, process.ending)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process in self.processes:
            self.processes.remove(process)

    def close(self):
        for process in list(self.processes):
            self.end(process)
        for full in self.namespaces.values():
            run(f'ip netns del {full}', check=False)
        self.namespaces = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
