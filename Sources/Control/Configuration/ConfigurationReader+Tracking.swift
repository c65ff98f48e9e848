import Base
import Yams

extension ConfigurationReader {
    /// `conntrack`: settings beside `limit`, `timeouts`, `zones` and `policies`.
    func tracking(_ entry: Entry) throws(ConfigurationError) -> TrackingConfiguration {
        var tracking = TrackingConfiguration()
        for entry in try Entries(entry.node, entry.path).all {
            switch entry.key {
            case "limit": tracking.defaultLimit = try entry.setting(TrackingConfiguration.limit)
            case "timeouts": tracking.timeouts = try timeouts(entry)
            case "zones":
                for (node, path) in try entry.list() { try readZone(node, path, into: &tracking) }
            case "policies":
                for (node, path) in try entry.list() { try readPolicy(node, path, into: &tracking) }
            default: try entry.apply(to: &tracking.settings, others: ["limit", "timeouts", "zones", "policies"])
            }
        }
        return tracking
    }

    private func timeouts(_ entry: Entry) throws(ConfigurationError) -> TimeoutSettings {
        var timeouts = TimeoutSettings()
        for entry in try Entries(entry.node, entry.path).all { try entry.apply(to: &timeouts) }
        return timeouts
    }

    private func readPolicy(
        _ node: Node, _ path: String, into tracking: inout TrackingConfiguration
    ) throws(ConfigurationError) {
        let entries = try Entries(node, path)
        guard let first = entries.all.first(where: { $0.key == "name" }) else {
            throw ConfigurationError(path, "has no name")
        }
        let name: String = try first.setting { text throws(SettingError) in try TrackingConfiguration.policyName(text) }
        guard tracking.policies[name] == nil else {
            throw ConfigurationError(first.path, "policy \(name) is there twice")
        }
        guard tracking.policies.count < TrackingConfiguration.policyLimit else {
            throw ConfigurationError(path, "there are more than \(TrackingConfiguration.policyLimit) policies")
        }
        tracking.policies[name] = TimeoutSettings()
        for entry in entries.all where entry.key != "name" {
            guard entry.key == "timeouts" else { throw entry.unknown(["name", "timeouts"]) }
            tracking.policies[name] = try timeouts(entry)
        }
    }

    private func readZone(
        _ node: Node, _ path: String, into tracking: inout TrackingConfiguration
    ) throws(ConfigurationError) {
        let entries = try Entries(node, path)
        guard let number = entries.all.first(where: { $0.key == "zone" }) else {
            throw ConfigurationError(path, "has no zone")
        }
        let zone: UInt16 = try number.setting { text throws(SettingError) in
            try SettingValue.integer(text, 0...UInt16.max)
        }
        guard tracking.limits[zone] == nil, tracking.zoneTimeouts[zone] == nil else {
            throw ConfigurationError(number.path, "zone \(zone) is there twice")
        }
        for entry in entries.all where entry.key != "zone" {
            switch entry.key {
            case "limit": tracking.limits[zone] = try entry.setting(TrackingConfiguration.limit)
            case "timeouts": tracking.zoneTimeouts[zone] = try timeouts(entry)
            default: throw entry.unknown(["zone", "limit", "timeouts"])
            }
        }
    }
}
