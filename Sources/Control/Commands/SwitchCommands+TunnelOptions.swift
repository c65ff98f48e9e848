import Flow
import Pipeline

// TLV maps: which options of tunnel headers the fields tun_metadata0 to 63 stand for, for each bridge.

extension SwitchCommands {
    func bindTunnelOptionCommands(_ registry: CommandRegistry) {
        registry.bind("add-tlv-map") { invocation throws(CommandError) in
            let requests = try Self.mappings(invocation.arguments[1])
            try refusing { () throws(StateError) in
                try self.model.addMappings(requests, to: invocation.arguments[0])
            }
            return .done
        }
        registry.bind("del-tlv-map") { invocation throws(CommandError) in
            let numbers: [Int]? =
                invocation.arguments.count > 1 ? try Self.mappings(invocation.arguments[1]).map(\.number) : nil
            try refusing { () throws(StateError) in
                try self.model.deleteMappings(numbers, of: invocation.arguments[0])
            }
            return .done
        }
        registry.bind("dump-tlv-map") { invocation throws(CommandError) in
            let map = try self.configured.state(invocation.arguments[0]).tlvMap
            return CommandResult(
                text: { TLVMapPrinter().lines(map).map { $0 + "\n" }.joined() },
                json: {
                    .array(
                        map.mappings.map {
                            [
                                "class": JSONValue($0.optionClass), "type": JSONValue($0.optionType),
                                "length": JSONValue($0.length), "field": .string("tun_metadata\($0.field.number)"),
                            ]
                        })
                })
        }
    }

    private static func mappings(_ text: String) throws(CommandError) -> [TLVMapRequest] {
        do throws(FlowSyntaxError) { return try TLVMapParser().parse(text) } catch {
            throw .refused("column \(error.column): \(error.message)")
        }
    }

    // MARK: Of a configuration

    /// Adds what is not there. A field that is to stand for something else loses its old mapping first, unless rules use it.
    func addMappings(to bridge: String, _ lines: [String]) throws(CommandError) {
        var wanted: [TLVMapRequest] = []
        for line in lines { wanted += try Self.mappings(line) }
        let map = try configured.state(bridge).tlvMap
        let missing = wanted.filter { !map.has($0) }
        let changed = missing.map(\.number).filter { map[UInt8(clamping: $0)] != nil && $0 < TLVMap.fieldLimit }
        try refusing { () throws(StateError) in
            if !changed.isEmpty { try model.deleteMappings(changed, of: bridge) }
            try model.addMappings(missing, to: bridge)
        }
    }

    func deleteMappings(of bridge: String, keeping lines: [String]) throws(CommandError) {
        var wanted: Set<Int> = []
        for line in lines { wanted.formUnion(try Self.mappings(line).map(\.number)) }
        let there = try configured.state(bridge).tlvMap.mappings.map { Int($0.field.number) }
        try refusing { () throws(StateError) in
            try model.deleteMappings(there.filter { !wanted.contains($0) }, of: bridge)
        }
    }
}
