import Balancer
import Base
import Dataplane
import Pipeline

// Load-balanced services. A change is checked in full first: its own values, the names that it is applied at, clashes with other
// services, the balancer's limits. Then the balancer gets it, so that its number means something, then the translator, and last
// the connections of backends that are gone are ended, when no worker can choose them any more.
extension ConfiguredSwitch {
    /// A service that runs.
    struct RunningService {
        var configuration: ServiceConfiguration
        var applied: AppliedService
    }

    /// Adds a service, or makes the one of its name what the configuration says. Backends that stay keep their connections.
    ///
    /// - Parameter waits: names that it is applied at need not be there yet.
    func setService(_ service: ServiceConfiguration, waits: Bool = false) throws(CommandError) {
        func refused(_ text: String) -> CommandError { .refused("service \(service.name): \(text)") }
        do throws(SettingError) { try service.validate() } catch { throw refused(error.description) }
        guard let vip = service.vip else { throw refused("a service needs vip=IP:PORT") }
        guard service.check.kind == nil || checksHealth else {
            throw refused("check: weft-replay makes no health checks")
        }
        let old = services[service.name]
        if !waits { for name in service.places { try checkPlace(name, of: service) } }
        for name in service.places { try checkClashes(of: service, vip, at: name) }
        let spec = service.spec(vip)
        do throws(BalancerError) { try device.balancer.check(spec) } catch { throw refused(error.description) }
        guard let counter = old?.applied.counter ?? model.makeServiceCounter(now: now) else {
            throw refused("no counters left: the switch takes 16,777,216 flows, groups, buckets and services")
        }
        // What its connections are would not hold any more.
        if let old, !old.configuration.isContinued(by: service) { end(service.name, old) }
        let outcome = try refusing { () throws(BalancerError) in try device.balancer.set(spec) }
        let applied = Self.applied(service, spec, number: outcome.number, counter)
        let before = services[service.name]
        if applied != before?.applied || service.places != before?.configuration.places {
            model.changeServices(
                removing: (before?.configuration.places ?? []).map { ($0, service.name) },
                adding: service.places.map { ($0, applied) })
        }
        services[service.name] = RunningService(configuration: service, applied: applied)
        updateChecks(service.name, gone: outcome.gone)
        device.settleServices(ending: Set(outcome.gone))
    }

    func deleteService(_ name: String) throws(CommandError) {
        guard let old = services[name] else { throw .refused("no service named \(name.echoed)") }
        end(name, old)
        model.releaseServiceCounter(old.applied.counter)
    }

    /// Takes a service away, with its connections.
    private func end(_ name: String, _ old: RunningService) {
        services[name] = nil
        let gone = device.balancer.remove(name) ?? []
        updateChecks(name, gone: gone)
        model.changeServices(removing: old.configuration.places.map { ($0, name) }, adding: [])
        device.settleServices(ending: Set(gone))
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
        if service.mode != .dsr {
            applied.sources = spec.backends.map {
                Endpoint(
                    address: $0.address, isIPv6: spec.endpoint.isIPv6, ipProtocol: spec.endpoint.ipProtocol,
                    port: $0.port)
            }
        }
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

    private func checkClashes(of service: ServiceConfiguration, _ vip: Endpoint, at place: String) throws(CommandError)
    {
        for name in [place] + neighbours(of: place) {
            guard let scope = model.state.scopes[name] else { continue }
            if let other = scope.service(at: vip), other.name != service.name {
                throw .refused(
                    "service \(service.name): vip: \(vip.text)/\(vip.protocolName) is that of service \(other.name) at \(name)"
                )
            }
            if let other = scope.anyService(but: service.name), other.zone != service.zone {
                throw .refused(
                    "service \(service.name): zone: \(service.zone), but service \(other.name) at \(name) has zone "
                        + "\(other.zone); services that meet the same packets share a zone")
            }
            if let other = scope.answeringService(at: vip, but: service.name), !service.answers.isEmpty,
                other.station != service.effectiveStation
            {
                throw .refused(
                    "service \(service.name): mac: service \(other.name) at \(name) answers for the same address as "
                        + SettingValue.show(macAddress: other.station))
            }
        }
    }
}
