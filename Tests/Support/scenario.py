"""A scenario is data: configuration, frames in with times, frames out, counters.

    name, about    what it is
    setup          command lines, as weftctl takes them; $DIR stands for a scratch directory. A port whose frames are
                   compared is made with tx=$DIR/NAME.pcap
    openflow       the OpenFlow version of the commands with -O
    flows          by bridge, in the order in which they are added
    steps          see below
    packets        at the end, by bridge: packets counted by the flows of each cookie

A step is an object:

    {"in": PORT, "frame": HEX, "out": {PORT: [HEX, ...]}}   frames of one port are in order; "=" is the frame that went in;
                                                            a "." in HEX matches any digit
    {"warp": MS, "tick": MS}                                virtual time passes, in ticks (1,000 unless given)
    {"run": COMMAND LINE, "out": ...}                       any other command
    {"trace": [BRIDGE, FLOW, HEX?], "start": FLOW, "final": FLOW, "drop": BOOL}
                                                            the packet as it came and as it left the tables
"""
import json
import re
import shlex

from pcap import PcapTail
from rpc import Refused
from weft import Weft


def load(path):
    with open(path) as f:
        return json.load(f)


def dump(scenarios, path):
    """One line for each flow and step, so that a change shows up as a readable difference."""
    compact = lambda value: json.dumps(value, separators=(',', ':'))
    lines = []
    for scenario in scenarios:
        fields = []
        for key, value in scenario.items():
            if isinstance(value, list):
                fields.append(f' "{key}": [\n' + ',\n'.join('  ' + compact(v) for v in value) + ']')
            elif key == 'flows':
                bridges = [f'  {compact(b)}: [\n' + ',\n'.join('   ' + compact(v) for v in flows) + ']' for b, flows in value.items()]
                fields.append(' "flows": {\n' + ',\n'.join(bridges) + '}')
            else:
                fields.append(f' "{key}": {compact(value)}')
        lines.append('{\n' + ',\n'.join(fields) + '\n}')
    with open(path, 'w') as f:
        f.write('[' + ',\n'.join(lines) + ']\n')


def run(scenario, cache, weftd=None):
    """None when all is as expected, else what differs."""
    try:
        with Weft('--virtual-time', '--workers', '1', '--cache', cache, weftd=weftd) as weft:
            return Player(scenario, weft).play()
    except (Refused, OSError) as error:
        return f'{type(error).__name__}: {error}'


class Player:
    def __init__(self, scenario, weft):
        self.scenario = scenario
        self.weft = weft
        self.taps = {}

    def command(self, line):
        self.weft(*shlex.split(line.replace('$DIR', self.weft.dir)))

    def play(self):
        for line in self.scenario['setup']:
            self.command(line)
            for name in re.findall(r'tx=\$DIR/(\S+)\.pcap', line):
                self.taps[name] = PcapTail(f'{self.weft.dir}/{name}.pcap')
        version = self.scenario.get('openflow', 'OpenFlow15')
        for bridge, flows in self.scenario.get('flows', {}).items():
            for flow in flows:
                self.weft('add-flow', '-O', version, bridge, flow)
        self.collect()
        for number, step in enumerate(self.scenario['steps']):
            wrong = self.step(step)
            if wrong:
                return f"step {number} {json.dumps({k: v for k, v in step.items() if k != 'out'})[:300]}: {wrong}"
        return self.counters()

    def step(self, step):
        if 'trace' in step:
            return trace_differs(self.weft('trace', *step['trace']), step)
        if 'warp' in step:
            left = step['warp']
            while left > 0:
                self.weft('time/warp', min(left, step.get('tick', 1000)))
                left -= step.get('tick', 1000)
        elif 'run' in step:
            self.command(step['run'])
        else:
            self.weft('inject', step['in'], step['frame'])
        got = self.collect()
        if 'out' not in step:
            return None
        return frames_differ(got, step['out'], step.get('frame', ''))

    def collect(self):
        got = {name: [f.hex() for f in tap.new()] for name, tap in self.taps.items()}
        return {name: frames for name, frames in got.items() if frames}

    def counters(self):
        for bridge, wanted in self.scenario.get('packets', {}).items():
            have = packets_by_cookie(self.weft('dump-flows', bridge))
            for cookie, packets in wanted.items():
                if have.get(cookie, 0) != packets:
                    return f'flow {cookie} of {bridge} counts {have.get(cookie)} packets, expected {packets}'
        return None


def packets_by_cookie(text):
    have = {}
    for line in text.splitlines():
        cookie, packets = re.search(r'cookie=(0x[0-9a-f]+)', line), re.search(r'n_packets=(\d+)', line)
        if cookie and packets:
            have[cookie.group(1)] = have.get(cookie.group(1), 0) + int(packets.group(1))
    return have


def frames_differ(got, wanted, sent):
    for port in sorted(set(got) | set(wanted)):
        here, there = got.get(port, []), [sent if w == '=' else w for w in wanted.get(port, [])]
        if len(here) != len(there):
            return f'{port}: {len(here)} frames {[h[:160] for h in here[:2]]}, expected {len(there)} {[w[:160] for w in there[:2]]}'
        for h, w in zip(here, there):
            if h != w and not ('.' in w and re.fullmatch(w, h)):
                return f'{port}: got {h} expected {w}'
    return None


def trace_differs(text, step):
    lines = {k: v.strip() for k, v in re.findall(r'^(Final flow|Megaflow|Datapath actions):(.*)$', text, re.M)}
    for key in ('Final flow', 'Megaflow', 'Datapath actions'):
        if key not in lines:
            return f'no line "{key}:"'
    final = step['start'] if lines['Final flow'] == 'unchanged' else lines['Final flow']
    if sorted(final.split(',')) != sorted(step['final'].split(',')):
        return f"final flow {final}, expected {step['final']}"
    if (lines['Datapath actions'] == 'drop') != step['drop']:
        return f"datapath actions {lines['Datapath actions']}, expected {'drop' if step['drop'] else 'an output'}"
    return None
