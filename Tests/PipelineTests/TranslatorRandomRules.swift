import Flow
import Pipeline

/// Rules of all kinds over the values of `RandomKeys`, as text.
struct RandomRules {
    var random: Random
    var depth = 0
    /// Matches on little but the ingress port.
    var isPlain = false

    mutating func pick<T>(_ values: [T]) -> T { values[random.below(values.count)] }
    mutating func chance(_ percent: Int) -> Bool { random.below(100) < percent }

    static let macs = ["02:00:00:00:00:01", "02:00:00:00:00:02", "0a:00:00:00:01:04", "ff:ff:ff:ff:ff:ff"]
    static let addresses = ["10.0.0.1", "10.0.0.2", "10.0.1.3", "192.168.1.1"]

    mutating func match() -> String {
        var parts = ["priority=\(random.below(300))"]
        if chance(isPlain ? 70 : 25) { parts.append("in_port=\(1 + random.below(5))") }
        if isPlain { return parts.joined(separator: ",") + pick(["", "", ",ip", ",ipv6", ",tcp"]) }
        if chance(20) { parts.append("dl_src=\(pick(Self.macs))") }
        if chance(20) { parts.append("dl_dst=\(pick(["01:00:00:00:00:00/01:00:00:00:00:00"] + Self.macs))") }
        if chance(25) {
            parts.append(pick(["vlan_tci=0", "dl_vlan=1", "vlan_tci=0x1000/0x1000", "dl_vlan=2,dl_vlan_pcp=1"]))
        }
        if chance(20) { parts.append("reg\(random.below(3))=\(random.below(3))") }
        if chance(10) { parts.append("metadata=\(random.below(3))/0x3") }
        if chance(55) { parts.append(network()) }
        return parts.joined(separator: ",")
    }

    private mutating func network() -> String {
        switch random.below(10) {
        case 0: return "ip,nw_src=\(pick(Self.addresses))"
        case 1: return "ip,nw_dst=\(pick(Self.addresses))/\(pick(["8", "24", "255.0.255.0"]))"
        case 2: return "tcp,tp_dst=\(pick(["80", "81", "0x50/0xfff0"]))"
        case 3: return "udp,tp_src=\(pick(["80", "1000"])),nw_tos=\(random.below(4) * 4)"
        case 4: return "tcp,tcp_flags=\(pick(["+syn", "-ack", "+fin+rst"]))"
        case 5: return "ipv6,ipv6_src=::10.0.0.1"
        case 6: return "arp,arp_op=1,arp_tpa=\(pick(Self.addresses))"
        case 7: return "icmp6,icmp_type=135"
        case 8: return "mpls,mpls_label=\(1 + random.below(3))"
        default: return pick(["ip,ip_frag=first", "ip,nw_ttl=1", "ip,nw_ecn=1", "icmp", "sctp"])
        }
    }

    /// A list of actions for a rule of this table.
    mutating func actions(table: Int) -> String {
        if chance(5) { return "drop" }
        var list: [String] = []
        for _ in 0..<(1 + random.below(4)) { list.append(action(table)) }
        if chance(20) {
            list.append(
                "write_actions(\(pick(["set_field:3->reg1,", "mod_dl_src:02:00:00:00:00:03,", ""]))\(pick(["output:4", "group:\(1 + random.below(4))"])))"
            )
        }
        if table < 3, chance(35) { list.append("goto_table:\(table + 1 + random.below(3 - table))") }
        return list.joined(separator: ",")
    }

    private mutating func action(_ table: Int) -> String {
        switch random.below(13) {
        case 0...3: return output()
        case 4, 5, 6: return set()
        case 7: return move()
        // Backwards now and then: more would only find the limits.
        case 8: return "resubmit(,\(chance(4) ? random.below(4) : min(table + 1 + random.below(3), 4)))"
        case 9: return header()
        case 10 where depth < 2:
            depth += 1
            defer { depth -= 1 }
            return "clone(\(action(table)),\(output()))"
        case 11: return "group:\(1 + random.below(4))"
        default:
            return pick(["dec_ttl", "push:NXM_OF_ETH_SRC[],pop:NXM_OF_ETH_DST[]", "exit", "controller", "note:11"])
        }
    }

    private mutating func output() -> String {
        switch random.below(9) {
        case 0: return "NORMAL"
        case 1: return pick(["flood", "all", "in_port", "local"])
        case 2: return "output(port=\(1 + random.below(5)),max_len=100)"
        case 3: return "output:NXM_NX_REG0[0..15]"
        case 4: return "bundle(\(pick(["eth_src", "symmetric_l4", "symmetric_l3l4"])),1,hrw,ofport,members:2,3,4)"
        default: return "output:\(1 + random.below(6))"
        }
    }

    private mutating func set() -> String {
        switch random.below(14) {
        case 0: return "mod_dl_src:\(pick(Self.macs))"
        case 1: return "mod_dl_dst:\(pick(Self.macs))"
        case 2: return "set_field:02:00:00:00:00:00/ff:ff:00:00:00:00->eth_dst"
        case 3: return "mod_nw_src:10.0.0.2"
        case 4: return "mod_tp_dst:81"
        case 5: return "load:\(random.below(6))->NXM_NX_REG\(random.below(3))[]"
        case 6: return "mod_nw_tos:32"
        case 7: return "set_field:2->metadata"
        case 8: return "multipath(symmetric_l3l4+udp,7,modulo_n,4,0,NXM_NX_REG1[0..7])"
        case 9: return "set_queue:\(random.below(3))"
        case 10: return "set_field:7->pkt_mark"
        case 11: return "load:0x5->NXM_OF_IN_PORT[]"
        case 12: return "mod_nw_ecn:1"
        default: return "mod_vlan_pcp:3"
        }
    }

    private mutating func move() -> String {
        pick([
            "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]", "move:NXM_OF_ETH_DST[0..15]->NXM_NX_REG0[0..15]",
            "move:NXM_OF_IP_SRC[]->NXM_NX_REG2[]", "move:NXM_OF_IP_SRC[0..7]->NXM_OF_IP_DST[0..7]",
            "move:NXM_OF_IN_PORT[]->NXM_NX_REG1[0..15]", "move:NXM_OF_VLAN_TCI[0..3]->NXM_NX_REG1[0..3]",
            "move:NXM_NX_REG0[0..7]->NXM_OF_ETH_SRC[0..7]", "move:NXM_OF_ETH_TYPE[]->NXM_NX_REG2[0..15]",
            "move:NXM_NX_IPV6_SRC[0..63]->NXM_NX_IPV6_DST[64..127]",
        ])
    }

    private mutating func header() -> String {
        pick([
            "push_vlan:0x8100", "strip_vlan", "push_vlan:0x88a8,set_field:4099->vlan_vid", "mod_vlan_vid:3",
            "push_mpls:0x8847", "pop_mpls:0x8847", "dec_mpls_ttl", "set_mpls_ttl(9)",
        ])
    }
}
