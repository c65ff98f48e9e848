import Base
import Dataplane
import Pipeline
import Ports

extension SwitchCommands {
    func bindPortCommands(_ registry: CommandRegistry) {
        registry.bind("add-port") { invocation throws(CommandError) in
            let bridge = invocation.arguments[0]
            let name = try refusing { () throws(SettingError) in try SettingValue.portName(invocation.arguments[1]) }
            let there = self.model.state.port(named: name)
            if invocation.has("--may-exist"), let there, there.bridge == (try self.configured.state(bridge).number) {
                return .done
            }
            var port = PortConfiguration(name: name)
            try Self.apply(invocation.arguments.dropFirst(2), to: &port)
            try self.configured.addPort(port, to: bridge)
            if invocation.arguments.contains("admin=up") { try self.configured.bringUp(name) }
            return .done
        }
        registry.bind("del-port") { invocation throws(CommandError) in try self.deletePort(invocation) }
        registry.bind("set-port") { invocation throws(CommandError) in try self.setPort(invocation) }
        registry.bind("list-ports") { invocation throws(CommandError) in
            let names = self.ports(of: try self.configured.state(invocation.arguments[0]))
                .filter { $0.kind != .local }.map(\.name).sorted()
            return CommandResult(
                text: { names.map { $0 + "\n" }.joined() }, json: { .array(names.map(JSONValue.string)) })
        }
        registry.bind("mod-port") { invocation throws(CommandError) in try self.modifyPort(invocation) }
        registry.bind("add-mirror") { invocation throws(CommandError) in
            let name = try refusing { () throws(SettingError) in try SettingValue.name(invocation.arguments[1]) }
            var mirror = MirrorConfiguration(name: name)
            try Self.apply(invocation.arguments.dropFirst(2), to: &mirror)
            try self.configured.addMirror(mirror, to: invocation.arguments[0])
            return .done
        }
        registry.bind("del-mirror") { invocation throws(CommandError) in
            try self.configured.deleteMirror(invocation.arguments[1], of: invocation.arguments[0])
            return .done
        }
        registry.bind("port-stats") { invocation throws(CommandError) in
            var ports = self.model.state.ports.compactMap { $0 }
            if let name = invocation.arguments.first { ports = [try self.configured.port(name)] }
            return self.portStatistics(ports)
        }
    }

    private func deletePort(_ invocation: Invocation) throws(CommandError) -> CommandResult {
        let bridge = invocation.arguments.count == 2 ? invocation.arguments[0] : nil
        let name = invocation.arguments[invocation.arguments.count - 1]
        let port: PortState
        do throws(CommandError) { port = try configured.port(name, bridge: bridge) } catch {
            if invocation.has("--if-exists") { return .done }
            throw error
        }
        try configured.checkUnapplied([port.name])
        stopCapture(port.index)
        try configured.deletePort(port)
        return .done
    }

    private func setPort(_ invocation: Invocation) throws(CommandError) -> CommandResult {
        let port = try configured.port(invocation.arguments[0])
        let words = invocation.arguments.dropFirst()
        if var configuration = configured.configuration(of: port) {
            try Self.apply(words, to: &configuration)
            // Services take packets where they enter the switch.
            if configuration.kind == .patch { try configured.checkUnapplied([port.name]) }
            try configured.changePort(port, to: configuration)
            if words.contains("admin=up") { try configured.bringUp(port.name) }
        } else if Array(words) == ["admin=up"] || Array(words) == ["admin=down"] {
            let isUp = words.first == "admin=up"
            try configured.setLocal(port, { $0.adminDown = !isUp }, isUp: isUp)
        } else {
            throw .refused("\(port.name) is the bridge's own port: it takes admin=up or down, and set-br the rest")
        }
        return .done
    }

    /// ovs-ofctl(8), mod-port.
    private func modifyPort(_ invocation: Invocation) throws(CommandError) -> CommandResult {
        let port = try configured.port(invocation.arguments[1], bridge: invocation.arguments[0])
        let word = invocation.arguments[2]
        let isOn = !word.hasPrefix("no-") && word != "down"
        guard var configuration = configured.configuration(of: port) else {
            try configured.setLocal(
                port, try Self.flag(word, isOn), isUp: word == "up" ? true : word == "down" ? false : nil)
            return .done
        }
        switch word {
        case "up", "down": configuration.isUp = isOn
        case "flood", "no-flood": configuration.floods = isOn
        case "forward", "no-forward": configuration.forwards = isOn
        case "receive", "no-receive": configuration.receives = isOn
        case "stp", "no-stp", "packet-in", "no-packet-in":
            throw .refused("mod-port: there is no spanning tree and no controller")
        default: throw Self.unknownFlag(word)
        }
        try configured.changePort(port, to: configuration)
        if word == "up" { try configured.bringUp(port.name) }
        return .done
    }

    private static func flag(_ word: String, _ isOn: Bool) throws(CommandError) -> (inout PortState) -> Void {
        switch word {
        case "up", "down": return { $0.adminDown = !isOn }
        case "flood", "no-flood": return { $0.noFlood = !isOn }
        case "forward", "no-forward": return { $0.noForward = !isOn }
        case "receive", "no-receive": return { $0.noReceive = !isOn }
        default: throw unknownFlag(word)
        }
    }

    private static func unknownFlag(_ word: String) -> CommandError {
        .refused(
            "mod-port: unknown action \"\(word.echoed)\", expected one of up, down, flood, no-flood, forward, no-forward, "
                + "receive, no-receive")
    }

    // MARK: port-stats

    private func portStatistics(_ ports: [PortState]) -> CommandResult {
        struct Row {
            let port: PortState
            let received: PortStatistics
            let transmitted: PortStatistics
        }
        let rows = ports.sorted {
            ($0.bridge, $0.number == .local ? 0 : 1, $0.number) < ($1.bridge, $1.number == .local ? 0 : 1, $1.number)
        }
        .map { port in
            let attached = device.ports[port.index]?.port
            // Nothing is attached to a patch port; translation counts what passes through it.
            return Row(
                port: port, received: attached?.received ?? passed(port.receiveCounter),
                transmitted: attached?.transmitted ?? passed(port.transmitCounter))
        }
        return CommandResult(
            text: {
                var text = ""
                for row in rows {
                    let bridge = self.model.state.bridges[row.port.bridge]?.name ?? ""
                    text += "port \(row.port.name) (\(bridge) \(row.port.number.text)):\n"
                    text += "  rx \(Self.describe(row.received))\n  tx \(Self.describe(row.transmitted))\n"
                }
                return text
            },
            json: {
                .array(
                    rows.map {
                        [
                            "name": .string($0.port.name), "ofport": JSONValue($0.port.number.openFlow10),
                            "bridge": JSONValue(self.model.state.bridges[$0.port.bridge]?.name),
                            "rx": Self.json($0.received), "tx": Self.json($0.transmitted),
                        ]
                    })
            })
    }

    private func passed(_ counter: CounterHandle?) -> PortStatistics {
        var statistics = PortStatistics()
        guard let value = counter.map({ model.counters.value($0) }) else { return statistics }
        statistics.packets = value.packets
        statistics.bytes = value.bytes
        return statistics
    }

    private static func describe(_ statistics: PortStatistics) -> String {
        var text = "packets=\(statistics.packets), bytes=\(statistics.bytes), errors=\(statistics.errors)"
        text += ", dropped=\(statistics.dropped)"
        let reasons = statistics.drops.sorted { $0.key.rawValue < $1.key.rawValue }
        if !reasons.isEmpty {
            text += " (" + reasons.map { "\($0.key.name)=\($0.value)" }.joined(separator: ", ") + ")"
        }
        return text
    }

    private static func json(_ statistics: PortStatistics) -> JSONValue {
        [
            "packets": JSONValue(statistics.packets), "bytes": JSONValue(statistics.bytes),
            "errors": JSONValue(statistics.errors), "dropped": JSONValue(statistics.dropped),
            "drops": JSONValue(drops: statistics.drops),
        ]
    }
}

extension JSONValue {
    init(drops: [DropReason: UInt64]) {
        self = .object(
            drops.sorted { $0.key.rawValue < $1.key.rawValue }.map { Member($0.key.name, JSONValue($0.value)) })
    }
}
