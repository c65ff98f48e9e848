"""Random rules: a grammar of matches and actions in ovs-ofctl syntax, random but mostly consistent.

A rule that the oracle refuses is worth something too: the switch under test has to refuse it as well.
"""
import ipaddress

# What a match says about the packet, so that actions fit: the prerequisites of ovs-fields(7).
#   'any', 'arp', 'ip', 'ipv6', 'mpls', 'tcp', 'udp', 'sctp', 'icmp' over 'ip' (4 or 6), 'nd'.

SUBFIELDS = {  # name: (NXM name, bits, prerequisite)
    'eth_src': ('NXM_OF_ETH_SRC', 48, 'any'), 'eth_dst': ('NXM_OF_ETH_DST', 48, 'any'),
    'vlan_tci': ('NXM_OF_VLAN_TCI', 16, 'any'), 'vlan_vid': ('OXM_OF_VLAN_VID', 12, 'vlan'), 'vlan_pcp': ('OXM_OF_VLAN_PCP', 3, 'vlan'),
    'mpls_label': ('OXM_OF_MPLS_LABEL', 20, 'mpls'), 'mpls_tc': ('OXM_OF_MPLS_TC', 3, 'mpls'), 'mpls_ttl': ('NXM_NX_MPLS_TTL', 8, 'mpls'),
    'ip_src': ('NXM_OF_IP_SRC', 32, 'ip4'), 'ip_dst': ('NXM_OF_IP_DST', 32, 'ip4'),
    'ipv6_src': ('NXM_NX_IPV6_SRC', 128, 'ip6'), 'ipv6_dst': ('NXM_NX_IPV6_DST', 128, 'ip6'), 'ipv6_label': ('NXM_NX_IPV6_LABEL', 20, 'ip6'),
    'ip_dscp': ('OXM_OF_IP_DSCP', 6, 'ip'), 'nw_ecn': ('NXM_NX_IP_ECN', 2, 'ip'), 'nw_ttl': ('NXM_NX_IP_TTL', 8, 'ip'),
    'arp_op': ('NXM_OF_ARP_OP', 16, 'arp'), 'arp_spa': ('NXM_OF_ARP_SPA', 32, 'arp'), 'arp_tpa': ('NXM_OF_ARP_TPA', 32, 'arp'),
    'arp_sha': ('NXM_NX_ARP_SHA', 48, 'arp'), 'arp_tha': ('NXM_NX_ARP_THA', 48, 'arp'),
    'tcp_src': ('NXM_OF_TCP_SRC', 16, 'tcp'), 'tcp_dst': ('NXM_OF_TCP_DST', 16, 'tcp'),
    'udp_src': ('NXM_OF_UDP_SRC', 16, 'udp'), 'udp_dst': ('NXM_OF_UDP_DST', 16, 'udp'),
    'sctp_src': ('OXM_OF_SCTP_SRC', 16, 'sctp'), 'sctp_dst': ('OXM_OF_SCTP_DST', 16, 'sctp'),
    'icmp_type': ('NXM_OF_ICMP_TYPE', 8, 'icmp4'), 'icmp_code': ('NXM_OF_ICMP_CODE', 8, 'icmp4'),
    'icmpv6_type': ('NXM_NX_ICMPV6_TYPE', 8, 'icmp6'), 'icmpv6_code': ('NXM_NX_ICMPV6_CODE', 8, 'icmp6'),
    'nd_target': ('NXM_NX_ND_TARGET', 128, 'nd'), 'nd_sll': ('NXM_NX_ND_SLL', 48, 'ns'), 'nd_tll': ('NXM_NX_ND_TLL', 48, 'na'),
    'metadata': ('OXM_OF_METADATA', 64, 'any'), 'tun_id': ('NXM_NX_TUN_ID', 64, 'any'), 'pkt_mark': ('NXM_NX_PKT_MARK', 32, 'any'),
    'in_port': ('NXM_OF_IN_PORT', 16, 'any'),
}
SUBFIELDS.update({f'reg{n}': (f'NXM_NX_REG{n}', 32, 'any') for n in range(16)})
SUBFIELDS.update({f'xreg{n}': (f'OXM_OF_PKT_REG{n}', 64, 'any') for n in range(8)})
SUBFIELDS.update({f'xxreg{n}': (f'NXM_NX_XXREG{n}', 128, 'any') for n in range(4)})

PAYLOAD = {'arp_op', 'arp_spa', 'arp_tpa', 'arp_sha', 'arp_tha', 'icmp_type', 'icmp_code', 'icmpv6_type', 'icmpv6_code', 'nd_target', 'nd_sll', 'nd_tll'}
ADDRESS = {'ip_src': 4, 'ip_dst': 4, 'arp_spa': 4, 'arp_tpa': 4, 'ipv6_src': 6, 'ipv6_dst': 6, 'nd_target': 6,
           'eth_src': 48, 'eth_dst': 48, 'arp_sha': 48, 'arp_tha': 48, 'nd_sll': 48, 'nd_tll': 48}
UNMASKABLE = {'vlan_pcp', 'mpls_label', 'mpls_tc', 'mpls_ttl', 'ip_dscp', 'nw_ecn', 'nw_ttl', 'arp_op', 'icmp_type', 'icmp_code', 'icmpv6_type', 'icmpv6_code'}
REGISTERS = ['reg0', 'reg1', 'reg2', 'reg7', 'reg15', 'xreg0', 'xreg5', 'xxreg0', 'xxreg3', 'metadata', 'tun_id', 'pkt_mark']


def mac_text(value):
    return ':'.join(f'{b:02x}' for b in value)


class Rules:
    def __init__(self, random, pools, ports, tables, version, features):
        self.random, self.pools, self.ports, self.tables, self.version = random, pools, ports, tables, version
        self.features = features  # names of what this case may use: see run.py
        self.groups = []

    def chance(self, share):
        return self.random.random() < share

    # Values

    def mask(self, bits):
        kind = self.random.randrange(4)
        full = (1 << bits) - 1
        if kind == 0:
            return full & ~((1 << self.random.randrange(bits)) - 1)  # a prefix
        if kind == 1:
            return self.random.getrandbits(bits) or full
        if kind == 2:
            return 1 << self.random.randrange(bits)
        return full >> self.random.randrange(bits)

    def number(self, name, bits):
        pools = self.pools
        if bits == 48:
            return int.from_bytes(self.random.choice(pools.macs + pools.groups), 'big')
        if ADDRESS.get(name) == 4:
            return int(self.random.choice(pools.v4))
        if ADDRESS.get(name) == 6:
            return int(self.random.choice(pools.v6))
        if name in ('tcp_src', 'tcp_dst', 'udp_src', 'udp_dst', 'sctp_src', 'sctp_dst'):
            return self.random.choice(pools.ports)
        if name in ('vlan_vid',):
            return self.random.choice(pools.vlans)
        if name == 'vlan_tci':
            return self.random.choice((0, 0x1000 | self.random.choice(pools.vlans), 0x1000 | self.random.choice(pools.vlans) | 5 << 13, self.random.getrandbits(16)))
        if name == 'in_port':
            return self.random.choice(self.ports)
        if name == 'mpls_label':
            return self.random.choice(pools.labels)
        if name == 'nw_ttl' or name == 'mpls_ttl':
            return self.random.choice((0, 1, 2, 64, 255))
        if name in ('reg0', 'reg1', 'reg2', 'reg7', 'reg15'):
            return self.random.choice((0, 1, 2, 3, self.random.choice(self.ports), self.random.getrandbits(32)))
        return self.random.choice((0, 1, 5, self.random.getrandbits(bits))) & ((1 << bits) - 1)

    def text(self, name, value):
        kind = ADDRESS.get(name)
        if kind == 48:
            return mac_text(value.to_bytes(6, 'big'))
        if kind == 4:
            return str(ipaddress.IPv4Address(value))
        if kind == 6:
            return str(ipaddress.IPv6Address(value))
        return hex(value) if value >> 64 else self.random.choice((str, hex))(value)

    def masked(self, name, bits, share=0.35):
        value = self.number(name, bits)
        if name == 'in_port':
            return str(value)
        if not self.chance(share * 0.05 if name in UNMASKABLE else share):
            return self.text(name, value)
        mask = self.mask(bits)
        if ADDRESS.get(name) == 6:
            mask |= 0xF << 124  # ovs-ofctl takes a mask that begins with a decimal digit for a prefix length
        if ADDRESS.get(name) in (4, 6) and self.chance(0.6):
            length = self.random.randrange(1, bits + 1)
            mask = ((1 << length) - 1) << (bits - length)
            if self.chance(0.7):
                return f'{self.text(name, value & mask)}/{length}'
        if name in ADDRESS:
            return f'{self.text(name, value & mask)}/{self.text(name, mask)}'
        return f'{value & mask:#x}/{mask:#x}'

    # Matches

    def match(self):
        """The fields of a match as a list, and the set of prerequisites that hold behind it."""
        fields, holds = [], {'any'}
        if self.chance(0.2):
            fields.append(f'in_port={self.random.choice(self.ports)}')
        for name in ('dl_src', 'dl_dst'):
            if self.chance(0.08):
                fields.append(f"{self.random.choice((name, name.replace('dl_', 'eth_')))}={self.masked('eth_src', 48)}")
        self.vlan(fields, holds)
        self.network(fields, holds)
        for _ in range(self.random.choices((0, 1, 2), (88, 10, 2))[0]):
            name = self.random.choice(REGISTERS)
            if not any(f.split('=')[0] == name for f in fields) and not self.overlaps(name, fields):
                fields.append(f'{name}={self.masked(name, SUBFIELDS[name][1], 0.6)}')
        if self.chance(0.03):
            fields.append(self.random.choice(('ct_state=-trk', 'ct_mark=0', 'ct_zone=0', 'conj_id=0', 'tun_src=0.0.0.0')))
        self.random.shuffle(fields) if self.chance(0.1) else None
        return fields, holds

    @staticmethod
    def overlaps(name, fields):
        return 'reg' in name and any('reg' in f.split('=')[0] for f in fields)

    def vlan(self, fields, holds):
        if not self.chance(0.18):
            return
        kind, vid = self.random.randrange(8), self.random.choice(self.pools.vlans)
        pcp = self.random.randrange(8)
        if kind == 0:
            fields.append(f'dl_vlan={vid}')
        elif kind == 1:
            fields.extend((f'dl_vlan={vid}', f'dl_vlan_pcp={pcp}'))
        elif kind == 2:
            fields.append('dl_vlan=0xffff')
            return
        elif kind == 3:
            fields.append('vlan_tci=0x0000/0x1000' if self.chance(0.5) else 'vlan_tci=0')
            return
        elif kind == 4:
            fields.append(f'vlan_tci={0x1000 | vid:#x}/0x1fff')
        elif kind == 5:
            fields.append('vlan_tci=0x1000/0x1000')
        elif kind == 6:
            fields.append(f'vlan_vid={0x1000 | vid:#x}')
            if self.chance(0.3):
                fields.append(f'vlan_pcp={pcp}')
        else:
            fields.append(f'vlan_vid={0x1000 | vid & 0xF0:#x}/{0x10F0:#x}')
        holds.add('vlan')

    def network(self, fields, holds):
        kind = self.random.choices(('none', 'ip', 'ipv6', 'arp', 'mpls', 'other'), (28, 34, 22, 7, 4, 5))[0]
        if kind == 'arp':
            fields.append(self.random.choices(('arp', 'rarp', 'dl_type=0x0806'), (80, 10, 10))[0])
            holds.update(('arp',))
            for name, share in (('arp_op', 0.3), ('arp_spa', 0.15), ('arp_tpa', 0.2), ('arp_sha', 0.12), ('arp_tha', 0.12)):
                if self.chance(share):
                    value = self.random.choice((1, 2)) if name == 'arp_op' else self.masked(name, SUBFIELDS[name][1])
                    fields.append(f'{name}={value}')
        elif kind == 'mpls':
            fields.append(self.random.choice(('mpls', 'mpls', 'mplsm', 'dl_type=0x8847')))
            holds.add('mpls')
            if self.chance(0.5):
                fields.append(f'mpls_label={self.random.choice(self.pools.labels)}')
            for name, values in (('mpls_tc', (0, 5)), ('mpls_bos', (0, 1)), ('mpls_ttl', (64, 1))):
                if self.chance(0.2) and not (name == 'mpls_ttl' and self.version != 'OpenFlow15'):
                    fields.append(f'{name}={self.random.choice(values)}')
        elif kind == 'other':
            fields.append(f'dl_type={self.random.choice(self.pools.types):#x}')
        elif kind != 'none':
            self.internet(6 if kind == 'ipv6' else 4, fields, holds)

    def internet(self, version, fields, holds):
        holds.update(('ip', f'ip{version}'))
        suffix = '6' if version == 6 else ''
        protocol = self.random.choices(('', 'tcp', 'udp', 'sctp', 'icmp', 'number'), (35, 22, 22, 5, 11, 5))[0]
        if protocol in ('', 'number'):
            fields.append('ipv6' if version == 6 else 'ip')
            if protocol:
                fields.append(f'nw_proto={self.random.choice((6, 17, 0, 2, 89, 58, 1))}')
        else:
            fields.append(protocol + suffix)
            holds.update((protocol, protocol + str(version)))
        names = (('ipv6_src', 0.25), ('ipv6_dst', 0.25), ('ipv6_label', 0.05)) if version == 6 else (('nw_src', 0.25), ('nw_dst', 0.25))
        for name, share in names:
            if self.chance(share):
                key = name.replace('nw_', 'ip_')
                fields.append(f"{self.random.choice((name, key))}={self.masked(key, SUBFIELDS[key][1], 0.5)}")
        if self.chance(0.05):
            fields.append(f'nw_tos={self.random.choice((0, 0x28, 0xB8))}' if self.chance(0.5) else f'ip_dscp={self.random.choice((0, 10, 46))}')
        if self.chance(0.06):
            fields.append(f"{self.random.choice(('nw_ecn', 'ip_ecn'))}={self.random.randrange(4)}")
        if self.chance(0.05):
            fields.append(f'nw_ttl={self.random.choice((0, 1, 64, 255))}')
        if self.chance(0.08):
            fields.append(f"{self.random.choice(('nw_frag', 'ip_frag'))}={self.random.choice(('no', 'yes', 'first', 'later', 'not_later'))}")
        if protocol in ('tcp', 'udp', 'sctp'):
            for name in ('src', 'dst'):
                if self.chance(0.3):
                    key = f'{protocol}_{name}'
                    fields.append(f"{self.random.choice((f'tp_{name}', key))}={self.masked(key, 16)}")
            if protocol == 'tcp' and self.chance(0.2):
                fields.append('tcp_flags=' + self.random.choice(('+syn-ack', '+ack', '-rst', '0x2/0x17', '+syn+ack', '0x012', '-fin-syn')))
        elif protocol == 'icmp':
            self.icmp(version, fields, holds)

    def icmp(self, version, fields, holds):
        if version == 6 and self.chance(0.6):
            kind = self.random.choice((135, 136))
            fields.extend((f'icmp_type={kind}', 'icmp_code=0'))
            holds.update(('nd', 'ns' if kind == 135 else 'na'))
            if self.chance(0.5):
                fields.append(f"nd_target={self.masked('nd_target', 128)}")
            if self.chance(0.35):
                fields.append(f"{'nd_sll' if kind == 135 else 'nd_tll'}={self.masked('nd_sll', 48)}")
            return
        name = self.random.choice(('icmp_type', 'icmpv6_type' if version == 6 else 'icmp_type'))
        if self.chance(0.6):
            fields.append(f'{name}={self.random.choice((8, 0, 3, 128, 129, 1, 2))}')
        if self.chance(0.3):
            fields.append(f"{name.replace('type', 'code')}={self.random.choice((0, 1))}")

    # Actions

    def actions(self, holds, table, depth=0):
        holds = set(holds)
        count = self.random.choices((1, 2, 3, 4, 6, 9), (22, 28, 22, 14, 10, 4))[0]
        kinds = self.weights(table, depth)
        parts = []
        for _ in range(count):
            kind = self.random.choices([k for k, _ in kinds], [w for _, w in kinds])[0]
            text = kind(holds, table, depth)
            if text:
                parts.append(text)
        if depth == 0:
            if self.chance(0.05):
                return 'drop'
            if self.chance(0.6 if table + 1 < self.tables else 0.8):  # or too little would come out to compare
                kind = self.resubmit if table + 1 < self.tables and self.chance(0.6) else self.output
                parts.append(kind(holds, table, depth))
            if self.version != 'OpenFlow10' or self.chance(0.03):
                parts += self.instructions(holds, table, depth)
        return ','.join(parts) or (self.output(holds, table, depth))

    def weights(self, table, depth):
        kinds = [(self.output, 26), (self.set_field, 16), (self.load, 8), (self.move, 6), (self.modify, 10), (self.vlan_action, 8),
                 (self.dec_ttl, 4), (self.resubmit, 16 if table < self.tables - 1 else 2), (self.stack, 3), (self.small, 5)]
        if depth < 2:
            kinds.append((self.clone, 3))
        if 'mpls' in self.features:
            kinds.append((self.mpls_action, 4))
        if 'normal' in self.features:
            kinds.append((self.normal, 8))
        if 'learn' in self.features:
            kinds.append((self.learn, 3))
        if self.groups:
            kinds.append((self.group, 8))
        return kinds

    def output(self, holds, table, depth):
        port = self.random.choice(self.ports)
        kind = self.random.random()
        if kind < 0.62:
            return self.random.choice((f'output:{port}', f'{port}', f'output:{port}'))
        if kind < 0.72:
            return self.random.choice(('in_port', 'IN_PORT', 'all', 'flood', 'LOCAL', 'local', 'ALL'))
        if kind < 0.82 and 'truncate' in self.features:
            # Open vSwitch truncates the packet as it is before it pushes or pops what is due, which may be due because of an
            # earlier output: no tags come or go where packets are truncated.
            return f'output(port={port},max_len={self.random.choice((20, 34, 60, 64, 100, 1500))})'
        if kind < 0.97:
            register = self.random.choice(('reg0', 'reg7'))
            self_load = f'load:{port}->NXM_NX_{register.upper()}[0..15],' if self.chance(0.8) else ''
            return f'{self_load}output:NXM_NX_{register.upper()}[0..15]'
        return self.random.choice(('controller', 'output:200', 'output:in_port', 'CONTROLLER:65'))

    def normal(self, holds, table, depth):
        return self.random.choice(('NORMAL', 'normal', 'output:NORMAL'))

    def writable(self, holds):
        names = [n for n, (_, _, need) in SUBFIELDS.items() if need in holds]
        if 'payload' not in self.features:
            names = [n for n in names if n not in PAYLOAD]
        if 'truncate' in self.features:
            names.remove('vlan_tci')
        # Registers would outnumber the header fields.
        heads = [n for n in names if not n.startswith(('reg', 'xreg', 'xxreg'))]
        return self.random.choice(heads if self.chance(0.7) else REGISTERS)

    def set_field(self, holds, table, depth):
        name = self.writable(holds)
        bits = SUBFIELDS[name][1]
        if name in ('vlan_vid',):
            return f'set_field:{0x1000 | self.number(name, bits)}->vlan_vid'
        return f'set_field:{self.masked(name, bits, 0.3)}->{name}'

    def subfield(self, name, width=None):
        nxm, bits, _ = SUBFIELDS[name]
        if width is None:
            if self.chance(0.35):
                return f'{nxm}[]', bits
            width = self.random.randrange(1, min(bits, 64) + 1)
        start = self.random.randrange(bits - width + 1)
        if width == bits and self.chance(0.5):
            return f'{nxm}[]', width
        if width == 1 and self.chance(0.7):
            return f'{nxm}[{start}]', 1
        return f'{nxm}[{start}..{start + width - 1}]', width

    def load(self, holds, table, depth):
        name = self.writable(holds)
        if SUBFIELDS[name][1] > 64:
            text, width = self.subfield(name, self.random.choice((1, 8, 16, 32, 64)))
        else:
            text, width = self.subfield(name)
        value = self.number(name, SUBFIELDS[name][1]) & ((1 << width) - 1)
        return f'load:{self.random.choice((str, hex))(value)}->{text}'

    def readable(self, holds):
        return self.random.choice([n for n, (_, _, need) in SUBFIELDS.items() if need in holds and not n.startswith('xxreg')])

    def move(self, holds, table, depth):
        source, target = self.readable(holds), self.writable(holds)
        width = min(SUBFIELDS[source][1], SUBFIELDS[target][1])
        if self.chance(0.5):
            width = self.random.randrange(1, width + 1)
        return f'move:{self.subfield(source, width)[0]}->{self.subfield(target, width)[0]}'

    def modify(self, holds, table, depth):
        choices = [f'mod_dl_src:{mac_text(self.random.choice(self.pools.macs))}', f'mod_dl_dst:{mac_text(self.random.choice(self.pools.macs + self.pools.groups))}']
        if 'ip4' in holds:
            choices += [f'mod_nw_src:{self.random.choice(self.pools.v4)}', f'mod_nw_dst:{self.random.choice(self.pools.v4)}']
        if 'ip' in holds:
            choices += [f'mod_nw_tos:{self.random.choice((0, 0x28, 0xFC))}', f'mod_nw_ecn:{self.random.randrange(4)}', f'mod_nw_ttl:{self.random.choice((1, 64, 255))}']
        if holds & {'tcp', 'udp', 'sctp'}:
            choices += [f'mod_tp_src:{self.random.choice(self.pools.ports)}', f'mod_tp_dst:{self.random.choice(self.pools.ports)}'] * 2
        return self.random.choice(choices)

    def vlan_action(self, holds, table, depth):
        """push_vlan came with OpenFlow 1.1; set_vlan_* and pop_vlan want a tag to be there; mod_vlan_* do not."""
        if 'truncate' in self.features:
            return self.modify(holds, table, depth)
        tagged, old, stray = 'vlan' in holds, self.version == 'OpenFlow10', self.chance(0.02)
        vid, pcp = self.random.choice(self.pools.vlans), self.random.randrange(8)
        choices = [f'mod_vlan_vid:{vid}', f'mod_vlan_pcp:{pcp}']
        if tagged or stray:
            choices += [f'set_vlan_vid:{vid}', f'set_vlan_pcp:{pcp}', 'pop_vlan', 'strip_vlan', f'set_field:{0x1000 | vid}->vlan_vid', f'set_field:{pcp}->vlan_pcp']
        if not old or stray:
            choices += ['push_vlan:0x8100', 'push_vlan:0x88a8', f'push_vlan:0x8100,set_field:{0x1000 | vid}->vlan_vid']
        elif old:
            choices.append('strip_vlan')
        text = self.random.choice(choices)
        holds.discard('vlan') if text in ('pop_vlan', 'strip_vlan') else holds.add('vlan')
        return text

    def dec_ttl(self, holds, table, depth):
        if 'ip' in holds:
            return 'dec_ttl' if self.chance(0.9) else 'dec_ttl(1,2)'
        return self.modify(holds, table, depth)

    def mpls_action(self, holds, table, depth):
        if 'mpls' in holds:
            kind = self.random.randrange(6)
            if kind == 0:
                holds.discard('mpls')
                return f"pop_mpls:{self.random.choice(('0x0800', '0x86dd', '0x8847', '0x9000'))}"
            return (f'set_mpls_label:{self.random.choice(self.pools.labels)}', f'set_mpls_tc:{self.random.randrange(8)}',
                    f'set_mpls_ttl:{self.random.choice((1, 64, 255))}', 'dec_mpls_ttl', 'push_mpls:0x8847')[kind - 1]
        holds -= {'ip', 'ip4', 'ip6', 'tcp', 'udp', 'sctp', 'icmp4', 'icmp6', 'nd', 'ns', 'na', 'arp'}
        holds.add('mpls')
        return self.random.choice(('push_mpls:0x8847', 'push_mpls:0x8847', 'push_mpls:0x8848'))

    def resubmit(self, holds, table, depth):
        later = self.random.randrange(table + 1, self.tables) if table + 1 < self.tables else table
        if self.chance(0.02):
            later = self.random.randrange(self.tables)
        kind = self.random.random()
        if kind < 0.85:
            return f'resubmit(,{later})'
        if kind < 0.97:
            return f'resubmit({self.random.choice(self.ports)},{later})'
        return f'resubmit({self.random.choice(self.ports)},{later})' if table else f'resubmit(,{later})'

    def stack(self, holds, table, depth):
        width = self.random.choice((1, 8, 16, 32))
        source, target = self.random.choice(REGISTERS), self.random.choice(REGISTERS)
        if self.chance(0.3):
            source = self.readable(holds)
        push, pop = self.subfield(source, min(width, SUBFIELDS[source][1]))[0], self.subfield(target, min(width, SUBFIELDS[target][1]))[0]
        return self.random.choice((f'push:{push},pop:{pop}', f'push:{push},pop:{pop}', f'push:{push}', f'pop:{pop}'))

    def small(self, holds, table, depth):
        choices = ['set_queue:5', 'pop_queue', 'note:00.11.22.33.44.55', 'set_tunnel:0x77', 'set_tunnel64:0x123456789', 'ct_clear',
                   f'enqueue({self.random.choice(self.ports)},1)',
                   f"check_pkt_larger({self.random.choice((50, 60, 100, 200))})->NXM_NX_REG0[{self.random.randrange(4)}]"]
        if depth == 0 and self.chance(0.15):
            choices.append('exit')
        if 'tcp' in holds:
            choices.append('fin_timeout(idle_timeout=10)')
        return self.random.choice(choices)

    def clone(self, holds, table, depth):
        return f'clone({self.actions(holds, table, depth + 1)})'

    def group(self, holds, table, depth):
        return f'group:{self.random.choice(self.groups)}'

    def learn(self, holds, table, depth):
        target = self.random.randrange(table + 1, self.tables) if table + 1 < self.tables else table
        specs = ['NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[]']
        if self.chance(0.4):
            specs.append('NXM_OF_VLAN_TCI[0..11]')
        specs.append(self.random.choice(('output:NXM_OF_IN_PORT[]', 'load:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15]', 'load:0x7->NXM_NX_REG1[]')))
        return f"learn(table={target},{'hard_timeout=60,' if self.chance(0.3) else ''}priority={self.random.randrange(1, 400)},cookie=0xffff,{','.join(specs)})"

    def instructions(self, holds, table, depth):
        parts = []
        if self.chance(0.06):
            parts.append('clear_actions')
        if self.chance(0.13):
            inner = [self.random.choice((self.output, self.modify, self.set_field, self.vlan_action, self.dec_ttl))(holds, table, 2) for _ in range(self.random.choice((1, 2, 4)))]
            parts.append(f"write_actions({','.join(inner)})")
        if self.chance(0.08):
            parts.append(f"write_metadata:{self.masked('metadata', 64, 0.5)}")
        if self.chance(0.2) and table + 1 < self.tables:
            parts.append(f'goto_table:{self.random.randrange(table + 1, self.tables)}')
        return parts

    # Flows and groups

    def flow(self, cookie, table=None):
        if table is None:
            table = self.random.choices(range(self.tables), [3] + [1] * (self.tables - 1))[0]
        fields, holds = self.match()
        head = [f'cookie={cookie:#x}'] + ([f'table={table}'] if table or self.chance(0.5) else [])
        head.append(f'priority={self.random.choice((self.random.randrange(1, 400), self.random.randrange(65536)))}')
        if self.chance(0.02):
            head.append(self.random.choice(('idle_timeout=600', 'hard_timeout=900', 'send_flow_rem')))
        return ','.join(head + fields) + f',actions={self.actions(holds, table)}'

    def catch_all(self, cookie, table):
        return f'cookie={cookie:#x},table={table},priority={self.random.randrange(3)},actions={self.actions({"any"}, table)}'

    def conjunctions(self, cookie, table):
        """A set of rules that only match together: two or three dimensions, and what happens when all of them do."""
        number, dimensions = self.random.randrange(1, 4), self.random.choice((2, 3))
        priority = self.random.randrange(100, 30000)
        flows = []
        for dimension in range(1, dimensions + 1):
            for _ in range(self.random.randrange(1, 5)):
                fields, _ = self.match()
                flows.append((fields, f'conjunction({number},{dimension}/{dimensions})'))
        flows.append(([f'conj_id={number}'], self.actions({'any'}, table)))
        return [f"cookie={cookie + n:#x},table={table},priority={priority},{','.join(fields)}{',' if fields else ''}actions={actions}"
                for n, (fields, actions) in enumerate(flows)]

    def group_line(self, number):
        # Select groups recirculate in Open vSwitch, and what recirculates is mirrored once more on its way in.
        select = 0 if 'mirror' in self.features else 10
        kind = self.random.choices(('all', 'indirect', 'ff', 'select'), (45, 20, 25, select))[0]
        count = self.random.randrange(1, 5) if kind in ('all', 'ff') else 1
        buckets = []
        for n in range(count):
            inner = [self.random.choice((self.output, self.output, self.modify, self.set_field, self.vlan_action, self.resubmit))({'any'}, 0, 2)
                     for _ in range(self.random.choice((1, 1, 2, 3)))]
            watch = f'watch_port:{self.random.choice(self.ports)},' if kind == 'ff' else ''
            buckets.append(f"bucket=bucket_id:{n},{watch}actions={','.join(inner)}" if self.version == 'OpenFlow15' else f"bucket={watch}actions={','.join(inner)}")
        return f"group_id={number},type={kind},{','.join(buckets)}"
