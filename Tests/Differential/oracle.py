"""What the real Open vSwitch makes of a case."""
import re

from case import hardware_address, joined
from openvswitch import OpenVSwitch
from rpc import Refused

TICK = 20_000  # milliseconds of virtual time in one go


class Answer:
    def __init__(self):
        self.outputs = []   # frames out by port, for each step
        self.counters = {}  # by bridge and cookie: packets, bytes
        self.refused = {}   # flow or group text: reason
        self.shown = {}     # by bridge and cookie: match and actions as printed
        self.fdb = {}       # by bridge: set of (port, vlan, mac)
        self.traces = {}    # by step number: text of ofproto/trace
        self.recirculated = False  # some packet went through the datapath again, which changes what its later rules count


class OracleDied(Exception):
    pass


def ask(case, traces=(), caches=False):
    answer = Answer()
    with OpenVSwitch(caches) as ovs:
        try:
            configure(ovs, case)
            for bridge, groups in case.groups.items():
                apply(ovs, case, 'add-group', bridge, groups, answer)
            for bridge, flows in case.flows.items():
                apply(ovs, case, 'add-flow', bridge, flows, answer)
            ovs.collect()
            for step in case.steps:
                take(ovs, case, step, answer)
                answer.outputs.append(ovs.collect())
            read_back(ovs, case, answer)
            for number in traces:  # last, as a traced packet may teach the switch something
                bridge, port = place(case, case.steps[number][1])
                answer.traces[number] = ovs.appctl('ofproto/trace', bridge, f'in_port={port}', case.steps[number][2])
        except (Refused, OSError) as error:
            if not ovs.alive():
                raise OracleDied(f'case {case.seed}: the oracle died: {error}')
            raise
    return answer


def place(case, name):
    for b in case.bridges:
        for p in b['ports']:
            if p['name'] == name:
                return b['name'], p['ofport']
    raise KeyError(name)


def configure(ovs, case):
    words = []
    for key, value in case.settings.items():
        words += ['set', 'Open_vSwitch', '.', f'other_config:{key}={value}', '--']
    for b in case.bridges:
        name = b['name']
        words += ['add-br', name, '--', 'set', 'bridge', name, 'datapath_type=dummy', f"fail-mode={b['fail_mode']}",
                  f'other-config:hwaddr="{hardware_address(b)}"', *[f'other-config:{k}={v}' for k, v in b['other_config'].items()],
                  '--', 'set', 'Interface', name, ovs.tap(name), '--']
        for p in b['ports']:
            words += port_words(ovs, name, p)
        for m in b['mirrors']:
            words += mirror_words(name, m)
    ovs.vsctl(*words[:-1])
    for b in case.bridges:
        if b.get('frags'):
            ovs.ofctl('set-frags', b['name'], b['frags'], version='OpenFlow10')


def port_words(ovs, bridge, p):
    name = p['name']
    words = ['add-port', bridge, name, '--', 'set', 'Interface', name, f"type={p['type']}", f"ofport_request={p['ofport']}"]
    words += [f'options:{k}={v}' for k, v in p.get('options', {}).items()]
    if p['type'] == 'dummy':
        words.append(ovs.tap(name))
    words.append('--')
    settings = [f'{k}={joined(p[k])}' for k in ('tag', 'trunks', 'vlan_mode', 'cvlans', 'protected') if k in p]
    settings += [f'other_config:{k}={v}' for k, v in p.get('other_config', {}).items()]
    return words + (['set', 'Port', name, *settings, '--'] if settings else [])


def mirror_words(bridge, m):
    words, settings = [], []
    for key, value in m.items():
        if key in ('select_src_port', 'select_dst_port', 'output_port'):
            for port in value if isinstance(value, list) else [value]:
                words += [f'--id=@{port}', 'get', 'Port', port, '--']
            settings.append(f"{key}={','.join('@' + v for v in (value if isinstance(value, list) else [value]))}")
        else:
            settings.append(f'{key}={joined(value)}')
    # One port may be named twice; ovs-vsctl wants each name once.
    unique = []
    for at in range(0, len(words), 5):
        if words[at:at + 5] not in unique:
            unique.append(words[at:at + 5])
    words = [w for group in unique for w in group]
    return words + ['--id=@mirror', 'create', 'Mirror', *settings, '--', 'add', 'Bridge', bridge, 'mirrors', '@mirror', '--']


def apply(ovs, case, command, bridge, lines, answer):
    """All lines in one go. Those that ovs-ofctl cannot read are left out; when the switch refuses one, one after the other."""
    lines = list(lines)
    while lines:
        try:
            ovs.ofctl(command + 's', bridge, '-', version=case.version, stdin='\n'.join(lines) + '\n')
            return
        except Refused as error:
            unread = re.search(r'ovs-ofctl: -:(\d+): (.*)', str(error))
            if unread:
                answer.refused[lines.pop(int(unread.group(1)) - 1)] = unread.group(2)
                continue
            cookie = re.search(r'OFPT_ERROR.*\n.*FLOW_MOD.* cookie:(0x[0-9a-f]+)', str(error))
            at = next((n for n, line in enumerate(lines) if cookie and line.startswith(f'cookie={cookie.group(1)},')), None)
            if at is None:
                break
            answer.refused[lines[at]] = str(error)  # what stands before it is in the table by now
            lines = lines[at + 1:]
    ovs.ofctl('del-groups' if command == 'add-group' else 'del-flows', bridge, version=case.version)
    for line in lines:
        try:
            ovs.ofctl(command, bridge, line, version=case.version)
        except Refused as error:
            answer.refused[line] = str(error).split(': ', 1)[-1]


def take(ovs, case, step, answer):
    kind = step[0]
    if kind == 'in':
        ovs.inject(step[1], [step[2]])
    elif kind == 'warp':
        left = step[1]
        while left > 0:
            ovs.appctl('time/warp', min(left, TICK), min(left, TICK))
            left -= TICK
        ovs.appctl('revalidator/wait')
    elif kind == 'admin':
        ovs.appctl('netdev-dummy/set-admin-state', step[1], step[2])
        settle(ovs)
    elif kind == 'mod-port':
        ovs.ofctl('mod-port', step[1], step[2], step[3], version='OpenFlow10')
        settle(ovs)
    else:
        try:
            ovs.ofctl(step[1], step[2], step[3], version=case.version)
        except Refused as error:
            answer.refused[step[3]] = str(error)


def settle(ovs):
    """A few rounds of the main loop: one notices the change, the next hands it to the translation."""
    for _ in range(8):
        ovs.appctl('version')


def read_back(ovs, case, answer):
    statistics = ovs.appctl('dpif-netdev/pmd-stats-show')
    answer.recirculated = int(re.search(r'recirculations: (\d+)', statistics).group(1)) > 0
    for b in case.bridges:
        name = b['name']
        text = ovs.ofctl('dump-flows', name, version=case.version)
        answer.counters[name] = counters(text)
        answer.shown[name] = shown(text)
        answer.fdb[name] = fdb(ovs.appctl('fdb/show', name))


def counters(text):
    result = {}
    for line in text.splitlines():
        found = re.search(r'cookie=(0x[0-9a-f]+).*n_packets=(\d+), n_bytes=(\d+)', line)
        if found:
            packets, size = result.get(found.group(1), (0, 0))
            result[found.group(1)] = (packets + int(found.group(2)), size + int(found.group(3)))
    return result


UNCOMPARED = re.compile(r'(cookie|duration|table|n_packets|n_bytes|idle_age|hard_age)=')


def shown(text):
    result = {}
    for line in text.splitlines():
        found = re.search(r'cookie=(0x[0-9a-f]+),', line)
        if found and ' actions=' in line:
            match, actions = line.strip().split(' actions=', 1)
            tokens = sorted(t for t in re.split(r'[ ,]+', match) if t and not UNCOMPARED.match(t))
            result.setdefault(found.group(1), []).append((','.join(tokens), actions))
    return {cookie: sorted(lines) for cookie, lines in result.items()}


def fdb(text):
    result = set()
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) >= 3:
            result.add((words[0], words[1], words[2]))
    return result
