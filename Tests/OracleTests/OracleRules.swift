import FrameSupport

/// Rules, groups and changes of all kinds, as text, over the values of `OracleFrames`.
struct OracleRules {
    var random: SeededRandom
    /// What translation may do to others: learn stations and rules.
    var hasEffects = false
    var usesNormal = true
    private var depth = 0

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    mutating func chance(_ percent: Int) -> Bool { random.below(100) < percent }

    static let macs = ["02:00:00:00:00:01", "02:00:00:00:00:02", "0a:00:00:00:01:04", "ff:ff:ff:ff:ff:ff"]
    static let addresses = ["10.0.0.1", "10.0.0.2", "10.0.1.3", "192.168.1.1"]
    static let sixes = ["::a00:1", "::a00:2", "2001:0:0a00:1::/64", "::a00:0/112", "2001::/16", "::/1"]

    /// Flows to be added: one, or all that a conjunction needs.
    mutating func flows(table: Int, isPlain: Bool) -> [String] {
        if !isPlain, chance(5) { return conjunction(table) }
        let times = chance(10) ? random.pick(["idle_timeout=3,", "hard_timeout=5,"]) : ""
        return ["table=\(table),\(times)\(match(isPlain)),actions=\(actions(table: table))"]
    }

    private mutating func conjunction(_ table: Int) -> [String] {
        let number = 1 + random.below(4)
        let priority = random.below(300)
        var flows: [String] = []
        let dimensions = [
            ["ip,nw_src=10.0.0.1", "ip,nw_src=10.0.0.0/24", "in_port=1", "in_port=2"],
            ["tcp,tp_dst=80", "tcp,tp_dst=81", "udp,tp_dst=0x50/0xfff0", "tcp,tcp_flags=+syn", "icmp,icmp_type=8"],
        ]
        for (i, fields) in dimensions.enumerated() {
            for field in fields where chance(60) {
                flows.append("table=\(table),priority=\(priority),\(field),actions=conjunction(\(number),\(i + 1)/2)")
            }
        }
        flows.append(
            "table=\(table),priority=\(priority),ip,conj_id=\(number),actions=\(actions(table: table))")
        return flows
    }

    mutating func match(_ isPlain: Bool = false) -> String {
        var parts = ["priority=\(random.below(300))"]
        if chance(isPlain ? 70 : 20) { parts.append("in_port=\(1 + random.below(6))") }
        if isPlain { return parts.joined(separator: ",") + random.pick(["", "", ",ip", ",ipv6", ",tcp", ",mpls"]) }
        if chance(15) { parts.append("dl_src=\(random.pick(Self.macs))") }
        if chance(15) {
            parts.append("dl_dst=\(random.pick(["01:00:00:00:00:00/01:00:00:00:00:00"] + Self.macs))")
        }
        if chance(20) {
            parts.append(
                random.pick([
                    "vlan_tci=0", "dl_vlan=1", "vlan_tci=0x1000/0x1000", "dl_vlan=2,dl_vlan_pcp=1", "dl_vlan=0xffff",
                    "vlan_tci=0x1001/0x1001", "vlan_tci=0x0002/0x0002",
                ]))
        }
        if chance(15) { parts.append("reg\(random.below(3))=\(random.below(3))") }
        if chance(8) { parts.append("metadata=\(random.below(3))/0x3") }
        if chance(65) { parts.append(network()) }
        return parts.joined(separator: ",")
    }

    private mutating func network() -> String {
        let address = random.pick(Self.addresses)
        switch random.below(20) {
        case 0: return "ip,nw_src=\(address)"
        case 1, 2: return "ip,nw_dst=\(address)/\(random.pick(["8", "24", "31", "1", "255.0.255.0"]))"
        case 3, 4: return "tcp,tp_dst=\(random.pick(["80", "81", "82", "0x50/0xfff0", "0x8000/0x8000", "0/0xfffe"]))"
        case 5: return "udp,tp_src=\(random.pick(["80", "1000", "0x50/0xfffe"])),nw_tos=\(random.below(4) * 4)"
        case 6: return "tcp,tcp_flags=\(random.pick(["+syn", "-ack", "+fin+rst", "0x800/0x800"]))"
        case 7: return "ipv6,ipv6_src=\(random.pick(Self.sixes))"
        case 8: return "ipv6,ipv6_dst=\(random.pick(Self.sixes))"
        case 9:
            return "arp,arp_op=\(random.pick(["1", "2", "0", "255"])),arp_tpa=\(address)/\(random.pick(["32", "24"]))"
        case 10:
            return random.pick(["arp,arp_sha=\(random.pick(Self.macs))", "rarp", "arp,arp_op=0", "dl_type=0x05ff"])
        case 11: return "icmp6,icmp_type=\(random.pick(["135", "136"])),icmp_code=\(random.pick(["0", "1"]))"
        case 12:
            return random.pick([
                "icmp6,icmp_type=135,icmp_code=0,nd_target=::a00:1",
                "icmp6,icmp_type=136,icmp_code=0,nd_tll=02:00:00:00:00:01",
                "icmp6,icmp_type=135,nd_sll=02:00:00:00:00:02", "icmp6,icmp_code=1",
            ])
        case 13:
            return random.pick(["mpls,mpls_label=\(1 + random.below(3))", "mpls,mpls_bos=1", "mpls,mpls_tc=2", "mplsm"])
        case 14: return random.pick(["icmp,icmp_type=8", "icmp,icmp_type=3,icmp_code=1", "icmp,icmp_code=2", "igmp"])
        case 15:
            return random.pick([
                "ip,ip_frag=first", "ip,ip_frag=later", "ip,ip_frag=not_later", "ipv6,ip_frag=yes", "ip,ip_frag=no",
            ])
        case 16: return random.pick(["ip,nw_ttl=1", "ip,nw_ecn=1", "ipv6,ipv6_label=2", "ipv6,nw_ttl=0"])
        case 17:
            return random.pick([
                "ip,nw_proto=0", "ipv6,nw_proto=0", "ip,nw_proto=47", "ipv6,nw_proto=59", "ipv6,nw_proto=44",
            ])
        case 18:
            return random.pick([
                "udp6,tp_dst=80", "tcp6,tp_src=0x50/0xfff0", "sctp,tp_dst=81", "sctp6", "tcp6,tcp_flags=+syn",
            ])
        default: return "dl_type=\(random.pick(["0x1234", "0x8100", "0x88a8", "0x88cc", "0x8847"]))"
        }
    }

    /// A list of actions for a rule of this table.
    mutating func actions(table: Int) -> String {
        if chance(6) { return "drop" }
        var list: [String] = []
        for _ in 0..<(1 + random.below(4)) { list.append(action(table)) }
        if chance(15) {
            let set = random.pick(["set_field:3->reg1,", "mod_dl_src:02:00:00:00:00:03,", "push_vlan:0x8100,", ""])
            list.append("write_actions(\(set)\(random.pick(["output:4", "group:\(1 + random.below(5))"])))")
        }
        if table < 3, chance(35) { list.append("goto_table:\(table + 1 + random.below(3 - table))") }
        return list.joined(separator: ",")
    }

    private mutating func action(_ table: Int) -> String {
        switch random.below(14) {
        case 0...3: return output()
        case 4, 5, 6: return set()
        case 7: return move()
        // Backwards now and then: more would only find the limits.
        case 8:
            let target = chance(4) ? random.below(4) : min(table + 1 + random.below(3), 4)
            return chance(15) ? "resubmit(\(1 + random.below(3)),\(target))" : "resubmit(,\(target))"
        case 9, 10: return header()
        case 11 where depth < 2:
            depth += 1
            defer { depth -= 1 }
            return "clone(\(action(table)),\(output()))"
        case 12: return "group:\(1 + random.below(5))"
        default:
            if hasEffects, chance(25) { return learn(table) }
            return random.pick([
                "dec_ttl", "push:NXM_OF_ETH_SRC[],pop:NXM_OF_ETH_DST[]", "exit", "controller", "note:11",
                "check_pkt_larger(60)->NXM_NX_REG0[0]", "push:NXM_OF_TCP_SRC[],pop:NXM_NX_REG2[0..15]",
            ])
        }
    }

    private mutating func learn(_ table: Int) -> String {
        let times = random.pick(["", "idle_timeout=4,", "hard_timeout=6,"])
        return "learn(table=\(min(table + 1, 4)),\(times)priority=\(200 + random.below(3)),"
            + "NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])"
    }

    private mutating func output() -> String {
        switch random.below(10) {
        case 0: return usesNormal ? "NORMAL" : "output:2"
        case 1: return random.pick(["flood", "all", "in_port", "local"])
        case 2: return "output(port=\(1 + random.below(5)),max_len=60)"
        case 3: return "output:NXM_NX_REG0[0..15]"
        case 4: return bundle()
        default: return "output:\(1 + random.below(7))"
        }
    }

    private mutating func bundle() -> String {
        let fields = random.pick(["eth_src", "symmetric_l4", "symmetric_l3l4", "nw_src", "symmetric_l3l4+udp"])
        return chance(50)
            ? "bundle(\(fields),1,\(random.pick(["hrw", "active_backup"])),ofport,members:2,3,4)"
            : "bundle_load(\(fields),1,hrw,ofport,NXM_NX_REG0[0..15],members:2,3,4)"
    }

    private mutating func set() -> String {
        switch random.below(19) {
        case 0: return "mod_dl_src:\(random.pick(Self.macs))"
        case 1: return "mod_dl_dst:\(random.pick(Self.macs))"
        case 2: return "set_field:02:00:00:00:00:00/ff:ff:00:00:00:00->eth_dst"
        case 3: return "mod_nw_src:10.0.0.2"
        case 4: return random.pick(["mod_tp_dst:81", "mod_tp_src:82", "set_field:80/0xf0->tcp_dst"])
        case 5: return "load:\(random.below(6))->NXM_NX_REG\(random.below(3))[]"
        case 6: return random.pick(["mod_nw_tos:32", "mod_nw_ecn:1", "mod_nw_ttl:3"])
        case 7: return "set_field:2->metadata"
        case 8:
            return
                "multipath(\(random.pick(["symmetric_l3l4+udp", "eth_src", "symmetric_l3", "nw_dst"])),7,modulo_n,4,0,NXM_NX_REG1[0..7])"
        case 9: return "set_queue:\(random.below(3))"
        case 10: return "set_field:7->pkt_mark"
        case 11: return "load:0x5->NXM_OF_IN_PORT[]"
        case 12: return "mod_vlan_pcp:3"
        case 13:
            return random.pick([
                "set_field:::a00:2->ipv6_src", "set_field:::5/::ff->ipv6_dst", "set_field:3->ipv6_label",
            ])
        case 14:
            return random.pick([
                "set_field:2->arp_op", "set_field:10.0.0.1->arp_spa", "set_field:02:00:00:00:00:01->arp_sha",
            ])
        case 15:
            return random.pick([
                "set_field:::a00:3->nd_target", "set_field:02:00:00:00:00:04->nd_sll", "set_field:1->icmp_code",
            ])
        case 16: return random.pick(["set_field:3->mpls_label", "set_field:1->mpls_tc"])
        case 17: return "load:0x1->NXM_OF_VLAN_TCI[0..3]"
        default: return "set_field:10.0.0.1->ip_dst"
        }
    }

    private mutating func move() -> String {
        random.pick([
            "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]", "move:NXM_OF_ETH_DST[0..15]->NXM_NX_REG0[0..15]",
            "move:NXM_OF_IP_SRC[]->NXM_NX_REG2[]", "move:NXM_OF_IP_SRC[0..7]->NXM_OF_IP_DST[0..7]",
            "move:NXM_OF_IN_PORT[]->NXM_NX_REG1[0..15]", "move:NXM_OF_VLAN_TCI[0..3]->NXM_NX_REG1[0..3]",
            "move:NXM_NX_REG0[0..7]->NXM_OF_ETH_SRC[0..7]", "move:NXM_OF_ETH_TYPE[]->NXM_NX_REG2[0..15]",
            "move:NXM_NX_IPV6_SRC[0..63]->NXM_NX_IPV6_DST[64..127]", "move:NXM_OF_TCP_SRC[0..3]->NXM_NX_REG0[0..3]",
            "move:NXM_OF_UDP_DST[]->NXM_OF_UDP_SRC[]", "move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[]",
            "move:NXM_OF_IP_TOS[]->NXM_NX_REG1[0..7]", "move:NXM_NX_REG1[0..3]->NXM_OF_VLAN_TCI[0..3]",
        ])
    }

    private mutating func header() -> String {
        random.pick([
            "push_vlan:0x8100", "strip_vlan", "push_vlan:0x88a8,set_field:4099->vlan_vid", "mod_vlan_vid:3",
            "push_mpls:0x8847", "pop_mpls:0x8847", "pop_mpls:0x0800", "dec_mpls_ttl", "set_mpls_ttl(9)",
            "pop_mpls:0x0800,resubmit(,4)",
        ])
    }

    mutating func bucket() -> String {
        let set = random.pick([
            "", "mod_dl_dst:02:00:00:00:00:01,", "mod_nw_dst:10.0.0.1,", "push_vlan:0x8100,", "resubmit(,3),",
        ])
        return "actions=\(set)output:\(1 + random.below(6))"
    }

    /// The text of group 1 to 5.
    mutating func group(_ number: Int) -> String {
        switch number {
        case 1: return "group_id=1,type=all,bucket=\(bucket()),bucket=\(bucket())"
        case 2:
            let method = random.pick([
                "", "selection_method=hash,fields(ip_src,tcp_dst),", "selection_method=hash,fields(eth_src),",
            ])
            return
                "group_id=2,type=select,\(method)bucket=weight:\(1 + random.below(3)),\(bucket()),bucket=weight:1,watch_port:3,\(bucket())"
        case 3:
            return
                "group_id=3,type=ff,bucket=watch_port:\(2 + random.below(2)),\(bucket()),bucket=watch_port:4,\(bucket())"
        case 4: return "group_id=4,type=indirect,bucket=actions=resubmit(,3)"
        default: return "group_id=5,type=select,bucket=weight:0,actions=output:1,bucket=weight:5,actions=group:1"
        }
    }
}
