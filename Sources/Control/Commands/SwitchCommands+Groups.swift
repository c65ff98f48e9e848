import Base
import Dataplane
import Flow
import Pipeline
import Ports

extension SwitchCommands {
    func bindGroupCommands(_ registry: CommandRegistry) {
        registry.bind("add-group") { invocation throws(CommandError) in
            try self.modifyGroup(invocation, invocation.has("--may-create") ? .addOrModify : .add)
        }
        registry.bind("add-groups") { invocation throws(CommandError) in try self.applyGroupFile(invocation) }
        registry.bind("mod-group") { invocation throws(CommandError) in
            try self.modifyGroup(invocation, invocation.has("--may-create") ? .addOrModify : .modify)
        }
        registry.bind("insert-buckets") { invocation throws(CommandError) in
            try self.modifyGroup(invocation, .insertBuckets)
        }
        registry.bind("remove-buckets") { invocation throws(CommandError) in
            try self.modifyGroup(invocation, .removeBuckets)
        }
        registry.bind("del-groups") { invocation throws(CommandError) in try self.modifyGroup(invocation, .delete) }
        registry.bind("dump-groups") { invocation throws(CommandError) in
            let (bridge, context, id) = try self.selection(invocation)
            let lines = try refusing { () throws(StateError) in
                try self.model.dumpGroups(of: bridge, id: id, context: context)
            }
            return CommandResult(lines: lines)
        }
        registry.bind("dump-group-stats") { invocation throws(CommandError) in
            let (bridge, _, id) = try self.selection(invocation)
            self.device.settle()
            let lines = try refusing { () throws(StateError) in
                try self.model.dumpGroupStatistics(of: bridge, id: id, now: self.now)
            }
            return CommandResult(lines: lines)
        }
    }

    private func modifyGroup(_ invocation: Invocation, _ command: GroupSpec.Command) throws(CommandError)
        -> CommandResult
    {
        let (bridge, context) = try bridgeAndContext(invocation)
        let text = invocation.arguments.count > 1 ? invocation.arguments[1] : ""
        let spec = try readGroup(text, command, context)
        try refusing { () throws(StateError) in try model.apply(GroupMod(spec), to: bridge.name, now: now) }
        return .done
    }

    /// Reads a whole file of groups, then applies it whole.
    private func applyGroupFile(_ invocation: Invocation) throws(CommandError) -> CommandResult {
        let (bridge, context) = try bridgeAndContext(invocation)
        let name = invocation.arguments[1]
        var mods: [GroupMod] = []
        var lines: [Int] = []
        try TextFile(invocation, at: 1).withBytes { (bytes) throws(CommandError) in
            do throws(FlowSyntaxError) {
                try GroupParser(context).parseFile(bytes) { group, line in
                    mods.append(GroupMod(group))
                    lines.append(line)
                }
            } catch {
                throw .refused("\(name):\(error.line):\(error.column): \(error.message)")
            }
        }
        do throws(BatchError) { try model.apply(mods, to: bridge.name, now: now) } catch {
            let line = error.index < lines.count ? "\(name):\(lines[error.index]):1: " : ""
            throw .refused(line + error.description)
        }
        return .done
    }

    /// `del-groups` and the dumps take nothing, `all` or a bare number for a group, too.
    private func readGroup(
        _ text: String, _ command: GroupSpec.Command, _ context: FlowContext
    ) throws(CommandError) -> GroupSpec {
        if command == .delete {
            var spec = GroupSpec()
            spec.command = .delete
            if text.isEmpty || text == "all" { return spec }
            if let id = UInt32(text) {
                spec.id = id
                return spec
            }
        }
        do throws(FlowSyntaxError) { return try GroupParser(context).parse(text, as: command) } catch {
            throw .refused("column \(error.column): \(error.message)")
        }
    }

    /// Which groups a dump is about; nil is all.
    private func selection(_ invocation: Invocation) throws(CommandError) -> (String, FlowContext, UInt32?) {
        let (bridge, context) = try bridgeAndContext(invocation)
        let text = invocation.arguments.count > 1 ? invocation.arguments[1] : ""
        return (bridge.name, context, try readGroup(text, .delete, context).id)
    }
}
