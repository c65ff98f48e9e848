import Flow
import Pipeline

extension SwitchCommands {
    func bindMeterCommands(_ registry: CommandRegistry) {
        registry.bind("add-meter") { invocation throws(CommandError) in
            let meter = try Self.meter(invocation.arguments[1])
            try refusing { () throws(StateError) in
                try self.model.addMeter(meter, to: invocation.arguments[0], now: self.now)
            }
            return .done
        }
        registry.bind("mod-meter") { invocation throws(CommandError) in
            let meter = try Self.meter(invocation.arguments[1])
            try refusing { () throws(StateError) in
                try self.model.modifyMeter(meter, of: invocation.arguments[0], now: self.now)
            }
            return .done
        }
        registry.bind("del-meters") { invocation throws(CommandError) in
            let id = try self.meterFilter(invocation)
            try refusing { () throws(StateError) in
                try self.model.deleteMeters(id, of: invocation.arguments[0], now: self.now)
            }
            return .done
        }
        registry.bind("dump-meters") { invocation throws(CommandError) in
            let id = try self.meterFilter(invocation)
            return Self.listing(
                try refusing { () throws(StateError) in try self.model.dumpMeters(id, of: invocation.arguments[0]) })
        }
        registry.bind("meter-stats") { invocation throws(CommandError) in
            let id = try self.meterFilter(invocation)
            return Self.listing(
                try refusing { () throws(StateError) in
                    try self.model.dumpMeterStatistics(id, of: invocation.arguments[0], now: self.now)
                })
        }
    }

    /// As ovs-ofctl shows meters: a blank line between two, which take several lines each.
    private static func listing(_ meters: [String]) -> CommandResult {
        CommandResult(
            text: { meters.isEmpty ? "" : meters.joined(separator: "\n\n") + "\n" },
            json: { .array(meters.map(JSONValue.string)) })
    }

    static func meter(_ text: String) throws(CommandError) -> MeterSpec {
        do throws(FlowSyntaxError) { return try MeterParser().parse(text) } catch {
            throw .refused("column \(error.column): \(error.message)")
        }
    }

    private func meterFilter(_ invocation: Invocation) throws(CommandError) -> MeterSpec.ID {
        guard invocation.arguments.count > 1 else { return .all }
        // A bare number is taken, too.
        let text = invocation.arguments[1]
        if let number = UInt32(text) { return .number(number) }
        do throws(FlowSyntaxError) { return try MeterParser().parseFilter(text) } catch {
            throw .refused("column \(error.column): \(error.message)")
        }
    }
}
