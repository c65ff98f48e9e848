import Base

extension ActionChecker {
    // MARK: VLAN

    mutating func checkVLAN(_ action: Action) throws(FlowSyntaxError) {
        let had = hasVLAN
        switch action {
        case .setVLANVID(let vid, let pushes):
            if !pushes { try expect(.vlan, for: "set_vlan_vid") }
            if version > .openFlow10, pushes, !had { result.append(.pushVLAN(0x8100)) }
            match.key[.vlanTCI] |= 0x1000
            if version >= .openFlow12 {
                result.append(.setField(.vlanVID, value: UInt128(vid) | 0x1000, mask: 0xffff))
            } else {
                result.append(.setVLANVID(vid, pushIfAbsent: version == .openFlow10))
            }
        case .setVLANPCP(let pcp, let pushes):
            if !pushes { try expect(.vlan, for: "set_vlan_pcp") }
            if version > .openFlow10, pushes, !had { result.append(.pushVLAN(0x8100)) }
            match.key[.vlanTCI] |= 0x1000
            if version >= .openFlow12 {
                result.append(.setField(.vlanPCP, value: UInt128(pcp), mask: 0xff))
            } else {
                result.append(.setVLANPCP(pcp, pushIfAbsent: version == .openFlow10))
            }
        case .pushVLAN:
            if match.key[.innerVlanTCI] & 0x1000 != 0 { try refuse("a packet cannot have more than two VLAN tags") }
            match.key[.innerVlanTCI] = match.key[.vlanTCI]
            match.key[.vlanTCI] = 0x1000
            if version > .openFlow10 { result.append(action) }
        default:
            try expect(.vlan, for: "pop_vlan")
            match.key[.vlanTCI] = match.key[.innerVlanTCI]
            match.key[.innerVlanTCI] = 0
            result.append(action)
        }
    }

    // MARK: mod_*

    mutating func checkSetter(_ action: Action) throws(FlowSyntaxError) {
        switch action {
        case .setEthSrc(let address): try set(.ethSrc, UInt128(address), or: action)
        case .setEthDst(let address): try set(.ethDst, UInt128(address), or: action)
        case .setIPv4Src(let address):
            try expect(.ipv4, for: "mod_nw_src")
            try set(.ipv4Src, UInt128(address), or: action)
        case .setIPv4Dst(let address):
            try expect(.ipv4, for: "mod_nw_dst")
            try set(.ipv4Dst, UInt128(address), or: action)
        case .setIPDSCP(let tos):
            try expect(.ip, for: "mod_nw_tos")
            try set(.ipDSCP, UInt128(tos >> 2), or: action)
        case .setIPECN(let ecn):
            try expect(.ip, for: "mod_nw_ecn")
            if version == .openFlow10 { try fieldIsThere(.nwECN) }
            let load = Action.load(value: UInt128(ecn), Subfield(.nwECN, offset: 0, width: 2))
            try set(.nwECN, UInt128(ecn), or: version == .openFlow10 ? load : action)
        case .setIPTTL(let ttl):
            try expect(.ip, for: "mod_nw_ttl")
            if version == .openFlow10 { try fieldIsThere(.nwTTL) }
            let load = Action.load(value: UInt128(ttl), Subfield(.nwTTL, offset: 0, width: 8))
            result.append(version == .openFlow10 ? load : action)
        case .setL4SrcPort(let port): try checkPort(port, action, [.tcpSrc, .udpSrc, .sctpSrc])
        case .setL4DstPort(let port): try checkPort(port, action, [.tcpDst, .udpDst, .sctpDst])
        case .setMPLSLabel(let label):
            try expect(.mpls, for: "set_mpls_label")
            try set(.mplsLabel, UInt128(label), or: action)
        case .setMPLSTC(let tc):
            try expect(.mpls, for: "set_mpls_tc")
            try set(.mplsTC, UInt128(tc), or: action)
        case .setMPLSTTL:
            try expect(.mpls, for: "set_mpls_ttl")
            result.append(action)
        case .setTunnelID(let id, let wide):
            try set(.tunID, UInt128(id), or: .setTunnelID(id, wide: wide || id > 0xffff_ffff))
        default: result.append(action)
        }
    }

    /// From OpenFlow 1.2 on there is only set_field, which asks for its prerequisite even in an action set.
    mutating func set(_ field: MatchField, _ value: UInt128, or legacy: Action) throws(FlowSyntaxError) {
        if version >= .openFlow12 {
            try fieldIsThere(field)
            result.append(.setField(field, value: value, mask: field.layout?.wireMask ?? 0))
        } else {
            result.append(legacy)
        }
    }

    mutating func checkPort(
        _ port: UInt16, _ action: Action, _ fields: [3 of MatchField]
    ) throws(FlowSyntaxError) {
        let proto = match.key[.nwProto]
        let index = proto == 6 ? 0 : proto == 17 ? 1 : proto == 132 ? 2 : nil
        let isIP = match.satisfies(.ip) && match.key[.nwFrag] & FragmentBits.later == 0
        if index == nil || !isIP { try expect(.tcp, for: "mod_tp_src and mod_tp_dst (or udp or sctp)") }
        if let index {
            try set(fields[index], UInt128(port), or: action)
        } else {
            result.append(action)
        }
    }

    // MARK: set_field and load

    mutating func noteTCI(_ field: MatchField, _ value: UInt128) {
        if field == .vlanTCI { match.key[.vlanTCI] = UInt64(truncatingIfNeeded: value & 0xffff) }
    }

    func fieldIsThere(_ field: MatchField) throws(FlowSyntaxError) {
        if !refuses { return }
        if !match.key.satisfies(field.prerequisite) {
            throw fail("\(field.name) needs \(field.prerequisite.explanation) in the match")
        }
        if field == .vlanVID, !hasVLAN {
            throw fail("vlan_vid needs \(FieldPrerequisite.vlan.explanation) in the match")
        }
    }

    mutating func checkSetField(
        _ field: MatchField, _ value: UInt128, _ mask: UInt128
    ) throws(FlowSyntaxError) {
        try fieldIsThere(field)
        if version >= .openFlow12, field == .dlVLAN || field == .dlVLANPCP {
            throw fail("\(field.name) is an OpenFlow 1.0 field: expected vlan_vid or vlan_pcp")
        }
        noteTCI(field, value)
        let isWhole = mask == field.layout?.wireMask
        if version >= .openFlow15 || version >= .openFlow12 && isWhole {
            if value & ~mask != 0 { throw fail("the value for \(field.name) has bits outside of its mask") }
            result.append(.setField(field, value: value, mask: mask))
        } else if version < .openFlow12, let legacy = legacy(field, value) {
            result += legacy
        } else {
            result += ActionChecker.loads(field, value, mask) ?? [.setField(field, value: value & mask, mask: mask)]
        }
    }

    /// The OpenFlow 1.0 action for a field. It has no mask: one that was written is lost, as in ovs-ofctl, and the whole
    /// value is set.
    func legacy(_ field: MatchField, _ value: UInt128) -> [Action]? {
        switch field {
        case .vlanTCI where value & 0x1000 != 0:
            [
                .setVLANVID(UInt16(value & 0xfff), pushIfAbsent: true),
                .setVLANPCP(UInt8((value >> 13) & 7), pushIfAbsent: true),
            ]
        case .vlanTCI: [.popVLAN]
        case .vlanVID: [.setVLANVID(UInt16(value & 0xfff), pushIfAbsent: true)]
        case .vlanPCP: [.setVLANPCP(UInt8(value & 7), pushIfAbsent: true)]
        case .ethSrc: [.setEthSrc(UInt64(truncatingIfNeeded: value))]
        case .ethDst: [.setEthDst(UInt64(truncatingIfNeeded: value))]
        case .ipv4Src: [.setIPv4Src(UInt32(truncatingIfNeeded: value))]
        case .ipv4Dst: [.setIPv4Dst(UInt32(truncatingIfNeeded: value))]
        case .nwTOS: [.setIPDSCP(UInt8(value & 0xfc))]
        case .ipDSCP: [.setIPDSCP(UInt8(value & 0x3f) << 2)]
        case .nwECN: [.load(value: value & 3, Subfield(.nwECN, offset: 0, width: 2))]
        case .tcpSrc, .udpSrc: [.setL4SrcPort(UInt16(truncatingIfNeeded: value))]
        case .tcpDst, .udpDst: [.setL4DstPort(UInt16(truncatingIfNeeded: value))]
        default: nil
        }
    }

    /// One `load` for each run of ones in the mask, of at most 64 bits; nil if the field has no Nicira name.
    static func loads(_ field: MatchField, _ value: UInt128, _ mask: UInt128) -> [Action]? {
        if field.isExperimenter { return nil }
        let width = field.width
        var actions: [Action] = []
        var bit = 0
        while bit < width {
            if mask >> UInt128(bit) & 1 == 0 {
                bit += 1
                continue
            }
            var end = bit
            while end < width, end < bit + 64, mask >> UInt128(end) & 1 == 1 { end += 1 }
            let part = (value >> UInt128(bit)) & FieldLayout.ones(end - bit)
            actions.append(.load(value: part, Subfield(field, offset: bit, width: end - bit)))
            bit = end
        }
        return actions
    }

    mutating func checkLoad(_ value: UInt128, _ subfield: Subfield) throws(FlowSyntaxError) {
        try fieldIsThere(subfield.field)
        let shift = UInt128(subfield.offset)
        noteTCI(subfield.field, value << shift)
        if version >= .openFlow15 {
            let mask = FieldLayout.ones(subfield.width) << shift
            result.append(.setField(subfield.field, value: value << shift, mask: mask))
        } else {
            result.append(.load(value: value, subfield))
        }
    }
}
