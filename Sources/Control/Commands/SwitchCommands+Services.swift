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
            let words = invocation.arguments.dropFirst()
            try self.configured.setServices([try Self.changed(ServiceConfiguration(name: name), words)])
            return .done
        }
        registry.bind("lb/set") { invocation throws(CommandError) in
            try self.setServices(invocation.arguments[0], invocation.arguments.dropFirst())
            return .done
        }
        registry.bind("lb/del") { invocation throws(CommandError) in
            let name = invocation.arguments[0]
            if invocation.has("--if-exists"), self.configured.services[name] == nil { return .done }
            try self.configured.deleteService(name)
            return .done
        }
        registry.bind("lb/backend") { invocation throws(CommandError) in
            try self.changeBackend(invocation)
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
                    names, isJSON: invocation.wantsJSON, heading: isWhole ? self.totals() : nil,
                    text: self.statistics, json: self.statisticsJSON))
        }
    }

    private static func changed(
        _ service: ServiceConfiguration, _ words: some Sequence<String>
    ) throws(CommandError) -> ServiceConfiguration {
        var service = service
        // Settings of a check go with it; those that are given beside this one are refused as ever.
        if words.contains(where: { $0 == "check=none" || $0 == "check=" }) { service.check = HealthCheck() }
        do throws(CommandError) { try Self.apply(words, to: &service) } catch {
            guard case .refused(let reason) = error else { throw error }
            throw .refused("service \(service.name): \(reason)")
        }
        return service
    }

    /// Changes several services at once, as they may have to share what is changed: the MAC address of their VIP, their zone.
    private func setServices(_ names: String, _ words: some Sequence<String>) throws(CommandError) {
        var wanted: [ServiceConfiguration] = []
        for name in names.split(separator: ",", omittingEmptySubsequences: false).map(String.init) {
            guard !wanted.contains(where: { $0.name == name }) else {
                throw .refused("service \(name) is there twice")
            }
            wanted.append(try Self.changed(try configured.service(name), words))
        }
        try configured.setServices(wanted)
    }

    private func serviceNames(_ invocation: Invocation) throws(CommandError) -> [String] {
        guard let name = invocation.arguments.first else { return configured.services.keys.sorted() }
        _ = try configured.service(name)
        return [name]
    }

    /// Some services a step: there may be very many.
    private func walk(
        _ names: [String], isJSON: Bool, heading: Totals? = nil, text: @escaping (String) -> String,
        json: @escaping (String) -> JSONValue?
    ) -> AnswerSteps {
        var left = names[...]
        var heading = heading
        return AnswerSteps(isJSON: isJSON) {
            if let first = heading {
                heading = nil
                return isJSON ? .elements([["totals": first.json]]) : .text(first.text)
            }
            guard !left.isEmpty else { return nil }
            let some = left.prefix(32)
            left = left.dropFirst(32)
            return isJSON ? .elements(some.compactMap(json)) : .text(some.map(text).joined())
        }
    }

    // MARK: lb/backend

    private enum BackendVerb: String, CaseIterable { case add, drain, activate, weight, del }

    private func changeBackend(_ invocation: Invocation) throws(CommandError) {
        let words = invocation.arguments
        func usage(_ what: String) -> CommandError {
            .usage(
                "\(invocation.name): \(what)",
                usage: CommandCatalogue.spec(invocation.name)?.usageLine ?? invocation.name)
        }
        let verb: BackendVerb
        do throws(SettingError) { verb = try SettingValue.choice(words[0]) } catch { throw usage(error.description) }
        guard words.count == (verb == .weight ? 4 : 3) else {
            throw usage(
                verb == .weight ? "weight needs a number behind the backend" : "unexpected \"\(words[3].echoed)\"")
        }
        var service = try configured.service(words[1])
        do throws(SettingError) {
            if verb == .add {
                service.backends.append(try ServiceText.backend(words[2]))
            } else {
                let endpoint = try ServiceText.endpoint(words[2])
                guard let place = service.backends.firstIndex(where: { $0.endpoint() == endpoint }) else {
                    throw SettingError("no backend \(endpoint.text)")
                }
                switch verb {
                case .add: break
                case .drain: service.backends[place].isDrained = true
                case .activate: service.backends[place].isDrained = false
                case .del: service.backends.remove(at: place)
                case .weight: service.backends[place].weight = try ServiceText.weight(words[3], of: words[2])
                }
            }
        } catch { throw .refused("service \(service.name): \(error)") }
        try configured.setServices([service])
    }

    // MARK: lb/show

    private func members(_ name: String) -> [Balancer.Member] { device.balancer.services[name]?.members ?? [] }

    /// What a backend is for new connections.
    private func state(_ member: Balancer.Member) -> String {
        if member.spec.isDrained { return "drain" }
        return member.isHealthy ? "up" : "down"
    }

    /// What its last check found, and when.
    private func checkText(_ member: Balancer.Member, _ found: HealthStatistics?) -> String? {
        guard let found, let result = found.lastResult else {
            return configured.checked[member.number] == nil ? nil : "check: not yet"
        }
        return "check: \(found.state.status.rawValue), \(result.text), \((found.lastCheckAge ?? 0) / 1000)s ago"
    }

    private func text(_ member: Balancer.Member) -> String { member.spec.endpoint().text }

    /// What holds for a service: what was set, and what is always there to be known.
    private func settings(_ service: ServiceConfiguration) -> [Setting] {
        var settings = service.settings.filter { $0.key != "backends" }
        if service.algorithm == .roundRobin { settings.append(Setting("algorithm", service.algorithm.rawValue)) }
        if service.station == nil, service.effectiveStation != 0 {
            settings.append(Setting("mac", SettingValue.show(macAddress: service.effectiveStation)))
        }
        return settings
    }

    private func describe(_ name: String) -> String {
        guard let service = configured.services[name]?.configuration else { return "" }
        var text = "Service \(name)\n    "
        text += settings(service).map { "\($0.key): \($0.value)" }.joined(separator: ", ") + "\n"
        let members = members(name)
        let found = configured.health(of: members)
        for member in members {
            text += "    Backend \(self.text(member))\n        "
            var words = ["state: \(state(member))", "weight: \(member.spec.weight)"]
            if let station = member.spec.station { words.append("mac: \(SettingValue.show(macAddress: station))") }
            words.append("connections: \(device.tracker.count(ofBackend: member.number))")
            if let check = checkText(member, found[member.number]) { words.append(check) }
            text += words.joined(separator: ", ") + "\n"
        }
        return text
    }

    private func json(_ name: String) -> JSONValue? {
        guard let service = configured.services[name]?.configuration else { return nil }
        let members = members(name)
        let found = configured.health(of: members)
        return [
            "name": .string(name),
            "settings": .object(settings(service).map { JSONValue.Member($0.key, .string($0.value)) }),
            "backends": .array(
                members.map { member in
                    [
                        "backend": .string(self.text(member)), "state": .string(state(member)),
                        "weight": JSONValue(member.spec.weight),
                        "mac": JSONValue(member.spec.station.map { SettingValue.show(macAddress: $0) }),
                        "connections": JSONValue(device.tracker.count(ofBackend: member.number)),
                        "check": JSONValue(checkText(member, found[member.number])),
                    ]
                }),
        ]
    }

    // MARK: lb/stats

    /// What all services have together.
    private struct Totals {
        var use = BalancerUse()
        var evicted: UInt64 = 0
        /// Of health checks; nil where nothing was ever checked.
        var load: HealthLoad?

        var text: String {
            let first =
                "services: \(use.services), backends: \(use.backends), choice tables: \(use.tableBytes) bytes, "
                + "affinity evicted: \(evicted)\n"
            guard let load else { return first }
            return first + "health checks: backends: \(load.targets), running: \(load.running), "
                + "started: \(load.started), late: \(load.late)\n"
        }

        var json: JSONValue {
            let checks: JSONValue? = load.map {
                [
                    "backends": JSONValue($0.targets), "running": JSONValue($0.running),
                    "started": JSONValue($0.started), "late": JSONValue($0.late),
                ]
            }
            return [
                "services": JSONValue(use.services), "backends": JSONValue(use.backends),
                "choice_table_bytes": JSONValue(use.tableBytes), "affinity_evicted": JSONValue(evicted),
                "health_checks": checks ?? .null,
            ]
        }
    }

    private func totals() -> Totals {
        Totals(
            use: device.balancer.use, evicted: device.balancer.affinityEvictions, load: configured.monitor?.load)
    }

    private func statistics(_ name: String) -> String {
        guard let running = configured.services[name] else { return "" }
        let counts = device.balancer.counts(ofService: running.applied.number)
        let value = model.counters.value(running.applied.counter)
        var text = "Service \(name)\n    chosen: \(counts.chosen), returned: \(counts.returned), "
        text += "refused: \(counts.refused), packets: \(value.packets), bytes: \(value.bytes)\n"
        let members = members(name)
        let found = configured.health(of: members)
        for member in members {
            text += "    Backend \(self.text(member))\n        state: \(state(member)), "
            text += "connections: \(device.tracker.count(ofBackend: member.number)), "
            text += "chosen: \(device.balancer.chosen(backend: member.number))"
            if let state = found[member.number]?.state {
                text += ", checks: \(state.successes) good, \(state.failures) bad, "
                text += "\(state.inconclusive) inconclusive, \(state.transitions) changes"
            }
            text += "\n"
        }
        return text
    }

    private func statisticsJSON(_ name: String) -> JSONValue? {
        guard let running = configured.services[name] else { return nil }
        let counts = device.balancer.counts(ofService: running.applied.number)
        let value = model.counters.value(running.applied.counter)
        let members = members(name)
        let found = configured.health(of: members)
        return [
            "name": .string(name), "chosen": JSONValue(counts.chosen), "returned": JSONValue(counts.returned),
            "refused": JSONValue(counts.refused), "packets": JSONValue(value.packets), "bytes": JSONValue(value.bytes),
            "backends": .array(
                members.map { member in
                    [
                        "backend": .string(self.text(member)), "state": .string(state(member)),
                        "connections": JSONValue(device.tracker.count(ofBackend: member.number)),
                        "chosen": JSONValue(device.balancer.chosen(backend: member.number)),
                        "checks": Self.json(found[member.number]),
                    ]
                }),
        ]
    }

    private static func json(_ found: HealthStatistics?) -> JSONValue {
        guard let found else { return .null }
        return [
            "status": .string(found.state.status.rawValue), "good": JSONValue(found.state.successes),
            "bad": JSONValue(found.state.failures), "inconclusive": JSONValue(found.state.inconclusive),
            "changes": JSONValue(found.state.transitions),
        ]
    }
}
