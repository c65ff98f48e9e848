import Base

/// Writes matches, megaflows and packets in the one form that OVS has for all of them: `dump-flows`, and the `Flow:`,
/// `Final flow:` and `Megaflow:` lines of `trace`. The order of fields is OVS's.
struct MatchPrinter {
    let key: FlowKey
    let mask: FlowMask
    let context: FlowContext
    private var parts: [String] = []
    /// Keywords that say Ethernet type and protocol: `tcp6` stands for both.
    private var saysType = false
    private var saysProtocol = false

    init(key: FlowKey, mask: FlowMask, _ context: FlowContext) {
        self.key = key
        self.mask = mask
        self.context = context
    }

    mutating func text(priority: UInt16 = FlowSpec.defaultPriority) -> String {
        if priority != FlowSpec.defaultPriority { parts.append("priority=\(priority)") }
        appendMetadata()
        appendConntrack()
        appendType()
        for n in 0..<16 { hex("reg\(n)", .reg(n)) }
        appendTunnel()
        hex("metadata", .metadata)
        if mask[.inPort] != 0 { parts.append("in_port=\(port(.inPort))") }
        if appendVLAN("", .vlanTCI) { _ = appendVLAN("1", .innerVlanTCI) }
        appendEthernet("dl_src", .ethSrc)
        appendEthernet("dl_dst", .ethDst)
        if !saysType, mask[.ethType] != 0 { parts.append("dl_type=\(Digits.hex(type, digits: 4))") }
        appendNetwork()
        appendMPLS()
        appendFragment()
        appendTransport()
        return parts.joined(separator: ",")
    }

    private var type: UInt64 {
        let packetType = key[.packetType]
        if mask[.packetType] != 0, packetType >> 16 == 1 { return packetType & 0xffff }
        return key[.ethType]
    }

    private func port(_ slot: Slot) -> String {
        Ports.format(PortNumber(UInt32(truncatingIfNeeded: key[slot])), context)
    }

    // MARK: Forms of values

    private mutating func hex(_ name: String, _ slot: Slot) {
        let bits = mask[slot]
        if bits == 0 { return }
        let value = Digits.hex(key[slot])
        parts.append(bits == slot.lowMask ? "\(name)=\(value)" : "\(name)=\(value)/\(Digits.hex(bits))")
    }

    /// Decimal, or hexadecimal with a mask.
    private mutating func decimal(_ name: String, _ slot: Slot, digits: Int = 1) {
        let bits = mask[slot]
        if bits == 0 { return }
        if bits == slot.lowMask {
            parts.append("\(name)=\(key[slot])")
        } else {
            parts.append("\(name)=\(Digits.hex(key[slot], digits: digits))/\(Digits.hex(bits, digits: digits))")
        }
    }

    private mutating func appendEthernet(_ name: String, _ slot: Slot) {
        if mask[slot] != 0 { parts.append("\(name)=\(Digits.ethernet(key[slot], mask: mask[slot]))") }
    }

    private mutating func appendIPv4(_ name: String, _ slot: Slot) {
        if mask[slot] == 0 { return }
        let value = UInt32(truncatingIfNeeded: key[slot])
        parts.append("\(name)=\(Digits.ipv4(value, mask: UInt32(truncatingIfNeeded: mask[slot])))")
    }

    private mutating func appendIPv6(_ name: String, _ slot: Slot) {
        let bits = mask.bits[wide: slot]
        if bits != 0 { parts.append("\(name)=\(Digits.ipv6(key[wide: slot], mask: bits))") }
    }

    /// Fields that are narrower than their slot: all of the field's own bits count as no mask.
    private mutating func hex(_ name: String, _ slot: Slot, _ field: MatchField) { narrow(name, slot, field, true) }
    private mutating func decimal(_ name: String, _ slot: Slot, _ field: MatchField) {
        narrow(name, slot, field, false)
    }

    private mutating func narrow(_ name: String, _ slot: Slot, _ field: MatchField, _ isHex: Bool) {
        let all = FieldLayout.ones(field.width)
        let bits = UInt128(mask[slot]) & all
        if bits == 0 { return }
        let value = isHex || bits != all ? Digits.hex(key[slot]) : String(key[slot])
        parts.append(bits == all ? "\(name)=\(value)" : "\(name)=\(value)/\(Digits.hex(bits))")
    }

    // MARK: Groups of fields

    private mutating func appendMetadata() {
        hex("pkt_mark", .pktMark)
        hex("recirc_id", .recircID)
        hex("dp_hash", .dpHash)
        if mask[.conjID] != 0 { parts.append("conj_id=\(key[.conjID])") }
        if mask[.skbPriority] != 0 { parts.append("skb_priority=\(Digits.hex(key[.skbPriority]))") }
        if mask[.actionSetOutput] != 0 { parts.append("actset_output=\(port(.actionSetOutput))") }
    }

    private mutating func appendConntrack() {
        if mask[.ctState] != 0 {
            parts.append(
                "ct_state=\(Digits.flags(key[.ctState], mask: mask[.ctState], all: 0xff, FlagNames.conntrack))")
        }
        decimal("ct_zone", .ctZone)
        hex("ct_mark", .ctMark)
        let label = mask.bits[wide: .ctLabel]
        if label != 0 {
            let value = Digits.hex(key[wide: .ctLabel])
            parts.append(label == ~0 ? "ct_label=\(value)" : "ct_label=\(value)/\(Digits.hex(label))")
        }
        appendIPv4("ct_nw_src", .ctIPv4Src)
        appendIPv6("ct_ipv6_src", .ctIPv6Src)
        appendIPv4("ct_nw_dst", .ctIPv4Dst)
        appendIPv6("ct_ipv6_dst", .ctIPv6Dst)
        if mask[.ctNwProto] != 0 {
            parts.append("ct_nw_proto=\(key[.ctNwProto])")
            decimal("ct_tp_src", .ctTpSrc)
            decimal("ct_tp_dst", .ctTpDst)
        }
    }

    private mutating func appendType() {
        if mask[.packetType] != 0 {
            if key[.packetType] != 0 {
                parts.append("packet_type=(\(key[.packetType] >> 16),\(Digits.hex(key[.packetType] & 0xffff)))")
            } else if mask[.recircID] != 0 {
                parts.append("eth")
            }
        }
        if mask[.ethType] == 0 { return }
        let proto = mask[.nwProto] != 0 ? key[.nwProto] : 256
        saysType = true
        saysProtocol = mask[.nwProto] != 0
        switch (type, proto) {
        case (0x0800, 1): parts.append("icmp")
        case (0x0800, 6): parts.append("tcp")
        case (0x0800, 17): parts.append("udp")
        case (0x0800, 132): parts.append("sctp")
        case (0x86dd, 58): parts.append("icmp6")
        case (0x86dd, 6): parts.append("tcp6")
        case (0x86dd, 17): parts.append("udp6")
        case (0x86dd, 132): parts.append("sctp6")
        default:
            saysProtocol = false
            switch type {
            case 0x0800: parts.append("ip")
            case 0x86dd: parts.append("ipv6")
            case 0x0806: parts.append("arp")
            case 0x8035: parts.append("rarp")
            case 0x8847: parts.append("mpls")
            case 0x8848: parts.append("mplsm")
            default: saysType = false
            }
        }
    }

    private mutating func appendTunnel() {
        hex("tun_id", .tunID)
        appendIPv4("tun_src", .tunIPv4Src)
        appendIPv4("tun_dst", .tunIPv4Dst)
        appendIPv6("tun_ipv6_src", .tunIPv6Src)
        appendIPv6("tun_ipv6_dst", .tunIPv6Dst)
        decimal("tun_gbp_id", .tunGBPID)
        hex("tun_gbp_flags", .tunGBPFlags, .tunGBPFlags)
        if mask[.tunTOS] != 0 { parts.append("tun_tos=\(String(key[.tunTOS], radix: 16))") }
        if mask[.tunTTL] != 0 { parts.append("tun_ttl=\(key[.tunTTL])") }
        decimal("tun_erspan_ver", .tunERSPANVersion, .tunERSPANVersion)
        hex("tun_erspan_idx", .tunERSPANIndex, .tunERSPANIndex)
        decimal("tun_erspan_dir", .tunERSPANDirection, .tunERSPANDirection)
        hex("tun_erspan_hwid", .tunERSPANHardwareID, .tunERSPANHardwareID)
        hex("tun_gtpu_flags", .tunGTPUFlags, .tunGTPUFlags)
        decimal("tun_gtpu_msgtype", .tunGTPUMessageType, .tunGTPUMessageType)
        if mask[.tunFlags] & 15 != 0 {
            parts.append(
                "tun_flags=\(Digits.flags(key[.tunFlags] & 15, mask: mask[.tunFlags] & 15, all: 15, FlagNames.tunnel))")
        }
        appendTunnelMetadata()
    }

    /// `tun_metadata0=0x5/0x7`; only the name if the option is asked for whatever it holds, `=NP` if it must not be there.
    private mutating func appendTunnelMetadata() {
        for number in UInt8(0)..<64 {
            guard let field = context.tlvMap[number]?.field, mask[.tunMetadataPresent] & field.presence != 0 else {
                continue
            }
            let name = "tun_metadata\(number)"
            guard key[.tunMetadataPresent] & field.presence != 0 else {
                parts.append(name + "=NP")
                continue
            }
            let bits = field.bytes(of: mask.bits)
            if bits.allSatisfy({ $0 == 0 }) {
                parts.append(name)
            } else {
                let value = "\(name)=\(Digits.hex(field.bytes(of: key)))"
                parts.append(bits.allSatisfy { $0 == 0xff } ? value : "\(value)/\(Digits.hex(bits))")
            }
        }
    }

    /// Whether there was something to say about this tag; the next one inwards is shown only then.
    private mutating func appendVLAN(_ suffix: String, _ slot: Slot) -> Bool {
        let bits = mask[slot]
        let tci = key[slot]
        if bits == 0 { return false }
        let vid = bits & 0xfff
        let pcp = bits & 0xe000
        let isPlain = (vid == 0 || vid == 0xfff) && (pcp == 0 || pcp == 0xe000) && vid | pcp != 0
        if bits & tci & 0x1000 != 0, isPlain {
            if vid != 0 { parts.append("dl_vlan\(suffix)=\(tci & 0xfff)") }
            if pcp != 0 { parts.append("dl_vlan_pcp\(suffix)=\(tci >> 13)") }
        } else if bits == 0xffff {
            parts.append("vlan_tci\(suffix)=\(Digits.hex(tci, digits: 4))")
        } else {
            parts.append("vlan_tci\(suffix)=\(Digits.hex(tci, digits: 4))/\(Digits.hex(bits, digits: 4))")
        }
        return true
    }

    private mutating func appendNetwork() {
        let isARP = type == 0x0806 || type == 0x8035
        if type == 0x86dd {
            appendIPv6("ipv6_src", .ipv6Src)
            appendIPv6("ipv6_dst", .ipv6Dst)
            let label = mask[.ipv6Label] & 0xfffff
            if label != 0 {
                let value = Digits.hex(key[.ipv6Label], digits: 5)
                parts.append(
                    label == 0xfffff ? "ipv6_label=\(value)" : "ipv6_label=\(value)/\(Digits.hex(label, digits: 5))")
            }
        } else {
            appendIPv4(isARP ? "arp_spa" : "nw_src", .ipv4Src)
            appendIPv4(isARP ? "arp_tpa" : "nw_dst", .ipv4Dst)
        }
        if !saysProtocol, mask[.nwProto] != 0 { parts.append("\(isARP ? "arp_op" : "nw_proto")=\(key[.nwProto])") }
        if isARP {
            appendEthernet("arp_sha", .arpSHA)
            appendEthernet("arp_tha", .arpTHA)
        }
        if mask[.nwTOS] & 0xfc != 0 { parts.append("nw_tos=\(key[.nwTOS] & 0xfc)") }
        if mask[.nwTOS] & 0x03 != 0 { parts.append("nw_ecn=\(key[.nwTOS] & 0x03)") }
        if mask[.nwTTL] != 0 { parts.append("nw_ttl=\(key[.nwTTL])") }
    }

    private mutating func appendMPLS() {
        let bits = mask[.mpls0]
        let entry = key[.mpls0]
        if bits & 0xffff_f000 != 0 { parts.append("mpls_label=\(entry >> 12)") }
        if bits & 0xe00 != 0 { parts.append("mpls_tc=\(entry >> 9 & 7)") }
        if bits & 0xff != 0 { parts.append("mpls_ttl=\(entry & 0xff)") }
        if bits & 0x100 != 0 { parts.append("mpls_bos=\(entry >> 8 & 1)") }
        decimal("mpls_lse1", .mpls1, digits: 8)
        decimal("mpls_lse2", .mpls2, digits: 8)
    }

    private mutating func appendFragment() {
        let bits = mask[.nwFrag] & 3
        let value = key[.nwFrag]
        switch bits {
        case 3: parts.append("nw_frag=\(value & 1 == 0 ? "no" : value & 2 == 0 ? "first" : "later")")
        case 1: parts.append("nw_frag=\(value & 1 == 0 ? "no" : "yes")")
        case 2: parts.append("nw_frag=\(value & 2 == 0 ? "not_later" : "later")")
        default: break
        }
    }

    private mutating func appendTransport() {
        let proto = key[.nwProto]
        if type == 0x0800, proto == 1 {
            decimal("icmp_type", .tpSrc)
            decimal("icmp_code", .tpDst)
        } else if type == 0x86dd, proto == 58 {
            decimal("icmp_type", .tpSrc)
            decimal("icmp_code", .tpDst)
            appendIPv6("nd_target", .ndTarget)
            appendEthernet("nd_sll", .arpSHA)
            appendEthernet("nd_tll", .arpTHA)
            decimal("nd_reserved", .ndReserved, digits: 8)
            decimal("nd_options_type", .ndOptionsType)
        } else {
            decimal("tp_src", .tpSrc)
            decimal("tp_dst", .tpDst)
        }
        if type == 0x0800 || type == 0x86dd, proto == 6, mask[.tcpFlags] & 0xfff != 0 {
            parts.append(
                "tcp_flags=\(Digits.flags(key[.tcpFlags] & 0xfff, mask: mask[.tcpFlags] & 0xfff, all: 0xfff, FlagNames.tcp))"
            )
        }
    }
}
