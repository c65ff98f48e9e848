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
            let policies = configuration.tracking.policies
            context.timeoutPolicy = { policies[$0] == nil ? nil : 0 }
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

    /// Meters that are to be there. Those that are as they should be go on, with their buckets and counts.
    func addMeters(to bridge: String, _ lines: [String]) throws(CommandError) {
        var wanted: [MeterSpec] = []
        for line in lines { wanted.append(try Self.meter(line)) }
        let there = try configured.state(bridge).meters.values.map(\.spec)
        let known = Set(there.map(\.id))
        for meter in wanted where !there.contains(meter) {
            try refusing { () throws(StateError) in
                if known.contains(meter.id) {
                    try model.modifyMeter(meter, of: bridge, now: now)
                } else {
                    try model.addMeter(meter, to: bridge, now: now)
                }
            }
        }
    }

    func deleteMeters(of bridge: String, keeping lines: [String]) throws(CommandError) {
        var wanted: Set<MeterSpec.ID> = []
        for line in lines { wanted.insert(try Self.meter(line).id) }
        for meter in try configured.state(bridge).meters.values where !wanted.contains(meter.spec.id) {
            try refusing { () throws(StateError) in try model.deleteMeters(meter.spec.id, of: bridge, now: now) }
        }
    }
}
