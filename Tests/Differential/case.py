"""One random case: bridges, ports, groups, rules, and what happens to them, all out of one seed.

A case is plain data. `setup_weft` and the functions of oracle.py turn it into commands of either switch; `as_scenario` makes
a scenario of it that is replayed without Open vSwitch.
"""
import copy
import random
import shlex

from frames import Frames, Pools
from rules import Rules


class Case:
    def __init__(self, seed):
        self.seed = seed
        self.version = 'OpenFlow15'
        self.features = set()
        self.bridges = []   # {'name', 'fail_mode', 'frags', 'other_config', 'ports': [...], 'mirrors': [...]}
        self.settings = {}  # of the whole switch
        self.groups = {}    # by bridge
        self.flows = {}     # by bridge
        self.steps = []     # ('in', port, hex) | ('warp', ms) | ('admin', port, state) | ('flow', command, bridge, text) | ('mod-port', bridge, port, flag)

    def copy(self):
        return copy.deepcopy(self)

    def stateless(self):
        """Whether frames may be handed over in any order without changing what comes out."""
        return not self.features & {'normal', 'learn', 'standalone', 'events'}

    def port_names(self):
        return [b['name'] for b in self.bridges] + [p['name'] for b in self.bridges for p in b['ports'] if p['type'] == 'dummy']


FEATURES = {'payload': 0.35, 'mpls': 0.3, 'normal': 0.35, 'learn': 0.15, 'groups': 0.35, 'conjunction': 0.25, 'broken': 0.6, 'vlans': 0.5,
            'patch': 0.15, 'mirror': 0.12, 'events': 0.2, 'standalone': 0.06, 'frags': 0.3, 'truncate': 0.4}


def generate(seed, frames=100):
    r = random.Random(seed)
    case = Case(seed)
    case.version = r.choices(('OpenFlow15', 'OpenFlow10', 'OpenFlow13'), (60, 25, 15))[0]
    case.features = {name for name, share in FEATURES.items() if r.random() < share}
    if 'payload' in case.features:
        case.features.discard('broken')  # rewriting what is not there corrupts the memory of the oracle
    if 'truncate' in case.features:
        case.features -= {'mpls', 'vlans'}
    if case.version == 'OpenFlow10':
        case.features.discard('groups')
    pools = Pools(r)
    count = r.randrange(3, 8)
    ports = [{'name': f'p{n}', 'ofport': n, 'type': 'dummy'} for n in range(1, count + 1)]
    bridge = {'name': 'br0', 'fail_mode': 'secure', 'ports': ports, 'mirrors': [], 'other_config': {}}
    case.bridges.append(bridge)
    if 'frags' in case.features:
        bridge['frags'] = r.choice(('drop', 'nx-match'))
    if r.random() < 0.25:
        case.settings['vlan-limit'] = r.choice((0, 2))
    if case.features & {'normal', 'standalone'} and 'vlans' in case.features:
        for port in ports:
            vlan_configuration(r, port, pools)
    if 'standalone' in case.features:
        bridge['fail_mode'] = 'standalone'
    if 'mirror' in case.features and 'patch' not in case.features:
        bridge['mirrors'].append(mirror(r, ports, pools))
    numbers = [p['ofport'] for p in ports]
    if 'patch' in case.features:
        numbers.append(patch(case, r))
    if 'standalone' not in case.features:
        fill(case, r, pools, numbers)
    steps(case, r, pools, frames)
    return case


def vlan_configuration(r, port, pools):
    kind = r.choices(('none', 'access', 'trunk', 'native-tagged', 'native-untagged', 'dot1q-tunnel', 'mode-access'), (30, 25, 20, 8, 8, 6, 3))[0]
    vlans = r.sample(pools.vlans, 2)
    if kind in ('access', 'mode-access', 'native-tagged', 'native-untagged', 'dot1q-tunnel'):
        port['tag'] = vlans[0]
    if kind in ('trunk', 'native-tagged', 'native-untagged') and (kind == 'trunk' or r.random() < 0.6):
        port['trunks'] = sorted(set(vlans))
    if kind == 'dot1q-tunnel' and r.random() < 0.5:
        port['cvlans'] = sorted(set(vlans))
    if kind in ('native-tagged', 'native-untagged', 'dot1q-tunnel'):
        port['vlan_mode'] = kind
    elif kind == 'mode-access':
        port['vlan_mode'] = 'access'
    if r.random() < 0.2:
        port['other_config'] = {'priority-tags': r.choice(('always', 'if-nonzero', 'never'))}
    if kind == 'dot1q-tunnel' and r.random() < 0.4:
        port.setdefault('other_config', {})['qinq-ethtype'] = r.choice(('802.1q', '802.1ad'))
    if r.random() < 0.1:
        port['protected'] = 'true'


def mirror(r, ports, pools):
    result = {'name': 'm0'}
    kind = r.randrange(4)
    if kind == 0:
        result['select_all'] = 'true'
    if kind in (1, 3):
        result['select_src_port'] = [r.choice(ports)['name']]
    if kind in (2, 3):
        result['select_dst_port'] = [r.choice(ports)['name']]
    if r.random() < 0.25:
        result['select_vlan'] = [r.choice(pools.vlans)]
    if r.random() < 0.75:
        result['output_port'] = r.choice(ports)['name']
    else:
        result['output_vlan'] = r.choice(pools.vlans)
    if r.random() < 0.2:
        result['snaplen'] = r.choice((14, 40, 100))
    return result


def patch(case, r):
    """A second bridge behind a pair of patch ports; returns the number of this side's."""
    case.bridges[0]['ports'].append({'name': 'to1', 'ofport': 20, 'type': 'patch', 'options': {'peer': 'to0'}})
    case.bridges.append({'name': 'br1', 'fail_mode': 'secure', 'mirrors': [], 'other_config': {},
                         'ports': [{'name': 'to0', 'ofport': 21, 'type': 'patch', 'options': {'peer': 'to1'}},
                                   {'name': 'q1', 'ofport': 1, 'type': 'dummy'}, {'name': 'q2', 'ofport': 2, 'type': 'dummy'}]})
    return 20


def fill(case, r, pools, numbers):
    for bridge in case.bridges:
        name = bridge['name']
        tables = r.randrange(1, 6)
        # A packet that goes back and forth between bridges that learn ends up differently with each order of ports.
        back = [] if 'normal' in case.features or r.random() < 0.5 else [21]
        here = numbers if name == 'br0' else [*back, 1, 2]
        rules = Rules(r, pools, here, tables, case.version, case.features)
        groups = []
        if 'groups' in case.features and name == 'br0':
            for number in range(1, r.randrange(2, 5)):
                groups.append(rules.group_line(number))
            rules.groups = list(range(1, len(groups) + 1))
        flows, cookie = [], 1
        for table in range(tables):
            if r.random() < 0.8:
                flows.append(rules.catch_all(cookie, table))
                cookie += 1
        for _ in range(r.randrange(8, 50) if name == 'br0' else r.randrange(2, 10)):
            flows.append(rules.flow(cookie))
            cookie += 1
        if 'conjunction' in case.features:
            for _ in range(r.randrange(1, 3)):
                more = rules.conjunctions(cookie, r.randrange(tables))
                flows += more
                cookie += len(more)
        if 'normal' in case.features and r.random() < 0.5:
            flows.append(f'cookie={cookie:#x},table=0,priority={r.randrange(20)},actions=NORMAL')
        case.groups[name], case.flows[name] = groups, flows


def steps(case, r, pools, count):
    # Open vSwitch loses the DEI bit of a tag that it pops and pushes again; Weft often need not pop it.
    source = Frames(r, pools, drop_eligible='truncate' in case.features)
    entrances = [p['name'] for b in case.bridges for p in b['ports'] if p['type'] == 'dummy']
    broken = 0.35 if 'broken' in case.features else 0
    first = [('in', r.choice(entrances), source.frame(broken).hex()) for _ in range(count // 2)]
    again = list(first)
    if r.random() < 0.5:
        r.shuffle(again)
    if r.random() < 0.3:  # the same flows, slightly different frames: what a cache must not confuse
        again = [(kind, port, nudge(r, frame)) if r.random() < 0.5 else (kind, port, frame) for kind, port, frame in again]
    case.steps = first + again
    if 'events' not in case.features:
        return
    for _ in range(r.randrange(1, 8)):
        case.steps.insert(r.randrange(len(case.steps)), event(case, r, pools, entrances))


def nudge(r, frame):
    data = bytearray.fromhex(frame)
    at = r.randrange(len(data))
    data[at] ^= 1 << r.randrange(8)
    return data.hex()


def event(case, r, pools, entrances):
    kind = r.randrange(5)
    if kind == 0:
        return ('warp', r.choice((1000, 5000, 70_000, 400_000)))
    if kind == 1:
        return ('admin', r.choice(entrances), r.choice(('down', 'up')))
    if kind == 2:
        name = r.choice([p['name'] for p in case.bridges[0]['ports'] if p['type'] == 'dummy'])
        return ('mod-port', 'br0', name, r.choice(('no-flood', 'flood', 'no-forward', 'forward', 'no-receive', 'receive', 'up', 'down')))
    flows = case.flows.get('br0')
    if not flows:
        return ('warp', 1000)
    rules = Rules(r, pools, [p['ofport'] for p in case.bridges[0]['ports']], 3, case.version, case.features - {'groups'})
    if kind == 3:
        return ('flow', 'add-flow', 'br0', rules.flow(0x1000 + r.randrange(0x1000)))
    victim = r.choice(flows).split(',')[0].split('=')[1]
    return ('flow', 'del-flows', 'br0', f'cookie={victim}/-1')


def setup_weft(case):
    """Command lines for weftctl, with $DIR for the scratch directory."""
    lines = [f'set {k}={v}' for k, v in case.settings.items()]
    for b in case.bridges:
        # Time stands still here, so that few stations at many ports soon exceed the moves that a second allows.
        words = ['add-br', b['name'], f"fail-mode={b['fail_mode']}", f"hwaddr={hardware_address(b)}", 'mac-move-limit=0',
                 'local=pcap', f"tx=$DIR/{b['name']}.pcap"]
        if b.get('frags'):
            words.append(f"frags={b['frags']}")
        lines.append(' '.join(words + [f'{k}={v}' for k, v in b['other_config'].items()]))
    for b in case.bridges:
        for p in b['ports']:
            words = ['add-port', b['name'], p['name'], f"type={'pcap' if p['type'] == 'dummy' else p['type']}", f"ofport={p['ofport']}"]
            if p['type'] == 'dummy':
                words.append(f"tx=$DIR/{p['name']}.pcap")
            words += [f'{k}={v}' for k, v in {**p.get('options', {}), **p.get('other_config', {})}.items()]
            for key in ('tag', 'trunks', 'vlan_mode', 'cvlans', 'protected'):
                if key in p:
                    words.append(f"{key.replace('_', '-')}={joined(p[key])}")
            lines.append(' '.join(words))
        for m in b['mirrors']:
            words = ['add-mirror', b['name'], m['name']] + [f"{k.replace('_', '-')}={joined(v)}" for k, v in m.items() if k != 'name']
            lines.append(' '.join(words))
    for name, groups in case.groups.items():
        lines += [f'add-group -O {case.version} {name} {shlex.quote(g)}' for g in groups]
    return lines


def joined(value):
    return ','.join(map(str, value)) if isinstance(value, list) else str(value)


def hardware_address(bridge):
    return f"aa:55:aa:55:00:0{bridge['name'][-1]}"


def step_command(case, step):
    """The command line of a step that is not a frame."""
    kind = step[0]
    if kind == 'admin':
        return f'set-port {step[1]} admin={step[2]}'
    if kind == 'mod-port':
        return f'mod-port {step[1]} {step[2]} {step[3]}'
    return f'{step[1]} -O {case.version} {step[2]} {shlex.quote(step[3])}'


def as_scenario(case, expected, name, about):
    """`expected` is what the oracle did: frames out by step, and packets by bridge and cookie."""
    result = []
    for step, out in zip(case.steps, expected.outputs):
        if step[0] == 'in':
            result.append({'in': step[1], 'frame': step[2], 'out': {p: ['=' if f == step[2] else f for f in frames] for p, frames in out.items()}})
        elif step[0] == 'warp':
            result.append({'warp': step[1]})
        else:
            result.append({'run': step_command(case, step)})
    return {'name': name, 'about': about, 'openflow': case.version, 'setup': setup_weft(case), 'flows': case.flows, 'steps': result,
            'packets': {b: {c: n[0] for c, n in counts.items()} for b, counts in expected.counters.items()}}
