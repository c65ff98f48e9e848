import Base
import Conntrack
import Dataplane

// Connections: shown, counted, ended. Tables may have millions of them, so each of these commands is a row of steps.
extension SwitchCommands {
    func bindConntrackCommands(_ registry: CommandRegistry) {
        registry.bind("ct/dump") { invocation throws(CommandError) in try self.dumpConnections(invocation) }
        registry.bind("ct/flush") { invocation throws(CommandError) in try self.flushConnections(invocation) }
        registry.bind("ct/stats") { invocation throws(CommandError) in try self.connectionStatistics(invocation) }
        registry.bind("ct/limits") { invocation throws(CommandError) in try self.connectionLimits(invocation) }
        registry.bind("ct/timeouts") { invocation throws(CommandError) in try self.connectionTimeouts(invocation) }
        registry.bind("ct/set") { invocation throws(CommandError) in try self.setTracking(invocation) }
        bindConntrackAliases(registry)
    }

    /// Slots of the table that a step looks at, and bytes of text at which it ends: about a millisecond.
    private static var stepSlots: Int { 8192 }
    private static var stepBytes: Int { 32 << 10 }

    static func filter(_ words: [String]) throws(CommandError) -> ConnectionFilter {
        try refusing { () throws(ConnectionFilter.SyntaxError) in try ConnectionFilter(words) }
    }

    // MARK: ct/dump

    func dumpConnections(_ invocation: Invocation) throws(CommandError) -> CommandResult {
        let filter = try Self.filter(invocation.words)
        var detail: ConnectionSnapshot.Detail = []
        if invocation.has("-m") || invocation.has("--more") { detail.insert(.more) }
        if invocation.has("-s") || invocation.has("--statistics") { detail.insert(.statistics) }
        let isJSON = invocation.wantsJSON
        // Sessions keep what their packets count until somebody asks.
        if isJSON || detail.contains(.statistics) { device.settle(connections: true) }
        var walk = ConnectionWalk(filter)
        let steps = AnswerSteps(isJSON: isJSON) { [detail] in
            guard !walk.isDone else { return nil }
            var text = ""
            var elements: [JSONValue] = []
            walk.step(self.device.tracker, slots: Self.stepSlots, now: self.now) { connection in
                if isJSON {
                    elements.append(Self.json(connection))
                } else {
                    text += connection.text(detail) + "\n"
                }
                return text.utf8.count < Self.stepBytes && elements.count < 128
            }
            return isJSON ? .elements(elements) : .text(text)
        }
        return CommandResult(steps: steps)
    }

    static func json(_ connection: ConnectionSnapshot) -> JSONValue {
        var members: [JSONValue.Member] = [
            JSONValue.Member("protocol", .string(connection.protocolName)),
            JSONValue.Member("zone", JSONValue(connection.zone)),
            JSONValue.Member(
                "original", json(connection.original, connection.packets.original, connection.bytes.original)),
            JSONValue.Member("reply", json(connection.reply, connection.packets.reply, connection.bytes.reply)),
            JSONValue.Member("mark", JSONValue(connection.mark)),
            JSONValue.Member("label", .string("0x" + String(connection.label, radix: 16))),
            JSONValue.Member("timeout", .number(Double(connection.timeLeft) / 1000)),
            JSONValue.Member("age", .number(Double(connection.age) / 1000)),
            JSONValue.Member("answered", .bool(connection.isAnswered)),
        ]
        if let states = connection.states {
            members.append(JSONValue.Member("state_original", .string(states.0.name)))
            members.append(JSONValue.Member("state_reply", .string(states.1.name)))
        }
        return .object(members)
    }

    private static func json(_ tuple: ConnectionTuple, _ packets: UInt64, _ bytes: UInt64) -> JSONValue {
        var members = [
            JSONValue.Member("src", .string(tuple.srcText)), JSONValue.Member("dst", .string(tuple.dstText)),
        ]
        if tuple.isICMP {
            members.append(JSONValue.Member("id", JSONValue(tuple.sourcePort)))
            members.append(JSONValue.Member("type", JSONValue(tuple.destinationPort >> 8)))
            members.append(JSONValue.Member("code", JSONValue(tuple.destinationPort & 0xff)))
        } else {
            members.append(JSONValue.Member("sport", JSONValue(tuple.sourcePort)))
            members.append(JSONValue.Member("dport", JSONValue(tuple.destinationPort)))
        }
        members.append(JSONValue.Member("packets", JSONValue(packets)))
        members.append(JSONValue.Member("bytes", JSONValue(bytes)))
        return .object(members)
    }

    // MARK: ct/flush

    /// A whole tuple that no connection has is no error: it is gone, as asked for.
    func flushConnections(_ invocation: Invocation) throws(CommandError) -> CommandResult {
        let filter = try Self.filter(invocation.words)
        let isJSON = invocation.wantsJSON
        let tracker = device.tracker
        func done(_ count: Int) -> AnswerSteps.Piece {
            isJSON ? .whole(["flushed": JSONValue(count)]) : .text("connections flushed: \(count)\n")
        }
        if let tuple = filter.tuple {
            let count = tracker.flush(tuple, now: now) ? 1 : 0
            var answer: AnswerSteps.Piece? = done(count)
            return CommandResult(
                steps: AnswerSteps(isJSON: isJSON) {
                    defer { answer = nil }
                    return answer
                })
        }
        return CommandResult(
            steps:
                filter.isWholeZone ? flushZone(filter.zone, isJSON, done) : search(filter, isJSON, done))
    }

    private func flushZone(_ zone: UInt16?, _ isJSON: Bool, _ done: @escaping (Int) -> AnswerSteps.Piece) -> AnswerSteps
    {
        var progress = FlushProgress(zone: zone)
        var isDone = false
        return AnswerSteps(isJSON: isJSON) {
            guard !isDone else { return nil }
            if self.device.tracker.flush(&progress, atMost: 4096) { return .text("") }
            isDone = true
            return done(progress.ended)
        }
    }

    private func search(
        _ filter: ConnectionFilter, _ isJSON: Bool, _ done: @escaping (Int) -> AnswerSteps.Piece
    ) -> AnswerSteps {
        var walk = ConnectionWalk(filter)
        var count = 0
        var isDone = false
        return AnswerSteps(isJSON: isJSON) {
            guard !isDone else { return nil }
            var found: [ConnectionHandle] = []
            walk.step(self.device.tracker, slots: Self.stepSlots, now: self.now) { connection in
                found.append(ConnectionHandle(rawValue: connection.handle))
                return found.count < 2048
            }
            count += self.device.tracker.flush(found)
            guard walk.isDone else { return .text("") }
            isDone = true
            return done(count)
        }
    }
}
