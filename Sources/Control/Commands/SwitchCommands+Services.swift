import Balancer
import Base
import Conntrack
import Dataplane
import Pipeline

// Load-balanced services: made, changed, shown, counted.
extension SwitchCommands {
    func bindServiceCommands(_ registry: CommandRegistry) {
        registry.bind("lb/add") { invocation throws(CommandError) in
            let name = try refusing { () throws(SettingError) in try SettingValue.name(invocation.arguments[0]) }
            guard self.configured.services[name] == nil else {
                throw .refused("service \(name) exists already; lb/set changes it")
            }
            try self.setService(ServiceConfiguration(name: name), invocation.arguments.dropFirst())
            return .done
        }
        registry.bind("lb/set") { invocation throws(CommandError) in
            let service = try self.configured.service(invocation.arguments[0])
            try self.setService(service, invocation.arguments.dropFirst())
            return .done
        }
        registry.bind("lb/del") { invocation throws(CommandError) in
            let name = invocation.arguments[0]
            if invocation.has("--if-exists"), self.configured.services[name] == nil { return .done }
            try self.configured.deleteService(name)
            return .done
        }
        registry.bind("lb/backend") { invocation throws(CommandError) in
            try self.changeBackend(invocation.arguments)
            return .done
        }
        registry.bind("lb/show") { invocation throws(CommandError) in
            let names = try self.serviceNames(invocation)
            return CommandResult(
                steps: self.walk(names, isJSON: invocation.wantsJSON, text: self.describe, json: self.json))
        }
        registry.bind("lb/stats") { invocation throws(CommandError) in
            let names = try self.serviceNames(invocation)
            self.device.settle()
            let isWhole = invocation.arguments.isEmpty
            return CommandResult(
                steps: self.walk(
                    names, isJSON: invocation.wantsJSON, heading: isWhole ? self.totals() : "",
                    text: self.statistics, json: self.statisticsJSON))
        }
    }

    private func setService(_ service: ServiceConfiguration, _ words: some Sequence<String>) throws(CommandError) {
        var service = service
        do throws(CommandError) { try Self.apply(words, to: &service) } catch {
            guard case .refused(let reason) = error else { throw error }
            throw .refused("service \(service.name): \(reason)")
        }
        try configured.setService(service)
    }

    private func serviceNames(_ invocation: Invocation) throws(CommandError) -> [String] {
        guard let name = invocation.arguments.first else { return configured.services.keys.sorted() }
        _ = try configured.service(name)
        return [name]
    }

    /// Some services a step: there may be very many.
    private func walk(
        _ names: [String], isJSON: Bool, heading: String = "", text: @escaping (String) -> String,
        json: @escaping (String) -> JSONValue?
    ) -> AnswerSteps {
        var left = names[...]
        var heading: String? = heading
        return AnswerSteps(isJSON: isJSON) {
            if let first = heading, !isJSON, !first.isEmpty {
                heading = nil
                return .text(first)
            }
            guard !left.isEmpty else { return nil }
            let some = left.prefix(32)
            left = left.dropFirst(32)
            return isJSON ? .elements(some.compactMap(json)) : .text(some.map(text).joined())
        }
    }

    // MARK: lb/backend

    private func changeBackend(_ words: [String]) throws(CommandError) {
        var service = try configured.service(words[1])
        func refused(_ text: String) -> CommandError { .refused("service \(service.name): \(text)") }
        let needsValue = words[0] == "weight"
        guard (words.count == 4) == needsValue else {
            throw refused(needsValue ? "weight needs a number behind the backend" : "unexpected \"\(words[3].echoed)\"")
        }
        if words[0] == "add" {
            let backend: BackendSpec
            do throws(SettingError) { backend = try ServiceText.backend(words[2]) } catch {
                throw refused(error.description)
            }
            service.backends.append(backend)
            return try configured.setService(service)
        }
        let endpoint: Endpoint
        do throws(SettingError) { endpoint = try ServiceText.endpoint(words[2]) } catch {
            throw refused(error.description)
        }
        guard
            let place = service.backends.firstIndex(where: {
                $0.address == endpoint.address && $0.isIPv6 == endpoint.isIPv6 && $0.port == endpoint.port
            })
        else { throw refused("no backend \(endpoint.text)") }
        switch words[0] {
        case "drain": service.backends[place].isDrained = true
        case "activate": service.backends[place].isDrained = false
        case "del": service.backends.remove(at: place)
        case "weight":
            do throws(SettingError) {
                service.backends[place].weight = try ServiceText.weight(words[3], of: words[2])
            } catch { throw refused(error.description) }
        default:
            throw .refused("unknown \"\(words[0].echoed)\", expected one of add, drain, activate, weight, del")
        }
        try configured.setService(service)
    }

    // MARK: lb/show

    private func members(_ name: String) -> [Balancer.Member] { device.balancer.services[name]?.members ?? [] }

    /// What a backend is for new connections.
    private func state(_ member: Balancer.Member) -> String {
        if member.spec.isDrained { return "drain" }
        return member.isHealthy ? "up" : "down"
    }

    /// What its last check found, and when.
    private func checkText(_ member: Balancer.Member) -> String? {
        guard let found = health(member), let result = found.lastResult else {
            return configured.checked[member.number] == nil ? nil : "check: not yet"
        }
        return "check: \(found.state.status.rawValue), \(result.text), \((found.lastCheckAge ?? 0) / 1000)s ago"
    }

    private func health(_ member: Balancer.Member) -> HealthStatistics? {
        guard configured.checked[member.number] != nil else { return nil }
        return configured.monitor?.statistics(of: UInt64(member.number))
    }

    private func text(_ member: Balancer.Member) -> String {
        Endpoint(address: member.spec.address, isIPv6: member.spec.isIPv6, port: member.spec.port).text
    }

    private func describe(_ name: String) -> String {
        guard let service = configured.services[name]?.configuration else { return "" }
        var text = "Service \(name)\n    "
        var settings = service.settings.filter { $0.key != "backends" }
        if service.algorithm == .roundRobin { settings.append(Setting("algorithm", service.algorithm.rawValue)) }
        if service.station == nil, service.effectiveStation != 0 {
            settings.append(Setting("mac", SettingValue.show(macAddress: service.effectiveStation)))
        }
        text += settings.map { "\($0.key): \($0.value)" }.joined(separator: ", ") + "\n"
        for member in members(name) {
            text += "    Backend \(self.text(member))\n        "
            var words = ["state: \(state(member))", "weight: \(member.spec.weight)"]
            if let station = member.spec.station { words.append("mac: \(SettingValue.show(macAddress: station))") }
            words.append("connections: \(device.tracker.count(ofBackend: member.number))")
            if let check = checkText(member) { words.append(check) }
            text += words.joined(separator: ", ") + "\n"
        }
        return text
    }

    private func json(_ name: String) -> JSONValue? {
        guard let service = configured.services[name]?.configuration else { return nil }
        let settings = service.settings.filter { $0.key != "backends" }
        return [
            "name": .string(name),
            "settings": .object(settings.map { JSONValue.Member($0.key, .string($0.value)) }),
            "backends": .array(
                members(name).map { member in
                    [
                        "backend": .string(self.text(member)), "state": .string(state(member)),
                        "weight": JSONValue(member.spec.weight),
                        "mac": JSONValue(member.spec.station.map { SettingValue.show(macAddress: $0) }),
                        "connections": JSONValue(device.tracker.count(ofBackend: member.number)),
                        "check": JSONValue(checkText(member)),
                    ]
                }),
        ]
    }

    // MARK: lb/stats

    private func totals() -> String {
        let services = device.balancer.services.values
        let backends = services.reduce(0) { $0 + $1.members.count }
        return "services: \(services.count), backends: \(backends), "
            + "choice tables: \(device.balancer.tableBytes) bytes, "
            + "affinity evicted: \(device.balancer.affinityEvictions)\n"
    }

    private func statistics(_ name: String) -> String {
        guard let running = configured.services[name] else { return "" }
        let counts = device.balancer.counts(ofService: running.applied.number)
        let value = model.counters.value(running.applied.counter)
        var text = "Service \(name)\n    chosen: \(counts.chosen), returned: \(counts.returned), "
        text += "refused: \(counts.refused), packets: \(value.packets), bytes: \(value.bytes)\n"
        for member in members(name) {
            text += "    Backend \(self.text(member))\n        state: \(state(member)), "
            text += "connections: \(device.tracker.count(ofBackend: member.number)), "
            text += "chosen: \(device.balancer.chosen(backend: member.number))"
            if let found = health(member) {
                text += ", checks: \(found.state.successes) good, \(found.state.failures) bad, "
                text += "\(found.state.inconclusive) inconclusive, \(found.state.transitions) changes"
            }
            text += "\n"
        }
        return text
    }

    private func statisticsJSON(_ name: String) -> JSONValue? {
        guard let running = configured.services[name] else { return nil }
        let counts = device.balancer.counts(ofService: running.applied.number)
        let value = model.counters.value(running.applied.counter)
        return [
            "name": .string(name), "chosen": JSONValue(counts.chosen), "returned": JSONValue(counts.returned),
            "refused": JSONValue(counts.refused), "packets": JSONValue(value.packets), "bytes": JSONValue(value.bytes),
            "backends": .array(
                members(name).map { member in
                    [
                        "backend": .string(self.text(member)), "state": .string(state(member)),
                        "connections": JSONValue(device.tracker.count(ofBackend: member.number)),
                        "chosen": JSONValue(device.balancer.chosen(backend: member.number)),
                        "checks": checksJSON(member),
                    ]
                }),
        ]
    }

    private func checksJSON(_ member: Balancer.Member) -> JSONValue {
        guard let found = health(member) else { return .null }
        return [
            "status": .string(found.state.status.rawValue), "good": JSONValue(found.state.successes),
            "bad": JSONValue(found.state.failures), "inconclusive": JSONValue(found.state.inconclusive),
            "changes": JSONValue(found.state.transitions),
        ]
    }

    // MARK: metrics

    /// Services with more backends than this, all together, are told of without them.
    private static var shownBackends: Int { 10_000 }

    func writeServices(_ metrics: inout MetricsText) {
        let balancer = device.balancer
        let services = configured.services.sorted { $0.key < $1.key }
        let backends = balancer.services.values.reduce(0) { $0 + $1.members.count }
        metrics.family("weft_lb_services", .gauge, "Load-balanced services.")
        metrics.sample(services.count)
        metrics.family("weft_lb_backends", .gauge, "Backends of all services.")
        metrics.sample(backends)
        metrics.family(
            "weft_lb_affinity_evicted_total", .counter, "Clients forgotten before their time, for want of room.")
        metrics.sample(balancer.affinityEvictions)
        func write(_ name: String, _ help: String, _ value: (ConfiguredSwitch.RunningService) -> UInt64) {
            metrics.family("weft_lb_\(name)_total", .counter, help)
            for (name, service) in services { metrics.sample([("service", name)], value(service)) }
        }
        write("connections", "Connections that were given a backend.") {
            balancer.counts(ofService: $0.applied.number).chosen
        }
        write("refused", "Connections for which there was no backend.") {
            balancer.counts(ofService: $0.applied.number).refused
        }
        write("returned", "Connections that came back to their client's backend.") {
            balancer.counts(ofService: $0.applied.number).returned
        }
        write("packets", "Packets towards the service.") { model.counters.value($0.applied.counter).packets }
        write("bytes", "Bytes towards the service.") { model.counters.value($0.applied.counter).bytes }
        guard backends <= Self.shownBackends else { return }
        func write(
            _ name: String, _ kind: MetricsText.Kind, _ help: String, _ value: (Balancer.Member) -> UInt64
        ) {
            metrics.family("weft_lb_backend_\(name)", kind, help)
            for (name, _) in services {
                for member in members(name) {
                    metrics.sample([("service", name), ("backend", text(member))], value(member))
                }
            }
        }
        write("up", .gauge, "1 if the backend gets new connections.") { $0.accepts ? 1 : 0 }
        write("connections", .gauge, "Connections now.") { device.tracker.count(ofBackend: $0.number) }
        write("connections_total", .counter, "Connections given to the backend.") {
            balancer.chosen(backend: $0.number)
        }
    }
}
