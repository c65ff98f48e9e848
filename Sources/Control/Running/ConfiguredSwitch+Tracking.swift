import Conntrack
import Dataplane

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
}
