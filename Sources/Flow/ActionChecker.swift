import Base

/// Tests actions against the match that leads to them, and turns them into what an OpenFlow version makes of them.
///
/// It walks the list while keeping in mind what earlier actions did to the packet: a pushed tag makes `vlan_vid`
/// writable, `pop_mpls` decides what follows. From OpenFlow 1.1 on an action that cannot apply to what the match
/// takes is refused; OpenFlow 1.0 lets it pass, and it does nothing on packets that it does not fit.
struct ActionChecker {
    private var match: Match
    private let table: UInt8?
    private let context: FlowContext
    /// What an action set will meet is unknown, so inside of `write_actions` consistency is not asked for.
    private var asksForConsistency = true
    private var column = 1
    private var result: [Action] = []
    /// What is printed was checked when it came in: nothing is refused then. Nor is anything in a bucket or in
    /// packet-out, where the packet is not known beforehand.
    private let refuses: Bool
    /// Whether earlier actions count. ovs-ofctl looks at each action of a bucket by itself: each `mod_vlan_vid` there
    /// pushes a tag from OpenFlow 1.1 on.
    private let remembers: Bool

    init(_ match: Match, table: UInt8?, context: FlowContext, refuses: Bool = true, remembers: Bool = true) {
        self.match = match
        self.table = table
        self.context = context
        self.refuses = refuses
        self.remembers = remembers
    }

    private var version: OpenFlowVersion { context.version }

    mutating func check(_ actions: [Action], at positions: [Int]) throws(FlowSyntaxError) -> [Action] {
        result = []
        result.reserveCapacity(actions.count)
        for (i, action) in actions.enumerated() {
            if i < positions.count { column = positions[i] }
            try check(action)
            if !remembers { match = Match() }
        }
        return result
    }

    /// A nested list meets the same packet, and what it does to it is not seen behind it.
    private func nested(_ actions: [Action], isActionSet: Bool = false) throws(FlowSyntaxError) -> [Action] {
        var inner = self
        if isActionSet { inner.asksForConsistency = false }
        return try inner.check(actions, at: [])
    }

    private func fail(_ message: String) -> FlowSyntaxError { FlowSyntaxError(at: column, message) }

    private func refuse(_ message: String) throws(FlowSyntaxError) {
        if refuses { throw fail(message) }
    }

    /// Asks for a prerequisite as OpenFlow 1.1 and later do.
    private func expect(_ prerequisite: FieldPrerequisite, for name: String) throws(FlowSyntaxError) {
        if refuses, version > .openFlow10, asksForConsistency, !match.satisfies(prerequisite) {
            throw fail("\(name) needs \(prerequisite.explanation) in the match")
        }
    }

    private func readable(_ subfield: Subfield) throws(FlowSyntaxError) {
        let prerequisite = subfield.field.prerequisite
        if refuses, !match.satisfies(prerequisite) {
            throw fail("\(subfield.field.name) needs \(prerequisite.explanation) in the match")
        }
    }

    private func writable(_ subfield: Subfield) throws(FlowSyntaxError) {
        try readable(subfield)
        if !subfield.field.isWritable { try refuse("\(subfield.field.name) is not writable") }
    }

    private func outputPort(_ port: PortNumber) throws(FlowSyntaxError) {
        if port == .none || port == .unset || port >= .max && port < .unset {
            try refuse("cannot output to port \(Ports.format(port, FlowContext()))")
        }
    }

    private var hasVLAN: Bool { match.key[.vlanTCI] & 0x1000 != 0 }

    // MARK: One action

    private mutating func check(_ action: Action) throws(FlowSyntaxError) {
        switch action {
        case .setVLANVID, .setVLANPCP, .popVLAN, .pushVLAN: try checkVLAN(action)
        case .setEthSrc, .setEthDst, .setIPv4Src, .setIPv4Dst, .setIPDSCP, .setIPECN, .setIPTTL, .setL4SrcPort,
            .setL4DstPort, .setMPLSLabel, .setMPLSTC, .setMPLSTTL, .setTunnelID:
            try checkSetter(action)
        case .setField(let field, let value, let mask): try checkSetField(action, field, value, mask)
        case .load(let value, let subfield): try checkLoad(value, subfield)
        case .output(let port):
            try outputPort(port)
            result.append(action)
        case .outputTruncated(let port, _):
            try outputPort(port)
            result.append(action)
        case .enqueue(let port, let queue):
            if port >= .max, port != .inPort, port != .local { try refuse("cannot enqueue to a reserved port") }
            if version == .openFlow10 {
                result.append(action)
            } else {
                result += [.setQueue(queue), .output(port), .popQueue]
            }
        case .pushMPLS(let type):
            if match.key[.packetType] != 0 { try expect(.ethernet, for: "push_mpls") }
            match.key[.ethType] = UInt64(type)
            match.key[.nwProto] = 0
            result.append(action)
        case .popMPLS(let type):
            try expect(.mpls, for: "pop_mpls")
            match.key[.ethType] = UInt64(type)
            result.append(action)
        case .decTTL:
            try expect(.ip, for: "dec_ttl")
            result.append(action)
        case .decMPLSTTL:
            try expect(.mpls, for: "dec_mpls_ttl")
            result.append(action)
        default: try checkOther(action)
        }
    }

    private mutating func checkOther(_ action: Action) throws(FlowSyntaxError) {
        switch action {
        case .outputRegister(let subfield), .push(let subfield): try readable(subfield)
        case .pop(let subfield): try writable(subfield)
        case .move(let source, let destination):
            try readable(source)
            try writable(destination)
        case .multipath(let parameters): try writable(parameters.destination)
        case .bundle(let parameters):
            if let destination = parameters.destination { try writable(destination) }
            for member in parameters.members where member != .none {
                if member == .controller { try refuse("the controller cannot be a member of a bundle") }
                try outputPort(member)
            }
        case .finTimeout:
            if match.key[.nwProto] != 6 { try expect(.tcp, for: "fin_timeout") }
        case .resubmit(_, _, true): if !match.satisfies(.conntrack) { try expectConntrack() }
        case .learn(let parameters): try checkLearn(parameters)
        case .conntrack(let parameters):
            result.append(.conntrack(try checkConntrack(parameters)))
            return
        case .clone(let actions):
            result.append(.clone(try nested(actions)))
            return
        case .writeActions(let actions):
            let checked = try nested(actions, isActionSet: true)
            // OpenFlow 1.0 has no instructions: what it cannot say is left out, as ovs-ofctl does.
            if version > .openFlow10 { result.append(.writeActions(checked)) }
            return
        case .clearActions: if version == .openFlow10 { return }
        case .gotoTable(let next):
            if let table, next <= table { try refuse("goto_table:\(next) must lead to a later table than \(table)") }
            if next == 255 { try refuse("table 255 does not exist") }
            if version == .openFlow10 {
                result.append(.resubmit(inPort: nil, table: next, conntrack: false))
                return
            }
        case .group(let id):
            if let exists = context.groupExists, !exists(id) { try refuse("group \(id) does not exist") }
        case .meter(let id):
            if id == 0 || id > 0xffff_0000 { try refuse("meter \(id) is not a valid meter number") }
            if let exists = context.meterExists, !exists(id) { try refuse("meter \(id) does not exist") }
        case .note(let bytes):
            // The action's length is a multiple of eight, ten of which its header takes.
            let padded = (bytes.count + 10 + 7) / 8 * 8 - 10
            result.append(.note(bytes + Array(repeating: 0, count: padded - bytes.count)))
            return
        default: break
        }
        result.append(action)
    }

    private func expectConntrack() throws(FlowSyntaxError) {
        try refuse("resubmit(...,ct) needs \(FieldPrerequisite.conntrack.explanation) in the match")
    }

    // MARK: VLAN

    private mutating func checkVLAN(_ action: Action) throws(FlowSyntaxError) {
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

    private mutating func checkSetter(_ action: Action) throws(FlowSyntaxError) {
        switch action {
        case .setEthSrc(let address): set(.ethSrc, UInt128(address), or: action)
        case .setEthDst(let address): set(.ethDst, UInt128(address), or: action)
        case .setIPv4Src(let address):
            try expect(.ipv4, for: "mod_nw_src")
            set(.ipv4Src, UInt128(address), or: action)
        case .setIPv4Dst(let address):
            try expect(.ipv4, for: "mod_nw_dst")
            set(.ipv4Dst, UInt128(address), or: action)
        case .setIPDSCP(let tos):
            try expect(.ip, for: "mod_nw_tos")
            set(.ipDSCP, UInt128(tos >> 2), or: action)
        case .setIPECN(let ecn):
            try expect(.ip, for: "mod_nw_ecn")
            let load = Action.load(value: UInt128(ecn), Subfield(.nwECN, offset: 0, width: 2))
            set(.nwECN, UInt128(ecn), or: version == .openFlow10 ? load : action)
        case .setIPTTL(let ttl):
            try expect(.ip, for: "mod_nw_ttl")
            let load = Action.load(value: UInt128(ttl), Subfield(.nwTTL, offset: 0, width: 8))
            result.append(version == .openFlow10 ? load : action)
        case .setL4SrcPort(let port): try checkPort(port, action, [.tcpSrc, .udpSrc, .sctpSrc])
        case .setL4DstPort(let port): try checkPort(port, action, [.tcpDst, .udpDst, .sctpDst])
        case .setMPLSLabel(let label):
            try expect(.mpls, for: "set_mpls_label")
            set(.mplsLabel, UInt128(label), or: action)
        case .setMPLSTC(let tc):
            try expect(.mpls, for: "set_mpls_tc")
            set(.mplsTC, UInt128(tc), or: action)
        case .setMPLSTTL:
            try expect(.mpls, for: "set_mpls_ttl")
            result.append(action)
        case .setTunnelID(let id, let wide):
            set(.tunID, UInt128(id), or: .setTunnelID(id, wide: wide || id > 0xffff_ffff))
        default: result.append(action)
        }
    }

    /// From OpenFlow 1.2 on there is only set_field.
    private mutating func set(_ field: MatchField, _ value: UInt128, or legacy: Action) {
        if version >= .openFlow12 {
            result.append(.setField(field, value: value, mask: field.layout?.wireMask ?? 0))
        } else {
            result.append(legacy)
        }
    }

    private mutating func checkPort(
        _ port: UInt16, _ action: Action, _ fields: [3 of MatchField]
    ) throws(FlowSyntaxError) {
        let proto = match.key[.nwProto]
        let index = proto == 6 ? 0 : proto == 17 ? 1 : proto == 132 ? 2 : nil
        let isIP = match.satisfies(.ip) && match.key[.nwFrag] & FragmentBits.later == 0
        if index == nil || !isIP { try expect(.tcp, for: "mod_tp_src and mod_tp_dst (or udp or sctp)") }
        if let index {
            set(fields[index], UInt128(port), or: action)
        } else {
            result.append(action)
        }
    }

    // MARK: set_field and load

    private mutating func noteTCI(_ field: MatchField, _ value: UInt128) {
        if field == .vlanTCI { match.key[.vlanTCI] = UInt64(truncatingIfNeeded: value & 0xffff) }
    }

    private func fieldIsThere(_ field: MatchField) throws(FlowSyntaxError) {
        if !refuses { return }
        if !match.key.satisfies(field.prerequisite) {
            throw fail("\(field.name) needs \(field.prerequisite.explanation) in the match")
        }
        if field == .vlanVID, !hasVLAN {
            throw fail("vlan_vid needs \(FieldPrerequisite.vlan.explanation) in the match")
        }
    }

    private mutating func checkSetField(
        _ action: Action, _ field: MatchField, _ value: UInt128, _ mask: UInt128
    ) throws(FlowSyntaxError) {
        try fieldIsThere(field)
        noteTCI(field, value)
        let isWhole = mask == field.layout?.wireMask
        if version >= .openFlow15 || version >= .openFlow12 && isWhole {
            result.append(action)
        } else if version < .openFlow12, let legacy = legacy(field, value) {
            result += legacy
        } else {
            result += ActionChecker.loads(field, value, mask) ?? [action]
        }
    }

    /// The OpenFlow 1.0 action for a field. It has no mask: one that was written is lost, as in ovs-ofctl.
    private func legacy(_ field: MatchField, _ value: UInt128) -> [Action]? {
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

    private mutating func checkLoad(_ value: UInt128, _ subfield: Subfield) throws(FlowSyntaxError) {
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

    // MARK: Others with rules of their own

    private func checkConntrack(_ parameters: ConntrackParameters) throws(FlowSyntaxError) -> ConntrackParameters {
        let type = match.key.effectiveEthType
        let isIP = type == 0x0800 || type == 0x86dd
        if !isIP { try refuse("ct needs ip or ipv6 in the match") }
        if match.key[.ctState] & 0x10 != 0, parameters.commit { try refuse("cannot commit what matched ct_state=+inv") }
        let proto = match.key[.nwProto]
        if parameters.alg == "ftp", proto != 6 { try refuse("alg=ftp needs tcp or tcp6 in the match") }
        if parameters.alg == "tftp", proto != 17 { try refuse("alg=tftp needs udp or udp6 in the match") }
        if case .field(let subfield) = parameters.zone { try readable(subfield) }
        if let nat = parameters.nat, nat.addresses != nil, nat.isIPv6 != (type == 0x86dd) {
            try refuse("the addresses of nat are of another family than the match")
        }
        var parameters = parameters
        parameters.actions = try nested(parameters.actions)
        return parameters
    }

    private func checkLearn(_ parameters: LearnParameters) throws(FlowSyntaxError) {
        if !refuses { return }
        var learned = Match()
        for spec in parameters.specs {
            switch spec {
            case .match(let source, let destination):
                if case .field(let subfield) = source { try readable(subfield) }
                try require(destination.field, in: learned)
                if case .immediate(let value) = source {
                    let shift = UInt128(destination.offset)
                    let mask = destination.isWhole ? ~0 : FieldLayout.ones(destination.width) << shift
                    learned.set(destination.field, value << shift, mask: mask)
                }
            case .load(let source, let destination):
                if case .field(let subfield) = source { try readable(subfield) }
                try require(destination.field, in: learned)
                if !destination.field.isWritable { throw fail("\(destination.field.name) is not writable") }
            case .output(let source): try readable(source)
            }
        }
    }

    private func require(_ field: MatchField, in learned: Match) throws(FlowSyntaxError) {
        if !learned.satisfies(field.prerequisite) {
            throw fail("\(field.name) needs \(field.prerequisite.explanation) before it in learn(...)")
        }
    }
}

extension Action {
    /// Actions as a rule of that match shows them in an OpenFlow version.
    static func encoded(_ actions: [Action], match: Match, context: FlowContext) -> [Action] {
        var checker = ActionChecker(match, table: nil, context: context, refuses: false)
        return (try? checker.check(actions, at: [])) ?? actions
    }

    /// Actions of a bucket or of packet-out, whose packet is not known, in an OpenFlow version.
    static func encodedWithoutMatch(_ actions: [Action], context: FlowContext) -> [Action] {
        var checker = ActionChecker(Match(), table: nil, context: context, refuses: false, remembers: false)
        return (try? checker.check(actions, at: [])) ?? actions
    }
}
