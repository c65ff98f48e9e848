import Balancer
import Base
import Conntrack
import Dataplane
import Pipeline

// Metrics of load-balanced services and of health checks.
extension SwitchCommands {
    /// Services with more backends than this, all together, are told of without them.
    private static var shownBackends: Int { 10_000 }

    func writeServices(_ metrics: inout MetricsText) {
        let balancer = device.balancer
        let services = configured.services.sorted { $0.key < $1.key }
        metrics.family("weft_lb_services", .gauge, "Load-balanced services.")
        metrics.sample(balancer.use.services)
        metrics.family("weft_lb_backends", .gauge, "Backends of all services.")
        metrics.sample(balancer.use.backends)
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
        write("refused", "Packets that would have begun a connection, for which there was no backend.") {
            balancer.counts(ofService: $0.applied.number).refused
        }
        write("returned", "Connections that came back to their client's backend.") {
            balancer.counts(ofService: $0.applied.number).returned
        }
        write("packets", "Packets towards the service.") { model.counters.value($0.applied.counter).packets }
        write("bytes", "Bytes towards the service.") { model.counters.value($0.applied.counter).bytes }
        writeChecks(&metrics)
        guard balancer.use.backends <= Self.shownBackends else { return }
        let members = services.flatMap { service in
            (balancer.services[service.key]?.members ?? []).map { (service.key, $0) }
        }
        func labels(_ service: String, _ member: Balancer.Member) -> [(String, String)] {
            [("service", service), ("backend", member.spec.endpoint().text)]
        }
        func write(
            _ name: String, _ kind: MetricsText.Kind, _ help: String, _ value: (Balancer.Member) -> UInt64
        ) {
            metrics.family("weft_lb_backend_\(name)", kind, help)
            for (service, member) in members { metrics.sample(labels(service, member), value(member)) }
        }
        write("up", .gauge, "1 if the backend gets new connections.") { $0.accepts ? 1 : 0 }
        write("connections", .gauge, "Connections now.") { device.tracker.count(ofBackend: $0.number) }
        write("connections_total", .counter, "Connections given to the backend.") {
            balancer.chosen(backend: $0.number)
        }
        let found = configured.health(of: members.map(\.1))
        let checked = members.compactMap { service, member in
            found[member.number].map { (labels: labels(service, member), state: $0.state) }
        }
        metrics.family("weft_lb_backend_health", .gauge, "1 for the state that health checks have found, 0 for others.")
        for backend in checked {
            for status in HealthStatus.allCases {
                metrics.sample(
                    backend.labels + [("state", status.rawValue)], backend.state.status == status ? 1 : 0)
            }
        }
        metrics.family("weft_lb_backend_checks_total", .counter, "Health checks of the backend that have ended.")
        for backend in checked {
            let results = [
                ("good", backend.state.successes), ("bad", backend.state.failures),
                ("inconclusive", backend.state.inconclusive),
            ]
            for (result, count) in results { metrics.sample(backend.labels + [("result", result)], count) }
        }
    }

    private func writeChecks(_ metrics: inout MetricsText) {
        guard let load = configured.monitor?.load else { return }
        metrics.family("weft_health_targets", .gauge, "Backends whose health is checked.")
        metrics.sample(load.targets)
        metrics.family("weft_health_checks_running", .gauge, "Health checks under way.")
        metrics.sample(load.running)
        metrics.family("weft_health_checks_total", .counter, "Health checks begun.")
        metrics.sample(load.started)
        metrics.family(
            "weft_health_checks_late_total", .counter, "Health checks begun later than an interval after their time.")
        metrics.sample(load.late)
    }
}
