import Balancer
import Base

extension SwitchModel {
    /// Makes services applied and not applied at ports and bridges, by name: all of it in one change. A name may stand for
    /// nothing now; services wait there for the port or bridge that will have it.
    ///
    /// The caller has checked that nothing clashes. Counters of services that go are the caller's to release.
    public func changeServices(
        removing gone: [(scope: String, service: String)], adding new: [(scope: String, service: AppliedService)]
    ) {
        guard !gone.isEmpty || !new.isEmpty else { return }
        // Where a port gets its first services, its packets have to be looked at again.
        let touched = Set(gone.map(\.scope) + new.map(\.scope))
        var dependencies: Dependencies = .services
        if touched.contains(where: { state.scopes[$0] == nil }) { dependencies.formUnion(.ports) }
        change(dependencies) { state in
            for (scope, service) in gone { state.scopes[scope]?.remove(service) }
            for (name, service) in new {
                let scope = state.scopes[name] ?? ServiceScope(name: name)
                state.scopes[name] = scope
                scope.add(service)
            }
            for name in touched {
                if state.scopes[name]?.isEmpty == true { state.scopes[name] = nil }
                state.attachScope(name)
            }
        }
    }

    /// A counter of packets and bytes.
    public func makeServiceCounter(now: UInt64) -> CounterHandle? { counters.allocate(now: now) }
    public func releaseServiceCounter(_ counter: CounterHandle) { counters.release(counter) }
}

extension SwitchState {
    /// The services applied at a port of this name, or at a bridge, go to where translation looks.
    func attachScope(_ name: String) {
        let scope = scopes[name]
        if let bridge = bridge(named: name) {
            bridge.scope = scope
        } else if let port = port(named: name) {
            attachScope(scope, to: Int(port.index.rawValue))
        }
    }

    func attachScope(_ scope: ServiceScope?, to index: Int) {
        guard scope != nil || index < portScopes.count else { return }
        while portScopes.count <= index { portScopes.append(nil) }
        portScopes[index] = scope
    }
}
