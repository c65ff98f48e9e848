import Base
import Flow
import Pipeline

// Groups, meters and flows of a configuration.

extension SwitchCommands {
    /// Reads every rule of a configuration without doing anything with it: what is no rule is found before the
    /// first step is taken. Names of ports are those of the configuration.
    func checkRules(_ configuration: Configuration) throws(CommandError) {
        for (i, bridge) in configuration.bridges.enumerated() {
            let path = "bridges[\(i)]"
            var context = FlowContext()
            let names = Set(bridge.ports.map(\.name) + [bridge.name])
            context.portNumber = { names.contains($0) ? PortNumber(1) : nil }
            for (j, line) in bridge.tlvMap.enumerated() {
                let requests: [TLVMapRequest]
                do throws(FlowSyntaxError) { requests = try TLVMapParser().parse(line) } catch {
                    throw .refused("\(path).tlv-map[\(j)]: column \(error.column): \(error.message)")
                }
                for request in requests {
                    do throws(TLVMapError) { try context.tlvMap.add(request) } catch {
                        throw .refused("\(path).tlv-map[\(j)]: \(error.message)")
                    }
                }
            }
            for (j, line) in bridge.groups.enumerated() {
                do throws(FlowSyntaxError) { _ = try GroupParser(context).parse(line, as: .addOrModify) } catch {
                    throw .refused("\(path).groups[\(j)]: column \(error.column): \(error.message)")
                }
            }
            for (j, line) in bridge.meters.enumerated() {
                do throws(FlowSyntaxError) { _ = try MeterParser().parse(line) } catch {
                    throw .refused("\(path).meters[\(j)]: column \(error.column): \(error.message)")
                }
            }
            do throws(FlowSyntaxError) { _ = try FlowParser(context).parseFile(bridge.flows ?? "") } catch {
                let key = bridge.flowsFile.map { "flows-file \($0)" } ?? "flows"
                throw .refused("\(path).\(key): line \(error.line), column \(error.column): \(error.message)")
            }
        }
    }

    private func groups(_ bridge: String, _ lines: [String]) throws(CommandError) -> [GroupMod] {
        let context = context(try configured.state(bridge), .openFlow15)
        var mods: [GroupMod] = []
        for line in lines {
            let spec: GroupSpec
            do throws(FlowSyntaxError) { spec = try GroupParser(context).parse(line, as: .addOrModify) } catch {
                throw .refused("group \"\(line.echoed)\": column \(error.column): \(error.message)")
            }
            mods.append(GroupMod(spec))
        }
        return mods
    }

    func addGroups(to bridge: String, _ lines: [String]) throws(CommandError) {
        let mods = try groups(bridge, lines)
        try refusing { () throws(BatchError) in try model.apply(mods, to: bridge, now: now) }
    }

    func deleteGroups(of bridge: String, keeping lines: [String]) throws(CommandError) {
        let kept = Set(try groups(bridge, lines).compactMap(\.id))
        let gone = try configured.state(bridge).groups.keys.filter { !kept.contains($0) }
        let mods = gone.sorted().map { GroupMod(.delete, id: $0) }
        try refusing { () throws(BatchError) in try model.apply(mods, to: bridge, now: now) }
    }

    func replaceMeters(of bridge: String, _ lines: [String]) throws(CommandError) {
        var meters: [MeterSpec] = []
        for line in lines { meters.append(try Self.meter(line)) }
        let there = Set(try configured.state(bridge).meters.values.map(\.spec.id))
        let wanted = Set(meters.map(\.id))
        for id in there where !wanted.contains(id) {
            try refusing { () throws(StateError) in try model.deleteMeters(id, of: bridge) }
        }
        for meter in meters {
            try refusing { () throws(StateError) in
                if there.contains(meter.id) {
                    try model.modifyMeter(meter, of: bridge)
                } else {
                    try model.addMeter(meter, to: bridge, now: now)
                }
            }
        }
    }
}
