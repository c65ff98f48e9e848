extension Action {
    /// OpenFlow executes instructions in a fixed order, in which they must be written too.
    var instructionRank: Int {
        switch self {
        case .meter: 0
        case .clearActions: 2
        case .writeActions: 3
        case .writeMetadata: 4
        case .gotoTable: 5
        default: 1
        }
    }

    static let instructionNames = [
        "meter", "apply_actions", "clear_actions", "write_actions", "write_metadata", "goto_table",
    ]

    /// The field that an action writes, if it says so in OpenFlow's own way.
    var destination: MatchField? {
        switch self {
        case .setField(let field, _, _): field
        case .load(_, let subfield), .move(_, let subfield): subfield.field
        default: nil
        }
    }

    /// What OpenFlow allows in an action set.
    var isAllowedInActionSet: Bool {
        switch self {
        case .output, .group, .resubmit, .conntrack, .conntrackClear, .popVLAN, .popMPLS, .pushMPLS, .pushVLAN,
            .decTTL, .decMPLSTTL, .setField, .load, .move, .setEthDst, .setEthSrc, .setIPDSCP, .setIPECN, .setIPTTL,
            .setIPv4Dst, .setIPv4Src, .setL4DstPort, .setL4SrcPort, .setMPLSLabel, .setMPLSTC, .setMPLSTTL, .setQueue,
            .setTunnelID, .setVLANPCP, .setVLANVID:
            true
        case .controller(let parameters): parameters.isPlainOutput
        default: false
        }
    }
}

extension ControllerParameters {
    /// Whether it says no more than `CONTROLLER:n` does.
    var isPlainOutput: Bool { reason == .action && controllerID == 0 && userdata.isEmpty && !pause && meterID == nil }
}

extension ActionParser {
    /// Order of instructions, and what may stand inside of what.
    func verify(
        _ action: Action, after previous: Action?, _ item: KeyValue, _ allowsInstructions: Bool, _ enclosure: Enclosure
    ) throws(FlowSyntaxError) {
        try verifyNesting(action, item, enclosure)
        let rank = action.instructionRank
        if let last = previous?.instructionRank, last == 1 ? rank < last : rank <= last {
            let name = Action.instructionNames[rank]
            if rank == last { throw FlowSyntaxError(item.key, "duplicate \(name) instruction not allowed") }
            throw FlowSyntaxError(
                item.key,
                "invalid instruction ordering: \(name) must appear before \(Action.instructionNames[last]), "
                    + "for OpenFlow 1.1+ compatibility")
        }
        if !allowsInstructions, rank > 1 {
            throw FlowSyntaxError(item.key, "\(Action.instructionNames[rank]) instruction not allowed here")
        }
    }

    private func verifyNesting(_ action: Action, _ item: KeyValue, _ enclosure: Enclosure) throws(FlowSyntaxError) {
        let destination = action.destination
        if let destination, destination.isConntrackOnly, enclosure != .conntrack {
            throw FlowSyntaxError(item.key, "cannot set CT fields outside of ct action")
        }
        switch enclosure {
        case .none: return
        case .conntrack:
            guard let destination else {
                throw FlowSyntaxError(item.key, "ct action doesn't support nested action \(item.key.echoed)")
            }
            if !destination.isConntrackOnly {
                throw FlowSyntaxError(item.key, "ct action doesn't support nested modification of \(destination.name)")
            }
        case .writeActions:
            // OpenFlow 1.0 has no action sets: what is in this one will not matter.
            if !action.isAllowedInActionSet, context.version > .openFlow10 {
                throw FlowSyntaxError(item.key, "\(item.key.echoed) is not allowed in an action set (write_actions)")
            }
        case .clone:
            if case .meter = action { throw FlowSyntaxError(item.key, "clone doesn't support nested action meter") }
        }
    }

    /// A rule with `conjunction` has nothing else, except notes.
    func verifyConjunctions() throws(FlowSyntaxError) {
        func isConjunction(_ action: Action) -> Bool { if case .conjunction = action { true } else { false } }
        guard actions.contains(where: isConjunction) else { return }
        for (i, action) in actions.enumerated() {
            switch action {
            case .conjunction, .note: continue
            default:
                throw FlowSyntaxError(
                    at: positions[i],
                    "\"conjunction\" actions may be used along with \"note\" but not any other kind of action")
            }
        }
    }
}
