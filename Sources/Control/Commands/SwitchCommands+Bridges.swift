import Base
import Dataplane
import Flow
import Pipeline
import Ports

extension SwitchCommands {
    func bindBridgeCommands(_ registry: CommandRegistry) {
        registry.bind("show") { _ throws(CommandError) in self.show() }
        registry.bind("add-br") { invocation throws(CommandError) in
            let name = try refusing { () throws(SettingError) in try SettingValue.portName(invocation.arguments[0]) }
            if invocation.has("--may-exist"), self.model.state.bridge(named: name) != nil { return .done }
            var bridge = BridgeConfiguration(name: name)
            try Self.apply(invocation.arguments.dropFirst(), to: &bridge)
            try self.configured.addBridge(bridge)
            return .done
        }
        registry.bind("set-br") { invocation throws(CommandError) in
            var bridge = self.configured.bridges[try self.configured.position(invocation.arguments[0])]
            try Self.apply(invocation.arguments.dropFirst(), to: &bridge)
            try self.configured.changeBridge(bridge)
            return .done
        }
        registry.bind("del-br") { invocation throws(CommandError) in
            let name = invocation.arguments[0]
            if invocation.has("--if-exists"), self.model.state.bridge(named: name) == nil { return .done }
            let ports = try self.configured.state(name).ports.values
            try self.configured.checkUnapplied([name] + ports.compactMap { self.model.state.port($0)?.name })
            for index in ports { self.stopCapture(index) }
            try self.configured.deleteBridge(name)
            return .done
        }
        registry.bind("list-br") { _ throws(CommandError) in
            let names = self.configured.bridges.map(\.name)
            return CommandResult(
                text: { names.map { $0 + "\n" }.joined() }, json: { .array(names.map(JSONValue.string)) })
        }
        registry.bind("fdb/show") { invocation throws(CommandError) in
            self.showStations(try self.configured.state(invocation.arguments[0]))
        }
        registry.bind("fdb/stats-show") { invocation throws(CommandError) in
            self.stationStatistics(try self.configured.state(invocation.arguments[0]))
        }
        registry.bind("fdb/flush") { invocation throws(CommandError) in
            if let name = invocation.arguments.first {
                try self.configured.state(name).stations.flush()
            } else {
                for case let bridge? in self.model.state.bridges { bridge.stations.flush() }
            }
            return CommandResult("table successfully flushed")
        }
    }

    static func apply(_ words: some Sequence<String>, to target: inout some Configurable) throws(CommandError) {
        do throws(SettingError) { try target.apply(words) } catch { throw .refused(error.description) }
    }

    // MARK: show

    private func show() -> CommandResult {
        let bridges = model.state.bridges.compactMap { $0 }.sorted { $0.name < $1.name }
        return CommandResult(
            text: { bridges.map { self.describe($0) }.joined() },
            json: { .array(bridges.map { self.json($0) }) })
    }

    private func describe(_ bridge: BridgeState) -> String {
        let mode = bridge.failMode == .secure ? "secure" : "standalone"
        var text = "Bridge \(bridge.name)\n"
        text += "    fail-mode: \(mode), datapath-id: \(SettingValue.show(datapathID: bridge.datapathID))"
        text += ", hwaddr: \(SettingValue.show(macAddress: bridge.hardwareAddress))\n"
        for port in ports(of: bridge) { text += "    Port \(port.name)\n        \(describe(port))\n" }
        for mirror in configured.bridges.first(where: { $0.name == bridge.name })?.mirrors ?? [] {
            let words = mirror.settings.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
            text += "    Mirror \(mirror.name)\n        \(words)\n"
        }
        return text
    }

    private func describe(_ port: PortState) -> String {
        var words = ["ofport: \(port.number.text)", "type: \(typeName(port))"]
        words.append("link: \(port.adminDown ? "down (admin)" : port.linkUp ? "up" : "down")")
        if let configuration = configured.configuration(of: port) {
            words += configuration.settings.filter { !["type", "ofport", "admin", "mtu"].contains($0.key) }
                .map { "\($0.key): \($0.value)" }
        }
        if let status = device.ports[port.index]?.port.status {
            words.append("mtu: \(status.mtu)")
            if status.speed > 0 { words.append("speed: \(status.speed / 1_000_000) Mbit/s") }
            if !status.present { words.append("device missing") }
            if let error = status.error { words.append("error: \(error)") }
        } else if case .patch(nil) = port.kind {
            words.append("error: no patch port \(model.peerName(of: port.index) ?? "") has this one as its peer")
        }
        return words.joined(separator: ", ")
    }

    func typeName(_ port: PortState) -> String {
        if let configuration = configured.configuration(of: port) { return configuration.kind.rawValue }
        return configured.bridges.first { $0.name == port.name }?.local.rawValue ?? "none"
    }

    private func json(_ mirror: MirrorConfiguration) -> JSONValue {
        [
            "name": .string(mirror.name),
            "settings": .object(mirror.settings.map { JSONValue.Member($0.key, .string($0.value)) }),
        ]
    }

    private func json(_ bridge: BridgeState) -> JSONValue {
        let mirrors = configured.bridges.first { $0.name == bridge.name }?.mirrors ?? []
        return [
            "name": .string(bridge.name), "fail_mode": .string(bridge.failMode == .secure ? "secure" : "standalone"),
            "datapath_id": .string(SettingValue.show(datapathID: bridge.datapathID)),
            "hwaddr": .string(SettingValue.show(macAddress: bridge.hardwareAddress)),
            "ports": .array(ports(of: bridge).map { json($0) }), "mirrors": .array(mirrors.map { json($0) }),
        ]
    }

    private func json(_ port: PortState) -> JSONValue {
        let status = device.ports[port.index]?.port.status
        var settings: [JSONValue.Member] = []
        for setting in configured.configuration(of: port)?.settings ?? [] {
            settings.append(JSONValue.Member(setting.key, .string(setting.value)))
        }
        return [
            "name": .string(port.name), "ofport": JSONValue(port.number.openFlow10), "type": .string(typeName(port)),
            "admin": .string(port.adminDown ? "down" : "up"), "link": .string(port.linkUp ? "up" : "down"),
            "mtu": .integer(Int64(status?.mtu ?? port.mtu)), "error": JSONValue(status?.error),
            "settings": .object(settings),
        ]
    }

    // MARK: fdb/show

    private func showStations(_ bridge: BridgeState) -> CommandResult {
        device.settle()
        let now = now
        let stations = bridge.stations.list().sorted { ($0.vlan, $0.mac) < ($1.vlan, $1.mac) }
        func port(_ station: StationTable.Station) -> String {
            model.state.port(station.port)?.number.text ?? "?"
        }
        func age(_ station: StationTable.Station) -> UInt64 { (now - min(now, station.used)) / 1000 }
        return CommandResult(
            text: {
                var text = " port  VLAN  MAC                Age\n"
                for station in stations {
                    let mac = SettingValue.show(macAddress: station.mac)
                    let age = station.isStatic ? "static" : String(age(station))
                    text +=
                        "\(Self.right(port(station), 5))  \(Self.right(String(station.vlan), 4))  \(mac)  \(Self.right(age, 3))\n"
                }
                return text
            },
            json: {
                .array(
                    stations.map {
                        [
                            "port": .string(port($0)), "vlan": JSONValue($0.vlan),
                            "mac": .string(SettingValue.show(macAddress: $0.mac)), "age": JSONValue(age($0)),
                            "static": .bool($0.isStatic),
                        ]
                    })
            })
    }

    private func stationStatistics(_ bridge: BridgeState) -> CommandResult {
        device.settle()
        let statistics = bridge.stations.statistics
        let (most, limit) = (bridge.stations.maximumEntries, bridge.stations.moveLimit)
        return CommandResult(
            text: {
                """
                Statistics for bridge "\(bridge.name)":
                  Current/maximum MAC entries in the table: \(statistics.entries)/\(most)
                  Current static MAC entries in the table : \(statistics.staticEntries)
                  Total number of learned MAC entries     : \(statistics.learned)
                  Total number of expired MAC entries     : \(statistics.expired)
                  Total number of evicted MAC entries     : \(statistics.evicted)
                  Total number of port moved MAC entries  : \(statistics.moved)
                  Moves refused by mac-move-limit=\(limit): \(statistics.refusedMoves)

                """
            },
            json: {
                [
                    "bridge": .string(bridge.name), "entries": JSONValue(statistics.entries),
                    "maximum": JSONValue(most),
                    "static": JSONValue(statistics.staticEntries), "learned": JSONValue(statistics.learned),
                    "expired": JSONValue(statistics.expired), "evicted": JSONValue(statistics.evicted),
                    "moved": JSONValue(statistics.moved), "refused_moves": JSONValue(statistics.refusedMoves),
                    "move_limit": JSONValue(limit),
                ]
            })
    }

    static func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }
}
