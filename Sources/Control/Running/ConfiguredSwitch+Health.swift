import Balancer
import Base
import Dataplane
import Logging

// Health checks of backends. The monitor knows each by its number in the balancer; what it finds comes back through an inbox, and
// from there, on the control thread, into the balancer. A backend counts as alive until it is found not to be.
extension ConfiguredSwitch {
    /// Checks the backends of a service as it says now, and none of those that are gone.
    func updateChecks(_ name: String, gone: [UInt32]) {
        forgetChecks(gone)
        guard let service = services[name]?.configuration, let running = device.balancer.services[name] else { return }
        guard service.check.kind != nil else {
            forgetChecks(running.members.map(\.number))
            for member in running.members { device.balancer.setHealth(true, of: member.spec, service: name) }
            return
        }
        var targets: [HealthTarget] = []
        for member in running.members {
            checked[member.number] = name
            targets.append(
                HealthTarget(
                    id: UInt64(member.number), address: member.spec.healthAddress, port: member.spec.port,
                    check: service.check))
        }
        let monitor = monitor ?? HealthMonitor { [healthInbox] in healthInbox.post($0) }
        self.monitor = monitor
        monitor.insert(targets)
    }

    private func forgetChecks(_ numbers: [UInt32]) {
        let known = numbers.filter { checked.removeValue(forKey: $0) != nil }
        if !known.isEmpty { monitor?.remove(known.map { UInt64($0) }) }
    }

    /// Takes over what checks have found since the last time.
    public func applyHealth() {
        for change in healthInbox.take() {
            // It may be about a backend that is gone, or whose number another has by now.
            guard let name = checked[UInt32(truncatingIfNeeded: change.target.id)],
                let member = device.balancer.services[name]?.members.first(where: {
                    UInt64($0.number) == change.target.id
                }), member.spec.healthAddress == change.target.address, member.spec.port == change.target.port,
                device.balancer.setHealth(change.new != .down, of: member.spec, service: name)
            else { continue }
            let backend = change.target.address.text(port: change.target.port)
            log.notice("service \(name): backend \(backend) is \(change.new.rawValue): \(change.reason)")
        }
        device.settleServices()
    }

    /// `body` is called on another thread when there is something for `applyHealth`.
    func onHealthChange(_ body: @escaping @Sendable () -> Void) { healthInbox.onFirst(body) }

    /// Ends all checks.
    public func stopChecks() {
        monitor?.stop()
        monitor = nil
        checked = [:]
    }
}

extension BackendSpec {
    var healthAddress: HealthAddress {
        isIPv6 ? .ipv6(address) : .ipv4(UInt32(truncatingIfNeeded: address))
    }
}
