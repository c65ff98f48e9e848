import Base

/// What the words before the actions can be, besides names of fields.
private enum FlowWord: Sendable {
    /// `tcp` and its like: an Ethernet type and, if not 0, an IP protocol.
    case packet(UInt16, UInt8)
    case ethernet
    case flag(FlowSpec.Flags)
    case table, outPort, outGroup, priority, idleTimeout, hardTimeout, importance, cookie
    case actions
    /// Read and forgotten, so that the output of `dump-flows` can be read back.
    case ignored

    static let byName = NameTable<FlowWord>([
        ("ip", .packet(0x0800, 0)), ("ipv4", .packet(0x0800, 0)), ("ip4", .packet(0x0800, 0)),
        ("arp", .packet(0x0806, 0)), ("rarp", .packet(0x8035, 0)), ("icmp", .packet(0x0800, 1)),
        ("tcp", .packet(0x0800, 6)), ("udp", .packet(0x0800, 17)), ("sctp", .packet(0x0800, 132)),
        ("ipv6", .packet(0x86dd, 0)), ("ip6", .packet(0x86dd, 0)), ("icmp6", .packet(0x86dd, 58)),
        ("tcp6", .packet(0x86dd, 6)), ("udp6", .packet(0x86dd, 17)), ("sctp6", .packet(0x86dd, 132)),
        ("mpls", .packet(0x8847, 0)), ("mplsm", .packet(0x8848, 0)), ("eth", .ethernet),
        ("send_flow_rem", .flag(.sendFlowRemoved)), ("check_overlap", .flag(.checkOverlap)),
        ("reset_counts", .flag(.resetCounts)), ("no_packet_counts", .flag(.noPacketCounts)),
        ("no_byte_counts", .flag(.noByteCounts)), ("table", .table), ("out_port", .outPort), ("out_group", .outGroup),
        ("priority", .priority), ("idle_timeout", .idleTimeout), ("hard_timeout", .hardTimeout),
        ("importance", .importance), ("cookie", .cookie), ("action", .actions), ("actions", .actions),
        ("duration", .ignored), ("n_packets", .ignored), ("n_bytes", .ignored), ("idle_age", .ignored),
        ("hard_age", .ignored), ("no_readonly_table", .ignored), ("allow_hidden_fields", .ignored),
    ])
}

/// The Ethernet type and IP protocol of a keyword like `tcp6`.
func packetWord(_ word: Text) -> (ethType: UInt16, proto: UInt8)? {
    guard case .packet(let type, let proto) = FlowWord.byName.find(word) else { return nil }
    return (type, proto)
}

/// One line of flow syntax while it is being read.
struct FlowLine {
    private let purpose: FlowParser.Purpose
    private let context: FlowContext
    private var flow = FlowSpec()
    /// Whether plain OpenFlow 1.0 could carry the match.
    private var isPlainOpenFlow10 = true

    init(_ purpose: FlowParser.Purpose, _ context: FlowContext) {
        self.purpose = purpose
        self.context = context
        if case .command(let command) = purpose { flow.command = command }
    }

    mutating func parse(_ text: Text) throws(FlowSyntaxError) -> FlowSpec {
        var rest = text
        var actions: Text?
        while let item = rest.nextKeyValue() {
            if let field = MatchField.byName.find(item.key) {
                try set(field.placed(by: context, at: item.key), item)
            } else if let word = FlowWord.byName.find(item.key) {
                if case .actions = word, takesActions {
                    guard item.delimiter == UInt8(ascii: "=") else {
                        throw FlowSyntaxError(item.key.tail, "expected = behind \(item.key.echoed)")
                    }
                    actions = text.dropFirst(item.key.end + 1 - text.start)
                    break
                }
                try apply(word, item)
            } else if item.key.firstIndex(of: UInt8(ascii: "[")) != nil {
                try setSubfield(item)
            } else {
                throw FlowSyntaxError(item.key, "unknown keyword \(item.key.echoed): expected a field or a flow option")
            }
        }
        try finish(text, actions)
        return flow
    }

    private var takesActions: Bool {
        switch purpose {
        case .command(.add), .command(.modify), .command(.modifyStrict): true
        default: false
        }
    }

    private var isAddition: Bool {
        if case .command(.add) = purpose { return true }
        return false
    }

    private var takesPriority: Bool {
        if case .command(.deleteStrict) = purpose { return true }
        return takesActions
    }

    // MARK: Fields

    private mutating func set(_ field: MatchField, _ item: KeyValue) throws(FlowSyntaxError) {
        var parsed: FieldValue
        if item.value.isEmpty {
            guard field.format == .decimal || field.format == .hexadecimal, item.delimiter == 0, field.layout != nil
            else {
                throw FlowSyntaxError(item.key.tail, "expected a value for \(item.key.echoed)")
            }
            parsed = FieldValue(value: 0, mask: 0)
        } else if field == .packetType, item.delimiter == UInt8(ascii: "(") {
            throw FlowSyntaxError(item.key.tail, "expected packet_type=(space,type)")
        } else {
            parsed = try field.parse(item.value, context)
        }
        try set(field, parsed, at: item)
    }

    private mutating func set(_ field: MatchField, _ parsed: FieldValue, at item: KeyValue) throws(FlowSyntaxError) {
        if parsed.mask != 0 {
            if field.isUnmatchable {
                throw FlowSyntaxError(item.key, "\(field.name) cannot be matched on in any OpenFlow version")
            }
            if field == .recircID {
                throw FlowSyntaxError(item.key, "recirc_id is the switch's own: rules cannot match on it")
            }
            if field == .ipv6Label, parsed.value & parsed.mask > 0xfffff {
                throw FlowSyntaxError(
                    item.value, "\(item.value.echoed): a flow label has 20 bits: expected at most 0xfffff")
            }
            restrict(field, parsed)
        }
        flow.match.set(field, parsed.value & parsed.mask, mask: parsed.mask)
    }

    /// Notes which OpenFlow versions can carry this.
    private mutating func restrict(_ field: MatchField, _ parsed: FieldValue) {
        guard let layout = field.layout else { return }
        let isExact = parsed.mask == layout.wireMask
        switch field.openFlow10 {
        case .none: isPlainOpenFlow10 = false
        case .exact: if !isExact { isPlainOpenFlow10 = false }
        case .prefix:
            let zeros = ~parsed.mask & layout.wireMask
            if zeros & (zeros &+ 1) != 0 { isPlainOpenFlow10 = false }
        }
    }

    private mutating func setSubfield(_ item: KeyValue) throws(FlowSyntaxError) {
        let subfield = try Subfield.parse(item.key, context)
        guard let layout = subfield.field.layout else {
            throw FlowSyntaxError(item.key, "\(subfield.field.name) is not mapped to an option")
        }
        let value = try item.value.number("value of \(item.key.echoed)", maximum: layout.wireMask)
        guard value <= FieldLayout.ones(subfield.width) else {
            throw FlowSyntaxError(item.value, "\(item.value.echoed) does not fit into \(subfield.width) bits")
        }
        let old = flow.match.value(of: subfield.field)
        let shift = UInt128(subfield.offset)
        let bits = FieldLayout.ones(subfield.width) << shift
        var merged = FieldValue(value: (old.value & ~bits) | value << shift, mask: old.mask | bits)
        if merged.mask & layout.stored == layout.stored { merged.mask = layout.wireMask }
        if !subfield.field.isMaskable, merged.mask != layout.wireMask {
            throw FlowSyntaxError(item.key, "\(subfield.field.name) takes no mask: expected all of its bits")
        }
        try set(subfield.field, merged, at: item)
    }

    // MARK: Other words

    private mutating func apply(_ word: FlowWord, _ item: KeyValue) throws(FlowSyntaxError) {
        switch word {
        case .packet(let type, let proto):
            flow.match.set(.ethType, UInt128(type))
            if proto != 0 { flow.match.set(.nwProto, UInt128(proto)) }
            if type == 0x86dd { isPlainOpenFlow10 = false }
            return
        case .ethernet:
            flow.match.set(.packetType, 0)
            return
        case .flag(let flag):
            guard takesActions else { throw unexpected(item) }
            flow.flags.insert(flag)
            let needed: OpenFlowVersion =
                switch flag {
                case .resetCounts: .openFlow12
                case .noPacketCounts, .noByteCounts: .openFlow13
                default: .openFlow10
                }
            if context.version < needed {
                throw FlowSyntaxError(item.key, "\(item.key.echoed) needs \(needed.name) or later")
            }
            return
        case .ignored: return
        default: break
        }
        if item.value.isEmpty { throw FlowSyntaxError(item.key.tail, "field \(item.key.echoed) missing value") }
        switch word {
        case .table:
            let table = try item.value.uint8("table")
            flow.table = table == 255 ? nil : table
        case .outPort where !takesActions: flow.outPort = try Ports.parse(item.value, context)
        case .outGroup where !takesActions: flow.outGroup = try item.value.uint32("out_group")
        case .priority where takesPriority: flow.priority = try item.value.uint16("priority")
        case .idleTimeout where takesActions: flow.idleTimeout = try item.value.uint16("idle_timeout")
        case .hardTimeout where takesActions: flow.hardTimeout = try item.value.uint16("hard_timeout")
        case .importance where isAddition: flow.importance = try item.value.uint16("importance")
        case .cookie: try setCookie(item)
        default: throw unexpected(item)
        }
    }

    private func unexpected(_ item: KeyValue) -> FlowSyntaxError {
        FlowSyntaxError(item.key, "unknown keyword \(item.key.echoed): this command does not take it")
    }

    private mutating func setCookie(_ item: KeyValue) throws(FlowSyntaxError) {
        if let slash = item.value.firstIndex(of: UInt8(ascii: "/")) {
            if isAddition { throw FlowSyntaxError(item.value, "flow additions cannot use a cookie mask") }
            flow.cookieMatch = try item.value.prefix(slash).uint64("cookie")
            flow.cookieMask = try item.value.dropFirst(slash + 1).uint64("mask of the cookie")
            flow.cookieMatch &= flow.cookieMask
        } else {
            guard takesActions else {
                throw FlowSyntaxError(
                    item.value,
                    "cannot set a cookie here: to match one, give a mask as in cookie=\(item.value.echoed)/-1")
            }
            flow.cookie = try item.value.uint64("cookie")
        }
    }

    // MARK: The end of the line

    /// The last word of a line that says something about a place of the key. Only errors ask, so that lines without one
    /// cost nothing.
    private static func word(of slot: Slot, in text: Text) -> Text? {
        var rest = text
        var found: Text?
        while let item = rest.nextKeyValue() {
            let name = item.key.firstIndex(of: UInt8(ascii: "[")).map { item.key.prefix($0) } ?? item.key
            if let field = MatchField.byName.find(name) ?? MatchField.bySubfieldName.find(name) {
                if field.layout?.slot == slot { found = item.key }
            } else if let word = FlowWord.byName.find(name) {
                if case .actions = word { break }
                if case .packet(_, let proto) = word, slot == .ethType || slot == .nwProto && proto != 0 {
                    found = item.key
                }
            }
        }
        return found
    }

    private mutating func finish(_ text: Text, _ actions: Text?) throws(FlowSyntaxError) {
        if let missing = flow.match.fieldWithoutPrerequisite() {
            let word = FlowLine.word(of: missing.slot, in: text)
            throw FlowSyntaxError(
                word ?? text,
                "\(word?.echoed ?? missing.field) counts only with \(missing.needs.explanation): "
                    + "expected that in the match")
        }
        let tci = flow.match.key[.vlanTCI]
        if context.version >= .openFlow12, tci & 0x1fff != 0, tci & 0x1000 == 0, flow.match.mask[.vlanTCI] & 0xe000 != 0
        {
            let word = FlowLine.word(of: .vlanTCI, in: text) ?? text
            throw FlowSyntaxError(word, "a VLAN priority counts only with a tag: expected bit 12 (0x1000) in vlan_tci")
        }
        if isAddition, flow.cookie == nil { flow.cookie = 0 }
        if takesActions {
            guard let actions else { throw FlowSyntaxError(text.tail, "must specify an action: expected actions=...") }
            var parser = ActionParser(context)
            try parser.parseInstructions(actions)
            var checker = ActionChecker(flow.match, table: flow.table, context: context)
            flow.actions = try checker.check(parser.actions, at: parser.deepPositions)
            if context.version < .openFlow12 { flow.flags.insert(.resetCounts) }
        }
        flow.match = flow.match.encoded(for: context.version, isPlainOpenFlow10: isPlainOpenFlow10)
    }
}
