import Base

/// Tests actions against the match that leads to them, and turns them into what an OpenFlow version makes of them.
///
/// It walks the list while keeping in mind what earlier actions did to the packet: a pushed tag makes `vlan_vid`
/// writable, `pop_mpls` decides what follows. From OpenFlow 1.1 on an action that cannot apply to what the match
/// takes is refused; OpenFlow 1.0 lets it pass, and it does nothing on packets that it does not fit.
struct ActionChecker {
    var match: Match
    let table: UInt8?
    let context: FlowContext
    /// What an action set will meet is unknown, so inside of `write_actions` consistency is not asked for.
    var asksForConsistency = true
    var column = 1
    /// Columns of the actions that are still to be looked at.
    private var upcoming: ArraySlice<Int> = []
    var result: [Action] = []
    /// What is printed was checked when it came in: nothing is refused then. Nor is anything in a bucket or in
    /// packet-out, where the packet is not known beforehand.
    let refuses: Bool
    /// Whether earlier actions count. ovs-ofctl looks at each action of a bucket by itself: each `mod_vlan_vid` there
    /// pushes a tag from OpenFlow 1.1 on.
    let remembers: Bool

    init(_ match: Match, table: UInt8?, context: FlowContext, refuses: Bool = true, remembers: Bool = true) {
        self.match = match
        self.table = table
        self.context = context
        self.refuses = refuses
        self.remembers = remembers
    }

    /// For buckets and packet-out.
    init(withoutMatch context: FlowContext) {
        self.init(Match(), table: nil, context: context, refuses: false, remembers: false)
    }

    var version: OpenFlowVersion { context.version }

    /// `positions` are the columns of the actions, those inside of an action behind it; without them, errors name the
    /// column of what encloses the list.
    mutating func check(_ actions: [Action], at positions: [Int]) throws(FlowSyntaxError) -> [Action] {
        upcoming = positions[...]
        return try check(actions)
    }

    private mutating func check(_ actions: [Action]) throws(FlowSyntaxError) -> [Action] {
        result = []
        result.reserveCapacity(actions.count)
        for action in actions {
            if let position = upcoming.popFirst() { column = position }
            try check(action)
            if !remembers { match = Match() }
        }
        return result
    }

    /// A nested list meets the same packet, and what it does to it is not seen behind it.
    mutating func nested(_ actions: [Action], isActionSet: Bool = false) throws(FlowSyntaxError) -> [Action] {
        var inner = self
        if isActionSet { inner.asksForConsistency = false }
        let checked = try inner.check(actions)
        upcoming = inner.upcoming
        return checked
    }

    func fail(_ message: String) -> FlowSyntaxError { FlowSyntaxError(at: column, message) }

    func refuse(_ message: String) throws(FlowSyntaxError) {
        if refuses { throw fail(message) }
    }

    /// Asks for a prerequisite as OpenFlow 1.1 and later do.
    func expect(_ prerequisite: FieldPrerequisite, for name: String) throws(FlowSyntaxError) {
        if refuses, version > .openFlow10, asksForConsistency, !match.satisfies(prerequisite) {
            throw fail("\(name) needs \(prerequisite.explanation) in the match")
        }
    }

    func readable(_ subfield: Subfield) throws(FlowSyntaxError) {
        let prerequisite = subfield.field.prerequisite
        if refuses, !match.satisfies(prerequisite) {
            throw fail("\(subfield.field.name) needs \(prerequisite.explanation) in the match")
        }
    }

    func writable(_ subfield: Subfield) throws(FlowSyntaxError) {
        try readable(subfield)
        if !subfield.field.isWritable { try refuse("\(subfield.field.name) is not writable") }
    }

    func outputPort(_ port: PortNumber) throws(FlowSyntaxError) {
        if port == .none || port == .unset || port >= .max && port < .unset {
            try refuse("cannot output to port \(Ports.format(port, FlowContext()))")
        }
    }

    var hasVLAN: Bool { match.key[.vlanTCI] & 0x1000 != 0 }

    // MARK: One action

    mutating func check(_ action: Action) throws(FlowSyntaxError) {
        switch action {
        case .setVLANVID, .setVLANPCP, .popVLAN, .pushVLAN: try checkVLAN(action)
        case .setEthSrc, .setEthDst, .setIPv4Src, .setIPv4Dst, .setIPDSCP, .setIPECN, .setIPTTL, .setL4SrcPort,
            .setL4DstPort, .setMPLSLabel, .setMPLSTC, .setMPLSTTL, .setTunnelID:
            try checkSetter(action)
        case .setField(let field, let value, let mask): try checkSetField(field, value, mask)
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

    mutating func checkOther(_ action: Action) throws(FlowSyntaxError) {
        switch action {
        case .outputRegister(let subfield), .push(let subfield): try readable(subfield)
        case .pop(let subfield): try writable(subfield)
        case .move(let source, let destination):
            try readable(source)
            try writable(destination)
        case .multipath(let parameters): try writable(parameters.destination)
        case .bundle(let parameters):
            if let destination = parameters.destination {
                try writable(destination)
                if destination.width < 16 { try refuse("bundle_load needs a destination of at least 16 bits") }
            }
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
            if version > .openFlow10, !checked.isEmpty { result.append(.writeActions(checked)) }
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

    func expectConntrack() throws(FlowSyntaxError) {
        try refuse("resubmit(...,ct) needs \(FieldPrerequisite.conntrack.explanation) in the match")
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
        var checker = ActionChecker(withoutMatch: context)
        return (try? checker.check(actions, at: [])) ?? actions
    }
}
