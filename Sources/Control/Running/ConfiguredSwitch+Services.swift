import Balancer
import Base
import Dataplane
import Pipeline

// Load-balanced services. A change is checked in full first: its own values, the names that it is applied at, clashes with other
// services, the balancer's limits. Then the translator learns of backends that are new, then the balancer gets the change, so that
// numbers mean something, then the translator all the rest, and last the connections of backends that are gone are ended, when no
// worker can choose them any more. Where several services change together, each of these steps is one for all of them: at no time
// are there two that clash.
extension ConfiguredSwitch {
    /// A service that runs.
    struct RunningService {
        var configuration: ServiceConfiguration
        var applied: AppliedService
    }

    /// Adds services, or makes those of their names what their configurations say. Backends that stay keep their connections and
    /// what is known of their health.
    ///
    /// - Parameters:
    ///   - deleting: services that go, once it is certain that the others can be.
    ///   - isChecked: they are part of a configuration that is as it must be as a whole.
    func setServices(
        _ wanted: [ServiceConfiguration], deleting: [String] = [], isChecked: Bool = false
    ) throws(CommandError) {
        var specs: [ServiceSpec] = []
        for service in wanted { specs.append(try spec(service)) }
        if !isChecked { try checkClashes(wanted) }
        let checked: Balancer.Checked
        do throws(BalancerError) { checked = try device.balancer.check(specs, without: deleting) } catch {
            throw .refused(wanted.count == 1 ? "service \(wanted[0].name): \(error)" : error.description)
        }
        let counters = try makeCounters(wanted)
        for name in deleting { try deleteService(name) }
        admitSources(zip(wanted, specs))
        // What connections of these are would not hold any more.
        var ending: Set<UInt32> = []
        for service in wanted {
            guard let old = services[service.name], !old.configuration.isContinued(by: service) else { continue }
            ending.formUnion(device.balancer.services[service.name]?.members.map(\.number) ?? [])
        }
        let outcomes = device.balancer.set(checked)
        var gone: [(scope: String, service: String)] = []
        var new: [(scope: String, service: AppliedService)] = []
        for (i, service) in wanted.enumerated() {
            let applied = Self.applied(service, specs[i], number: outcomes[i].number, counters[i])
            let before = services.updateValue(
                RunningService(configuration: service, applied: applied), forKey: service.name)
            guard applied != before?.applied || service.places != before?.configuration.places else { continue }
            gone += (before?.configuration.places ?? []).map { ($0, service.name) }
            new += service.places.map { ($0, applied) }
        }
        model.changeServices(removing: gone, adding: new)
        for (service, outcome) in zip(wanted, outcomes) {
            updateChecks(service.name, gone: outcome.gone)
            ending.formUnion(outcome.gone)
        }
        device.settleServices(ending: ending)
    }

    /// What must hold for a service whatever the others are.
    private func spec(_ service: ServiceConfiguration) throws(CommandError) -> ServiceSpec {
        func refused(_ text: String) -> CommandError { .refused("service \(service.name): \(text)") }
        do throws(SettingError) { try service.validate() } catch { throw refused(error.description) }
        guard let vip = service.vip else { throw refused("a service needs vip=IP:PORT") }
        guard service.check.kind == nil || checksHealth else {
            throw refused("check: weft-replay makes no health checks")
        }
        for name in service.places { try checkPlace(name, of: service) }
        return service.spec(vip)
    }

    /// A counter for each service: that which it has, or a new one.
    private func makeCounters(_ wanted: [ServiceConfiguration]) throws(CommandError) -> [CounterHandle] {
        var counters: [CounterHandle] = []
        var made: [CounterHandle] = []
        for service in wanted {
            if let old = services[service.name] {
                counters.append(old.applied.counter)
            } else if let counter = model.makeServiceCounter(now: now) {
                counters.append(counter)
                made.append(counter)
            } else {
                for counter in made { model.releaseServiceCounter(counter) }
                throw .refused(
                    "service \(service.name): no counters left: the switch takes 16,777,216 flows, groups, buckets and services"
                )
            }
        }
        return counters
    }

    /// Replies of backends that services are about to get are known as such before a worker can choose one: it would go to its
    /// client untranslated.
    private func admitSources(_ wanted: some Sequence<(ServiceConfiguration, ServiceSpec)>) {
        var gone: [(scope: String, service: String)] = []
        var new: [(scope: String, service: AppliedService)] = []
        for (service, spec) in wanted {
            guard var running = services[service.name] else { continue }
            let known = Set(running.applied.sources)
            let missing = service.translated(spec.endpoint).filter { !known.contains($0) }
            guard !missing.isEmpty else { continue }
            running.applied.sources += missing
            services[service.name] = running
            gone += running.configuration.places.map { ($0, service.name) }
            new += running.configuration.places.map { ($0, running.applied) }
        }
        model.changeServices(removing: gone, adding: new)
    }

    /// Takes a service away, with its connections.
    func deleteService(_ name: String) throws(CommandError) {
        guard let old = services.removeValue(forKey: name) else { throw .refused("no service named \(name.echoed)") }
        let gone = device.balancer.remove(name) ?? []
        updateChecks(name, gone: gone)
        model.changeServices(removing: old.configuration.places.map { ($0, name) }, adding: [])
        device.settleServices(ending: Set(gone))
        model.releaseServiceCounter(old.applied.counter)
    }

    func service(_ name: String) throws(CommandError) -> ServiceConfiguration {
        guard let service = services[name] else { throw .refused("no service named \(name.echoed)") }
        return service.configuration
    }

    /// Refuses to take a port or bridge away that services are applied at.
    func checkUnapplied(_ names: some Sequence<String>) throws(CommandError) {
        for name in names {
            guard let scope = model.state.scopes[name], let service = scope.services.keys.min() else { continue }
            let others = scope.services.count > 1 ? " and \(scope.services.count - 1) more" : ""
            throw .refused(
                "\(name) has load balancing applied (service \(service)\(others)): lb/del or lb/set apply=... first")
        }
    }

    private static func applied(
        _ service: ServiceConfiguration, _ spec: ServiceSpec, number: UInt32, _ counter: CounterHandle
    ) -> AppliedService {
        var applied = AppliedService(
            name: service.name, number: number, endpoint: spec.endpoint, zone: service.zone, counter: counter)
        applied.isDirect = service.mode == .dsr
        applied.steers = spec.steers
        applied.station = spec.station
        for answer in service.answers {
            switch answer {
            case .arp: applied.answers.insert(.arp)
            case .nd: applied.answers.insert(.nd)
            case .echo: applied.answers.insert(.echo)
            }
        }
        applied.sources = service.translated(spec.endpoint)
        if let sources = service.sources, sources.lowerBound == sources.upperBound {
            applied.standIn = sources.lowerBound
        }
        return applied
    }

    /// Ports and bridges have names of one kind, so one of both is meant.
    private func checkPlace(_ name: String, of service: ServiceConfiguration) throws(CommandError) {
        if model.state.bridge(named: name) != nil { return }
        guard let port = model.state.port(named: name) else {
            throw .refused("service \(service.name): apply: no bridge or port named \(name.echoed)")
        }
        if case .patch = port.kind {
            throw .refused(
                "service \(service.name): apply: \(name) is a patch port; services take packets where they enter the switch"
            )
        }
    }

    /// Names of ports of a bridge, or of the bridge of a port: services there meet the same packets.
    private func neighbours(of name: String) -> [String] {
        let state = model.state
        if let bridge = state.bridge(named: name) {
            return bridge.ports.values.compactMap { state.port($0)?.name }.filter { $0 != name }
        }
        guard let port = state.port(named: name), let bridge = state.bridges[port.bridge] else { return [] }
        return [bridge.name]
    }

    /// Whether services can be beside those that run, and beside each other.
    private func checkClashes(_ wanted: [ServiceConfiguration]) throws(CommandError) {
        let names = Set(wanted.map(\.name))
        for service in wanted {
            for place in service.places {
                for name in [place] + neighbours(of: place) {
                    guard let scope = model.state.scopes[name], let (clash, other) = clash(service, scope, but: names)
                    else { continue }
                    throw .refused("service \(service.name): \(clash.key): \(clash.text(other: "service \(other)"))")
                }
            }
        }
        guard wanted.count > 1 else { return }
        let state = model.state
        var finder = ServiceClashFinder { name in
            state.bridge(named: name) != nil
                ? nil : state.port(named: name).flatMap { state.bridges[$0.bridge]?.name }
        }
        for service in wanted {
            guard let (clash, other) = finder.add(service) else { continue }
            throw .refused(
                "service \(service.name): \(clash.key): \(clash.text(other: "service \(wanted[other].name)"))")
        }
    }

    private func clash(
        _ service: ServiceConfiguration, _ scope: ServiceScope, but names: Set<String>
    ) -> (ServiceClash, other: String)? {
        guard let vip = service.vip else { return nil }
        func clash(_ kind: ServiceClash.Kind, _ other: AppliedService) -> (ServiceClash, String) {
            (ServiceClash(kind: kind, place: scope.name), other.name)
        }
        if let other = scope.service(at: vip, but: names) { return clash(.vip(vip), other) }
        if let other = scope.anyService(but: names), other.zone != service.zone {
            return clash(.zone(service.zone, other: other.zone), other)
        }
        if !service.answers.isEmpty, let other = scope.answeringService(at: vip, but: names),
            other.station != service.effectiveStation
        {
            return clash(.station(other.station), other)
        }
        if let other = scope.service(withBackend: vip, but: names) { return clash(.chained(vip), other) }
        for backend in service.translated(vip) {
            if let other = scope.service(at: backend, but: names) { return clash(.backend(backend), other) }
        }
        return nil
    }
}
