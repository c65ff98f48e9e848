import Base
import Dataplane
import Flow
import Pipeline
import Ports

extension SwitchCommands {
    func bindFlowCommands(_ registry: CommandRegistry) {
        registry.bind("add-flow") { invocation throws(CommandError) in try self.modify(invocation, .add) }
        registry.bind("mod-flows") { invocation throws(CommandError) in
            try self.modify(invocation, invocation.has("--strict") ? .modifyStrict : .modify)
        }
        registry.bind("del-flows") { invocation throws(CommandError) in
            try self.modify(invocation, invocation.has("--strict") ? .deleteStrict : .delete)
        }
        registry.bind("add-flows") { invocation throws(CommandError) in
            try self.applyFile(invocation) { (model, batch, bridge, now) throws(BatchError) in
                try model.apply(batch, to: bridge, now: now)
            }
        }
        registry.bind("replace-flows") { invocation throws(CommandError) in
            try self.applyFile(invocation) { (model, batch, bridge, now) throws(BatchError) in
                try model.replaceFlows(batch, of: bridge, now: now)
            }
        }
        registry.bind("dump-flows") { invocation throws(CommandError) in try self.dumpFlows(invocation) }
    }

    private func modify(_ invocation: Invocation, _ command: FlowSpec.Command) throws(CommandError) -> CommandResult {
        let (bridge, context) = try bridgeAndContext(invocation)
        let text = invocation.arguments.count > 1 ? invocation.arguments[1] : ""
        let spec: FlowSpec
        do throws(FlowSyntaxError) { spec = try FlowParser(context).parse(text, as: command) } catch {
            throw .refused("column \(error.column): \(error.message)")
        }
        try refusing { () throws(StateError) in
            try model.apply(FlowMod(spec, version: context.version), to: bridge.name, now: now)
        }
        return .done
    }

    // MARK: Files

    private typealias Apply = (SwitchModel, FlowModBatch, String, UInt64) throws(BatchError) -> FlowChange

    private func applyFile(_ invocation: Invocation, _ apply: Apply) throws(CommandError) -> CommandResult {
        let (bridge, context) = try bridgeAndContext(invocation)
        let file = invocation.arguments[1]
        let change = try TextFile(invocation, at: 1).withBytes { (bytes) throws(CommandError) in
            try applyFlows(bytes, name: file, context, to: bridge.name, apply)
        }
        return CommandResult(
            text: { "" },
            json: {
                [
                    "added": .integer(Int64(change.added)), "modified": .integer(Int64(change.modified)),
                    "deleted": .integer(Int64(change.deleted)), "unchanged": .integer(Int64(change.unchanged)),
                ]
            })
    }

    /// Reads a whole text of flows, then applies it whole.
    private func applyFlows(
        _ bytes: UnsafeBufferPointer<UInt8>, name: String, _ context: FlowContext, to bridge: String, _ apply: Apply
    ) throws(CommandError) -> FlowChange {
        var batch = FlowModBatch()
        var lines: [Int32] = []
        do throws(FlowSyntaxError) {
            try FlowParser(context).parseFile(bytes) { spec, line in
                batch.append(FlowMod(spec, version: context.version))
                lines.append(Int32(truncatingIfNeeded: line))
            }
        } catch {
            throw .refused("\(name):\(error.line):\(error.column): \(error.message)")
        }
        do throws(BatchError) { return try apply(model, batch, bridge, now) } catch {
            let line = error.index < lines.count ? "\(name):\(lines[error.index]):1: " : ""
            throw .refused(line + error.description)
        }
    }

    /// Makes the flows of a bridge those of a text.
    func replaceFlows(of bridge: String, with text: String, name: String) throws(CommandError) {
        let state = try configured.state(bridge)
        var text = text
        let result = text.withUTF8 { bytes -> Result<FlowChange, CommandError> in
            do throws(CommandError) {
                return .success(
                    try applyFlows(bytes, name: name, context(state, .openFlow15), to: bridge) {
                        (model, batch, bridge, now) throws(BatchError) in
                        try model.replaceFlows(batch, of: bridge, now: now)
                    })
            } catch {
                return .failure(error)
            }
        }
        _ = try result.get()
    }

    // MARK: dump-flows

    private func dumpFlows(_ invocation: Invocation) throws(CommandError) -> CommandResult {
        let (bridge, context) = try bridgeAndContext(invocation)
        var filter = FlowMod(.delete)
        if invocation.arguments.count > 1 {
            do throws(FlowSyntaxError) {
                filter = FlowMod(try FlowParser(context).parseFilter(invocation.arguments[1]))
            } catch {
                throw .refused("column \(error.column): \(error.message)")
            }
        }
        let order = try FlowOrder(invocation)
        device.settle()
        var rules = try refusing { () throws(StateError) in try model.selectRules(filter, of: bridge.name) }
        order.sort(&rules, model.counters)
        let shown = rules
        var listing = FlowListing()
        listing.showsStatistics = !invocation.has("--no-stats")
        listing.showsAges = context.version == .openFlow10 || context.version >= .openFlow15
        let how = listing
        let now = now
        return CommandResult(
            text: { self.model.dumpFlows(shown, now: now, listing: how, context: context).map { " \($0)\n" }.joined() },
            json: { self.json(shown, FlowPrinter(context), now) })
    }

    private func json(_ rules: [Rule], _ printer: FlowPrinter, _ now: UInt64) -> JSONValue {
        .array(
            rules.map { rule in
                let value = model.counters.value(rule.counter)
                let (idle, hard) = rule.timeouts(value)
                return [
                    "cookie": .string("0x" + String(rule.cookie, radix: 16)),
                    "duration": .number(Double(now - min(now, rule.created)) / 1000),
                    "table": JSONValue(rule.table), "n_packets": JSONValue(value.packets),
                    "n_bytes": JSONValue(value.bytes), "priority": JSONValue(rule.priority),
                    "idle_timeout": JSONValue(idle), "hard_timeout": JSONValue(hard),
                    "importance": JSONValue(rule.importance),
                    "match": .string(printer.text(rule.match)),
                    "actions": .string(printer.text(rule.actions, match: rule.match)),
                ]
            })
    }

    /// The flows of a bridge as a file for `add-flows`, without what has happened to them.
    func flowText(_ bridge: BridgeState) -> String {
        let printer = FlowPrinter(context(bridge, .openFlow15))
        let rules = (try? model.selectRules(of: bridge.name)) ?? []
        return rules.map { printer.text($0.spec) + "\n" }.joined()
    }
}

/// The text of a file that a command names: sent along by the client, or read here.
struct TextFile {
    let name: String
    private let content: String?

    init(_ invocation: Invocation, at position: Int) {
        name = invocation.arguments[position]
        content = invocation.arguments.count > position + 1 ? invocation.arguments[position + 1] : nil
    }

    func withBytes<Value>(
        _ body: (UnsafeBufferPointer<UInt8>) throws(CommandError) -> Value
    ) throws(CommandError) -> Value {
        let outcome: Result<Value, CommandError>
        if var content {
            outcome = content.withUTF8 { bytes in Result { () throws(CommandError) in try body(bytes) } }
        } else {
            guard name != "-" else {
                throw .refused("-: standard input is read by weftctl, which sends its text along")
            }
            let bytes = try refusing { () throws(FileError) in try FileText.read(name) }
            outcome = bytes.withUnsafeBufferPointer { bytes in
                Result { () throws(CommandError) in try body(bytes) }
            }
        }
        return try outcome.get()
    }
}
