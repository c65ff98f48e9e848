import Balancer
import Base
import Dataplane
import Logging

// Health checks of backends. The monitor knows each by its number in the balancer; what it finds comes back through an inbox, and
// from there, on the control thread, into the balancer. A backend counts as alive until it is found not to be.
extension ConfiguredSwitch {
    /// A backend that is checked: whose it is, and what the monitor was told.
    struct CheckedBackend {
        var service: String
        var target: HealthTarget
    }

    /// Checks the backends of a service as it says now, and none of those that are gone.
    func updateChecks(_ name: String, gone: [UInt32]) {
        forgetChecks(gone)
        guard let service = services[name]?.configuration, let running = device.balancer.services[name] else { return }
        guard service.check.kind != nil else {
            forgetChecks(running.members.map(\.number))
            device.balancer.setAllHealthy(service: name)
            return
        }
        var targets: [HealthTarget] = []
        var unknown: [UInt32: Bool] = [:]
        for member in running.members {
            let target = HealthTarget(
                id: UInt64(member.number), address: member.spec.healthAddress, port: member.spec.port,
                check: service.check)
            let old = checked.updateValue(CheckedBackend(service: name, target: target), forKey: member.number)
            // What was found by asking something else says nothing.
            if let old, !target.asksTheSame(as: old.target) { unknown[member.number] = true }
            targets.append(target)
        }
        device.balancer.setHealth(unknown, service: name)
        let monitor = monitor ?? HealthMonitor { [healthInbox] in healthInbox.post($0) }
        self.monitor = monitor
        monitor.insert(targets)
    }

    private func forgetChecks(_ numbers: [UInt32]) {
        let known = numbers.filter { checked.removeValue(forKey: $0) != nil }
        if !known.isEmpty { monitor?.remove(known.map { UInt64($0) }) }
    }

    /// Takes over what checks have found since the last time: all of a service at once, since many of its backends may have gone
    /// together, and every change costs a table of choices.
    public func applyHealth() { apply(healthInbox.take()) }

    package func apply(_ found: [HealthChange]) {
        var changes: [String: [UInt32: HealthChange]] = [:]
        for change in found {
            let number = UInt32(truncatingIfNeeded: change.target.id)
            // It may be about a backend that is gone, whose number another has by now, or that is checked otherwise.
            guard let known = checked[number], change.target.asksTheSame(as: known.target) else { continue }
            changes[known.service, default: [:]][number] = change
        }
        for (name, changes) in changes.sorted(by: { $0.key < $1.key }) {
            for member in device.balancer.setHealth(changes.mapValues { $0.new != .down }, service: name) {
                guard let change = changes[member.number] else { continue }
                let backend = change.target.address.text(port: change.target.port)
                log.notice("service \(name): backend \(backend) is \(change.new.rawValue): \(change.reason)")
            }
        }
        device.settleServices()
    }

    /// `body` is called on another thread when there is something for `applyHealth`.
    func onHealthChange(_ body: @escaping @Sendable () -> Void) { healthInbox.onFirst(body) }

    /// What is known of some backends, by number; those that are not checked are left out.
    func health(of members: [Balancer.Member]) -> [UInt32: HealthStatistics] {
        let ids = members.filter { checked[$0.number] != nil }.map { UInt64($0.number) }
        guard !ids.isEmpty, let monitor else { return [:] }
        return Dictionary(
            uniqueKeysWithValues: monitor.statistics(of: ids).map { (UInt32(truncatingIfNeeded: $0.key), $0.value) })
    }

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
