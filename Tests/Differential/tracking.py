"""One random case about connection tracking: rules with `ct`, and conversations through them, all out of one seed.

Rules are a chain of `ct` in one or two zones, a table that decides by what was found out, and an exit to the other end; into these
some rules are thrown that are random altogether. What the hosts say depends on what reaches them, so a case is made while the
oracle runs it; from then on it is a list of steps.

    ('in', port, hex)   ('warp', milliseconds)   ('flush', words...)   ('flow', command, bridge, text)   ('seq-check', on or off)
"""
import ipaddress
import random
import struct

from case import Case
from talk import Host, Talk

ZONES = (0, 5, 77, 65535)
EXIT, DECIDE = 20, 10
STATES = ('new', 'est', 'rel', 'rpl', 'inv', 'snat', 'dnat')


def address(data):
    return ipaddress.ip_address(bytes(data))


class Hosts:
    """Clients at ports 1 and 3, servers at 2 and 4."""

    def __init__(self):
        make = lambda n: Host(f'p{n}', bytes.fromhex(f'0200000000{n:02x}'), ipaddress.ip_address(f'10.1.{n}.10'), ipaddress.ip_address(f'2001:db8:{n}::10'))
        self.all = {n: make(n) for n in (1, 2, 3, 4)}
        self.service = {4: ipaddress.ip_address('203.0.113.10'), 6: ipaddress.ip_address('2001:db8:ffff::10')}
        self.outside = {4: ipaddress.ip_address('198.51.100.1'), 6: ipaddress.ip_address('2001:db8:fffe::1')}
        self.router = {4: ipaddress.ip_address('10.9.9.9'), 6: ipaddress.ip_address('2001:db8:9::9')}


def shown(value):
    return f'[{value}]' if value.version == 6 else str(value)


class TrackingRules:
    def __init__(self, r, features, hosts):
        self.random, self.features, self.hosts, self.cookie = r, features, hosts, 0
        self.zones = r.sample(ZONES, 2)

    def chance(self, share):
        return self.random.random() < share

    def rule(self, table, priority, match, actions):
        self.cookie += 1
        match = f',{match}' if match else ''
        return f'cookie={self.cookie:#x},table={table},priority={priority}{match},actions={actions}'

    def all(self):
        """The chain, the decisions, the exit, and what is thrown in."""
        r, chain = self.random, 2 if 'chain' in self.features else 1
        lines, translating = [], self.features & {'snat', 'dnat'}
        for version in ('ip', 'ipv6'):
            for stage in range(chain):
                zone = self.zones[stage]
                nat = ',nat' if translating and (stage == 0 or self.chance(0.5)) else ''
                where = f'zone={zone}'
                before = ''
                if stage == 0 and 'register' in self.features:
                    before, where = f'set_field:{zone}->reg13,', 'zone=NXM_NX_REG13[0..15]'
                after = DECIDE if stage == chain - 1 else stage + 1
                lines.append(self.rule(stage, 10, version, f'{before}ct(table={after},{where}{nat})'))
            lines += self.decisions(version, self.zones[0])
        for port, other in ((1, 2), (2, 1), (3, 4), (4, 3)):
            lines.append(self.rule(EXIT, 5, f'in_port={port}', f'output:{other}'))
        lines.append(self.rule(0, 1, '', f'resubmit(,{EXIT})'))
        lines.append(self.rule(DECIDE, 0, '', r.choice((f'resubmit(,{EXIT})', 'drop'))))
        for _ in range(r.randrange(0, 6)):
            lines.append(self.stray())
        return lines

    def decisions(self, version, zone):
        r, exit = self.random, f'resubmit(,{EXIT})'
        number = 4 if version == 'ip' else 6
        commit = self.commit(zone)
        yield_ = [self.rule(DECIDE, 20, f'ct_state=+trk+new,{version}', self.leave(f'{commit}{{}})'))]
        if 'snat' in self.features:
            nat = f",nat(src={shown(self.hosts.outside[number])}{self.source_port()})"
            yield_.append(self.rule(DECIDE, 30, f'ct_state=+trk+new,{version},in_port=1', self.leave(f'{self.commit(zone)}{nat}{{}})')))
        if 'dnat' in self.features:
            target = self.hosts.all[2].addresses[number]
            nat = f',nat(dst={shown(target)}{r.choice(("", ":8080"))})'
            field = 'nw_dst' if number == 4 else 'ipv6_dst'
            yield_.append(self.rule(DECIDE, 40, f'ct_state=+trk+new,{version},{field}={self.hosts.service[number]}',
                                    self.leave(f'{self.commit(zone)}{nat}{{}})')))
        yield_.append(self.rule(DECIDE, 20, f'ct_state=+trk+est,{version}', exit))
        yield_.append(self.rule(DECIDE, 25, f'ct_state=+trk+rel,{version}', r.choice((exit, exit, 'drop', self.leave(f'{self.commit(zone)}{{}})')))))
        yield_.append(self.rule(DECIDE, 26, f'ct_state=+trk+inv,{version}', r.choice((exit, exit, exit, 'drop'))))
        return yield_

    def source_port(self):
        # One port, so that no choice is made by a hash.
        return ':4444' if self.chance(0.12) else ''

    def leave(self, ct):
        """A `ct` that ends the list, with the way out behind it or by going on in the exit's table."""
        return ct.format('') + f',resubmit(,{EXIT})' if self.chance(0.6) else ct.format(f',table={EXIT}')

    def commit(self, zone):
        """The beginning of a `ct` that commits, without its closing bracket."""
        r, parts = self.random, ['commit', f'zone={zone}']
        if 'force' in self.features and self.chance(0.4):
            parts = ['commit,force', f'zone={zone}']
        if 'mark' in self.features and self.chance(0.7):
            parts.append(f'exec({self.marks()})')
        return 'ct(' + ','.join(parts)

    def marks(self):
        r = self.random
        choices = [f'set_field:{r.getrandbits(32):#x}->ct_mark', f'set_field:{r.getrandbits(4):#x}/0xf->ct_mark', f'set_field:{r.getrandbits(128):#x}->ct_label',
                   f'load:{r.getrandbits(8):#x}->NXM_NX_CT_LABEL[32..39]', 'move:NXM_OF_IN_PORT[]->NXM_NX_CT_MARK[8..23]', 'load:1->NXM_NX_CT_MARK[31]']
        return ','.join(r.sample(choices, r.choice((1, 1, 2))))

    def state(self):
        r = self.random
        names = r.sample(STATES, r.choice((1, 1, 2, 3)))
        return 'ct_state=' + ''.join(r.choice('+-') + n for n in sorted(names, key=STATES.index)) + r.choice(('+trk', '+trk', ''))

    def stray(self):
        """A rule of its own."""
        r = self.random
        version = r.choice(('ip', 'ipv6', 'tcp', 'udp', 'icmp', 'tcp6', 'udp6', 'icmp6'))
        fields = [version, self.state()]
        host = r.choice(list(self.hosts.all.values()))
        extra = [f'ct_zone={r.choice(self.zones)}', f'ct_mark={r.getrandbits(4):#x}/{r.choice((1, 3, 8)):#x}', f'ct_label=0/{1 << r.randrange(128):#x}',
                 f'in_port={r.randrange(1, 5)}']
        if version in ('ip', 'tcp', 'udp', 'icmp'):
            extra += [f'ct_nw_src={host.addresses[4]}', f'ct_nw_dst={host.addresses[4]}/16', f'nw_dst={self.hosts.outside[4]}']
        else:
            extra += [f'ct_ipv6_src={host.addresses[6]}', f'ct_ipv6_dst={host.addresses[6]}/32']
        if version in ('tcp', 'udp', 'tcp6', 'udp6'):
            extra += [f'ct_nw_proto={6 if version.startswith("tcp") else 17},ct_tp_dst=80', 'tp_dst=80']
        for field in r.sample(extra, r.choice((0, 1, 1, 2))):
            if not any(f.split('=')[0] == field.split('=')[0] for f in fields):
                fields.append(field)
        if any(f.startswith(('ct_nw', 'ct_ipv6', 'ct_tp')) for f in fields) and self.chance(0.95):
            fields[1] = r.choice(('ct_state=+trk-inv', 'ct_state=+est+trk', 'ct_state=+new+trk', 'ct_state=+rpl+trk'))
        return self.rule(DECIDE, r.randrange(11, 50), ','.join(fields), self.stray_actions())

    def stray_actions(self):
        r, exit = self.random, f'resubmit(,{EXIT})'
        zone = r.choice(self.zones)
        # Behind another ct nothing but the exit follows, so that no packet goes round for ever.
        choices = [exit, exit, 'drop', f'ct_clear,{exit}', f'dec_ttl,{exit}', f'ct(commit,zone={zone}),{exit}', f'ct(table={EXIT},zone={zone})',
                   f'ct(commit,zone={zone},exec({self.marks()}),table={EXIT})', f'ct(zone={zone}),{exit}', f'resubmit(,{EXIT},ct)',
                   f'set_field:02:00:00:00:00:99->eth_src,ct(commit,zone={zone}),{exit}']
        if self.features & {'snat', 'dnat'}:
            choices += [f'ct(table={EXIT},zone={zone},nat)'] + ([f'ct(commit,zone={zone},nat),{exit}'] if self.chance(0.1) else [])
        if 'force' in self.features:
            choices.append(f'ct(commit,force,zone={zone}),{exit}')
        return r.choice(choices)


FEATURES = {'chain': 0.4, 'snat': 0.35, 'dnat': 0.3, 'mark': 0.5, 'force': 0.15, 'register': 0.3, 'time': 0.6, 'flush': 0.4, 'change': 0.3,
            'ipv6': 0.6, 'loose': 0.1, 'errors': 0.6}


class Generator:
    """Makes a case up, frame by frame: `step` says what happens next, `saw` hears what came of it."""

    def __init__(self, seed, frames):
        r = self.random = random.Random(f'tracking {seed}')
        case = self.case = Case(seed)
        case.features = {name for name, share in FEATURES.items() if r.random() < share}
        if case.features & {'snat', 'dnat'}:
            case.features.discard('force')  # of what was translated in another zone, Open vSwitch finds another connection to end
        case.bridges = [{'name': 'br0', 'fail_mode': 'secure', 'mirrors': [], 'other_config': {},
                         'ports': [{'name': f'p{n}', 'ofport': n, 'type': 'dummy'} for n in (1, 2, 3, 4)]}]
        self.hosts = Hosts()
        self.rules = TrackingRules(r, case.features, self.hosts)
        case.groups, case.flows = {'br0': []}, {'br0': self.rules.all()}
        self.left, self.talks, self.current, self.burst = frames, [], None, 0
        self.checks = 'on'

    def step(self):
        """The next step; None behind the last."""
        if self.left <= 0:
            return None
        self.current = None
        if self.case.steps and (event := self.event()):
            return event
        self.left -= 1
        while True:
            talk = self.talk()
            made = talk.error(self.hosts.router[talk.version]) if 'errors' in self.case.features and self.random.random() < 0.12 else talk.frame()
            if made is not None and len(made[1]) >= 14:
                port, frame = made
                self.current = talk
                return ('in', port, frame.hex())

    def talk(self):
        r = self.random
        if self.talks and (len(self.talks) > 12 or r.random() < 0.93):
            return r.choice(self.talks[-12:])
        version = 6 if 'ipv6' in self.case.features and r.random() < 0.4 else 4
        client, server = r.choice(((1, 2), (1, 2), (3, 4)))
        sides = self.hosts.all[client], self.hosts.all[server]
        if r.random() < 0.1:
            sides = sides[::-1]
        target = sides[1].addresses[version]
        if 'dnat' in self.case.features and client == 1 and r.random() < 0.5:
            target = self.hosts.service[version]
        kind = r.choices(('tcp', 'udp', 'icmp', 'other'), (55, 22, 15, 4))[0]
        ports = r.choice((1000, 1001, 40_000, 511, 65_535)), r.choice((80, 53, 8080))
        self.talks.append(Talk(r, kind, version, sides, target, ports, address))
        return self.talks[-1]

    def saw(self, outputs):
        if self.current is None:
            return
        for side, host in enumerate(self.current.sides):
            for frame in outputs.get(host.port, []):
                self.current.saw(side, bytes.fromhex(frame))

    def event(self):
        r, features = self.random, self.case.features
        if r.random() > 0.04:
            return None
        kind = r.choice(('time', 'time', 'time', 'flush', 'change', 'loose'))
        if kind not in features:
            return None
        if kind == 'time':
            return ('warp', r.choice((100, 999, 1000, 5000, 29_000, 30_000, 31_000, 45_000, 59_000, 60_000, 61_000, 901_000)))
        if kind == 'flush':
            return ('flush', *r.choice(([], [f'zone={r.choice(self.rules.zones)}'], self.some_tuple())))
        if kind == 'loose':
            self.checks = 'off' if self.checks == 'on' else 'on'
            return ('seq-check', self.checks)
        if r.random() < 0.6:
            return ('flow', 'add-flow', 'br0', self.rules.stray())
        return ('flow', 'del-flows', 'br0', f'cookie={r.randrange(1, self.rules.cookie + 1):#x}/-1')

    def some_tuple(self):
        """The tuple of a conversation, in the zone that it is most likely tracked in."""
        r = self.random
        talk = r.choice(self.talks) if self.talks else None
        if talk is None or talk.kind not in ('tcp', 'udp'):
            return []
        source, destination, (a, b) = talk.sides[0].addresses[talk.version], talk.target, talk.ports
        names = ('ct_nw_src', 'ct_nw_dst') if talk.version == 4 else ('ct_ipv6_src', 'ct_ipv6_dst')
        protocol = 6 if talk.kind == 'tcp' else 17
        return [f'zone={self.rules.zones[0]}', f'{names[0]}={source},{names[1]}={destination},ct_nw_proto={protocol},ct_tp_src={a},ct_tp_dst={b}']
