import Base

/// Reads a packet that is described by its fields, as `trace BRIDGE FLOW` takes it, and action lists by themselves.
public struct PacketParser {
    public var context: FlowContext

    public init(_ context: FlowContext = FlowContext()) { self.context = context }

    /// `in_port=1,tcp,nw_src=10.0.0.1,tcp_dst=80`. A field may be given once, and only behind what it needs.
    /// Without `in_port` the packet came from nowhere (`ANY`).
    public func parse(_ flow: String) throws(FlowSyntaxError) -> FlowKey {
        try FlowParser.withText(flow) { text throws(FlowSyntaxError) in
            var key = FlowKey()
            var rest = text
            while let item = rest.nextKeyValue() {
                if let word = packetWord(item.key) {
                    try set(word.ethType, word.proto, item, &key)
                } else if let field = MatchField.byName.find(item.key) {
                    try set(field.placed(by: context, at: item.key), item, &key)
                } else if !item.key.equals("eth") {
                    throw FlowSyntaxError(item.key, "unknown field \(item.key.echoed)")
                }
            }
            if key[.inPort] == 0 { key[.inPort] = UInt64(PortNumber.none.rawValue) }
            return key
        }
    }

    private func set(_ type: UInt16, _ proto: UInt8, _ item: KeyValue, _ key: inout FlowKey) throws(FlowSyntaxError) {
        if key[.ethType] != 0 { throw FlowSyntaxError(item.key, "the Ethernet type is set more than once") }
        key[.ethType] = UInt64(type)
        if proto == 0 { return }
        if key[.nwProto] != 0 { throw FlowSyntaxError(item.key, "the network protocol is set more than once") }
        key[.nwProto] = UInt64(proto)
    }

    private func set(_ field: MatchField, _ item: KeyValue, _ key: inout FlowKey) throws(FlowSyntaxError) {
        guard key.satisfies(field.prerequisite) else {
            throw FlowSyntaxError(item.key, "\(item.key.echoed) needs \(field.prerequisite.explanation) before it")
        }
        if key.value(of: field) != 0 { throw FlowSyntaxError(item.key, "\(item.key.echoed) is set more than once") }
        if item.value.isEmpty { throw FlowSyntaxError(item.key.tail, "expected a value for \(item.key.echoed)") }
        key.set(field, try field.parseExact(item.value, context))
    }

    /// Actions by themselves, as `packet-out` takes them.
    public func parseActions(_ actions: String) throws(FlowSyntaxError) -> [Action] {
        try FlowParser.withText(actions) { text throws(FlowSyntaxError) in
            var parser = ActionParser(context)
            try parser.parseActions(text)
            var checker = ActionChecker(withoutMatch: context)
            return try checker.check(parser.actions, at: parser.deepPositions)
        }
    }
}
