import Base
import Conntrack
import Dataplane
import Pipeline

extension ConfiguredSwitch {
    /// Makes connection tracking what a configuration says. What is refused changes nothing. Connections stay; timeouts count
    /// for each of them from its next packet on.
    func setTracking(_ wanted: TrackingConfiguration) throws(CommandError) {
        let tracker = device.tracker
        guard wanted.settings.maximumConnections <= tracker.capacity else {
            throw .refused(
                "maxconns \(wanted.settings.maximumConnections): the table was made for \(tracker.capacity); more takes a "
                    + "restart with the number in the configuration file")
        }
        try checkPolicies(wanted)
        tracker.limit = wanted.settings.maximumConnections
        tracker.checksSequenceNumbers = wanted.settings.checksSequenceNumbers
        tracker.isLiberal = wanted.settings.isLiberal
        tracker.picksUpMidstream = wanted.settings.picksUpMidstream
        tracker.earlyDropAge = wanted.settings.earlyDropAge ?? .max
        if device.reassembler.limits != wanted.settings.fragments {
            device.reassembler.limits = wanted.settings.fragments
        }
        setLimits(wanted)
        setTimeouts(wanted)
        setPolicies(wanted)
        tracking = wanted
    }

    private func setLimits(_ wanted: TrackingConfiguration) {
        let tracker = device.tracker
        tracker.defaultZoneLimit = wanted.defaultLimit
        for zone in tracking.limits.keys where wanted.limits[zone] == nil { tracker.setLimit(nil, zone: zone) }
        for (zone, limit) in wanted.limits { tracker.setLimit(limit, zone: zone) }
    }

    private func setTimeouts(_ wanted: TrackingConfiguration) {
        guard wanted.timeouts != tracking.timeouts || wanted.zoneTimeouts != tracking.zoneTimeouts else { return }
        let tracker = device.tracker
        tracker.setTimeouts(wanted.policy(zone: nil), zone: nil)
        for zone in tracking.zoneTimeouts.keys where wanted.zoneTimeouts[zone] == nil {
            tracker.removeTimeouts(zone: zone)
        }
        // All of them: what a zone does not set follows the default.
        for zone in wanted.zoneTimeouts.keys { tracker.setTimeouts(wanted.policy(zone: zone), zone: zone) }
    }

    /// A policy that rules name stays.
    private func checkPolicies(_ wanted: TrackingConfiguration) throws(CommandError) {
        let gone = tracking.policies.keys.filter { wanted.policies[$0] == nil }
        guard !gone.isEmpty else { return }
        let used = model.timeoutPoliciesInUse()
        for name in gone.sorted() {
            guard let number = policyNumbers[name], let bridge = used[number] else { continue }
            throw .refused(
                "timeout policy \(name) is in use: flows or groups of \(bridge.echoed) name it in ct(timeout=\(name))")
        }
    }

    private func setPolicies(_ wanted: TrackingConfiguration) {
        let tracker = device.tracker
        for name in tracking.policies.keys where wanted.policies[name] == nil {
            if let number = policyNumbers.removeValue(forKey: name) { tracker.setTimeouts(nil, named: number) }
        }
        for name in wanted.policies.keys.sorted() {
            let number = policyNumbers[name] ?? freePolicyNumber()
            policyNumbers[name] = number
            tracker.setTimeouts(wanted.policy(named: name), named: number)
        }
    }

    /// In turn: connections of a policy that is gone have the default timeouts until its number is given out again.
    private func freePolicyNumber() -> UInt8 {
        let taken = Set(policyNumbers.values)
        repeat {
            lastPolicyNumber = lastPolicyNumber == .max ? 1 : lastPolicyNumber + 1
        } while taken.contains(lastPolicyNumber)
        return lastPolicyNumber
    }
}
