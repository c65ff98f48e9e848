import Base

/// The words that begin an action. Case does not matter, as in ovs-ofctl.
private enum ActionWord: Sendable {
    case output, group, controller, enqueue, bundle, bundleLoad, drop
    case resubmit, gotoTable, clone, exit, conjunction, writeActions, clearActions, writeMetadata, meter, applyActions
    case setField, load, move, push, pop, deleteField
    case modVLANVID, modVLANPCP, setVLANVID, setVLANPCP, popVLAN, pushVLAN
    case ethSrc, ethDst, ipv4Src, ipv4Dst, ipTOS, ipECN, ipTTL, l4Src, l4Dst
    case mplsLabel, mplsTC, mplsTTL, decMPLSTTL, pushMPLS, popMPLS, tunnel, tunnel64
    case decTTL, setQueue, popQueue, multipath, checkPacketLarger, learn, finTimeout, note
    case conntrack, conntrackClear, nat, sample
    case unsupported

    static let table = NameTable<ActionWord>(
        [
            ("output", .output), ("output_reg", .output), ("group", .group), ("controller", .controller),
            ("enqueue", .enqueue), ("bundle", .bundle), ("bundle_load", .bundleLoad), ("drop", .drop),
            ("resubmit", .resubmit), ("goto_table", .gotoTable), ("clone", .clone), ("exit", .exit),
            ("conjunction", .conjunction), ("write_actions", .writeActions), ("clear_actions", .clearActions),
            ("write_metadata", .writeMetadata), ("meter", .meter), ("apply_actions", .applyActions),
            ("set_field", .setField), ("load", .load), ("move", .move), ("push", .push), ("pop", .pop),
            ("delete_field", .deleteField), ("mod_vlan_vid", .modVLANVID), ("mod_vlan_pcp", .modVLANPCP),
            ("set_vlan_vid", .setVLANVID), ("set_vlan_pcp", .setVLANPCP), ("strip_vlan", .popVLAN),
            ("pop_vlan", .popVLAN), ("push_vlan", .pushVLAN), ("mod_dl_src", .ethSrc), ("mod_dl_dst", .ethDst),
            ("mod_nw_src", .ipv4Src), ("mod_nw_dst", .ipv4Dst), ("mod_nw_tos", .ipTOS), ("mod_nw_ecn", .ipECN),
            ("mod_nw_ttl", .ipTTL), ("set_nw_ttl", .ipTTL), ("mod_tp_src", .l4Src), ("mod_tp_dst", .l4Dst),
            ("set_mpls_label", .mplsLabel), ("set_mpls_tc", .mplsTC), ("set_mpls_ttl", .mplsTTL),
            ("dec_mpls_ttl", .decMPLSTTL), ("push_mpls", .pushMPLS), ("pop_mpls", .popMPLS), ("set_tunnel", .tunnel),
            ("set_tunnel64", .tunnel64), ("dec_ttl", .decTTL), ("set_queue", .setQueue), ("pop_queue", .popQueue),
            ("multipath", .multipath), ("check_pkt_larger", .checkPacketLarger), ("learn", .learn),
            ("fin_timeout", .finTimeout), ("note", .note), ("ct", .conntrack), ("ct_clear", .conntrackClear),
            ("nat", .nat), ("sample", .sample), ("encap", .unsupported), ("decap", .unsupported),
            ("dec_nsh_ttl", .unsupported), ("debug_recirc", .unsupported), ("debug_slow", .unsupported),
            ("unroll_xlate", .unsupported), ("output_trunc", .unsupported),
        ], foldsCase: true)
}

/// Reads action lists in the syntax of ovs-actions(7).
///
/// The result says what was written; `ActionChecker` then tests it against the match and turns it into what the
/// chosen OpenFlow version makes of it.
struct ActionParser {
    /// What encloses an action list.
    enum Enclosure { case none, clone, writeActions, conntrack }

    static let maximumDepth = 100

    let context: FlowContext
    private(set) var actions: [Action] = []
    /// Column of each action of this list, for errors that are found later.
    private(set) var positions: [Int] = []
    /// The same with the actions inside of `clone` and its like, each list behind the action that it belongs to: the order
    /// in which `ActionChecker` meets them.
    private(set) var deepPositions: [Int] = []
    private var innerPositions: [Int] = []
    private var depth = 0
    private var drop: Text?

    init(_ context: FlowContext) { self.context = context }

    private init(_ context: FlowContext, depth: Int) {
        self.context = context
        self.depth = depth
    }

    /// The actions of a flow: instructions may stand among them.
    mutating func parseInstructions(_ text: Text) throws(FlowSyntaxError) {
        try parseList(text, allowsInstructions: true, in: .none)
    }

    /// The actions of a bucket or of packet-out: instructions are refused.
    mutating func parseActions(_ text: Text) throws(FlowSyntaxError) {
        try parseList(text, allowsInstructions: false, in: .none)
    }

    mutating func nested(_ text: Text, in enclosure: Enclosure) throws(FlowSyntaxError) -> [Action] {
        guard depth < ActionParser.maximumDepth else { throw FlowSyntaxError(text, "actions are nested too deeply") }
        var parser = ActionParser(context, depth: depth + 1)
        try parser.parseList(text, allowsInstructions: false, in: enclosure)
        innerPositions += parser.deepPositions
        return parser.actions
    }

    private mutating func parseList(
        _ text: Text, allowsInstructions: Bool, in enclosure: Enclosure
    ) throws(FlowSyntaxError) {
        var rest = text
        while let item = rest.nextKeyValue() {
            let count = actions.count
            if let word = ActionWord.table.find(item.key) {
                if case .drop = word { drop = item.key }
                try parse(word, item)
            } else if let port = try Ports.lookUp(item.key, context) {
                actions.append(ActionParser.output(to: port))
            } else {
                throw FlowSyntaxError(item.key, "unknown action \(item.key.echoed)")
            }
            while positions.count < actions.count {
                positions.append(item.key.column)
                deepPositions.append(item.key.column)
            }
            deepPositions += innerPositions
            innerPositions.removeAll()
            if count < actions.count {
                try verify(
                    actions[count], after: count > 0 ? actions[count - 1] : nil, item, allowsInstructions, enclosure)
            }
        }
        if let drop, !actions.isEmpty {
            throw FlowSyntaxError(drop, "\"drop\" must not be accompanied by any other action or instruction")
        }
        try verifyConjunctions()
    }

    static func output(to port: PortNumber) -> Action {
        port == .controller ? .controller(ControllerParameters()) : .output(port)
    }

    // One case for each word; the long ones are in the extensions.
    private mutating func parse(_ word: ActionWord, _ item: KeyValue) throws(FlowSyntaxError) {
        let value = item.value
        switch word {
        case .drop: return
        case .output: actions.append(try parseOutput(value))
        case .group: actions.append(.group(try value.uint32("group")))
        case .controller: actions.append(try parseController(value))
        case .enqueue: actions.append(try parseEnqueue(value))
        case .bundle: actions.append(try parseBundle(value, loads: false))
        case .bundleLoad: actions.append(try parseBundle(value, loads: true))
        case .resubmit: actions.append(try parseResubmit(value))
        case .gotoTable: actions.append(.gotoTable(try value.uint8("table")))
        case .clone: actions.append(.clone(try nested(value, in: .clone)))
        case .exit: actions.append(.exit)
        case .conjunction: actions.append(try parseConjunction(value))
        case .writeActions: actions.append(.writeActions(try nested(value, in: .writeActions)))
        case .clearActions: actions.append(.clearActions)
        case .writeMetadata: actions.append(try parseWriteMetadata(value))
        case .meter:
            if context.version < .openFlow13 { throw FlowSyntaxError(item.key, "meter needs OpenFlow13 or later") }
            actions.append(.meter(try value.uint32("meter")))
        case .applyActions:
            throw FlowSyntaxError(item.key, "apply_actions is the default: write its actions themselves")
        case .decTTL: actions.append(.decTTL(controllers: try parseControllerIDs(value)))
        case .setQueue: actions.append(.setQueue(try value.uint32("queue")))
        case .popQueue: actions.append(.popQueue)
        case .multipath: actions.append(try parseMultipath(value))
        case .checkPacketLarger: actions.append(try parseCheckPacketLarger(value))
        case .learn: actions.append(.learn(try parseLearn(value)))
        case .finTimeout: actions.append(try parseFinTimeout(value))
        case .note: actions.append(try parseNote(value))
        case .conntrack: actions.append(.conntrack(try parseConntrack(value)))
        case .conntrackClear: actions.append(.conntrackClear)
        case .nat: throw FlowSyntaxError(item.key, "cannot have a nat action outside of ct")
        case .sample: actions.append(.sample(try parseSample(value)))
        case .unsupported: throw FlowSyntaxError(item.key, "action \(item.key.echoed) is not one that Weft has")
        default: actions.append(try parseFieldAction(word, item))
        }
    }

    private func parseFieldAction(_ word: ActionWord, _ item: KeyValue) throws(FlowSyntaxError) -> Action {
        let value = item.value
        switch word {
        case .setField: return try parseSetField(value)
        case .load: return try parseLoad(value)
        case .move: return try parseMove(value)
        case .push: return .push(try Subfield.parse(value, context))
        case .pop: return .pop(try Subfield.parse(value, context))
        case .deleteField: return try parseDeleteField(value)
        case .modVLANVID, .setVLANVID:
            let vid = try value.number("VLAN VID", maximum: 0xfff)
            if case .modVLANVID = word { return .setVLANVID(UInt16(vid), pushIfAbsent: true) }
            return .setVLANVID(UInt16(vid), pushIfAbsent: false)
        case .modVLANPCP, .setVLANPCP:
            let pcp = try value.number("VLAN PCP", maximum: 7)
            if case .modVLANPCP = word { return .setVLANPCP(UInt8(pcp), pushIfAbsent: true) }
            return .setVLANPCP(UInt8(pcp), pushIfAbsent: false)
        case .popVLAN: return .popVLAN
        case .pushVLAN: return try parsePushVLAN(item)
        case .ethSrc: return .setEthSrc(try parseEthernet(value))
        case .ethDst: return .setEthDst(try parseEthernet(value))
        case .ipv4Src: return .setIPv4Src(try parseIPv4(value))
        case .ipv4Dst: return .setIPv4Dst(try parseIPv4(value))
        case .ipTOS:
            let tos = try value.uint8("TOS")
            if tos & 3 != 0 {
                throw FlowSyntaxError(value, "\(value.echoed): not a valid TOS: expected a multiple of 4")
            }
            return .setIPDSCP(tos)
        case .ipECN: return .setIPECN(UInt8(try value.number("ECN", maximum: 3)))
        case .ipTTL: return .setIPTTL(try value.uint8("TTL"))
        case .l4Src: return .setL4SrcPort(try value.uint16("source port"))
        case .l4Dst: return .setL4DstPort(try value.uint16("destination port"))
        case .mplsLabel: return .setMPLSLabel(UInt32(try value.number("MPLS label", maximum: 0xfffff)))
        case .mplsTC: return .setMPLSTC(UInt8(try value.number("MPLS TC", maximum: 7)))
        case .mplsTTL: return .setMPLSTTL(try value.uint8("MPLS TTL"))
        case .decMPLSTTL: return .decMPLSTTL
        case .pushMPLS: return .pushMPLS(try value.uint16("Ethernet type of push_mpls"))
        case .popMPLS: return .popMPLS(try value.uint16("Ethernet type of pop_mpls"))
        case .tunnel: return .setTunnelID(try value.uint64("tunnel id"), wide: false)
        default: return .setTunnelID(try value.uint64("tunnel id"), wide: true)
        }
    }
}
