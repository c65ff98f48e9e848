import Base
import Conntrack
import Dataplane

// Limits, timeouts and the other settings of connection tracking: each command changes all that it says, or nothing.
extension SwitchCommands {
    // MARK: ct/limits

    func connectionLimits(_ invocation: Invocation) throws(CommandError) -> CommandResult {
        let words = invocation.words
        if words.first == "del" {
            try deleteLimits(words.dropFirst())
            return .done
        }
        let isQuery = words.allSatisfy { $0.hasPrefix("zone=") && !$0.contains("limit=") }
        guard isQuery else {
            try setLimits(words)
            return .done
        }
        var zones: [UInt16] = []
        for word in words { zones += try Self.zones(word) }
        return showLimits(words.isEmpty ? configured.tracking.limits.keys.sorted() : zones, showsTotal: true)
    }

    /// `zone=1,2,5`.
    static func zones(_ word: String) throws(CommandError) -> [UInt16] {
        guard word.hasPrefix("zone=") else { throw .refused("expected zone=N[,N...], found \"\(word.echoed)\"") }
        return try refusing { () throws(SettingError) in
            var zones: [UInt16] = []
            for part in word.dropFirst(5).split(separator: ",", omittingEmptySubsequences: false) {
                zones.append(try TrackingConfiguration.zone(part))
            }
            return zones
        }
    }

    /// `default=N` and `zone=N,limit=M`, as many as are given.
    func setLimits(_ words: [String]) throws(CommandError) {
        var tracking = configured.tracking
        for word in words {
            try refusing { () throws(SettingError) in
                if word.hasPrefix("default=") {
                    do throws(SettingError) {
                        tracking.defaultLimit = try TrackingConfiguration.limit(word.dropFirst(8))
                    } catch {
                        throw SettingError("default: \(error)")
                    }
                } else {
                    let (zone, limit) = try Self.zoneLimit(word)
                    tracking.limits[zone] = limit
                }
            }
        }
        try configured.setTracking(tracking)
    }

    private static func zoneLimit(_ word: String) throws(SettingError) -> (UInt16, UInt32) {
        var zone: UInt16?
        var limit: UInt32?
        for part in word.split(separator: ",") {
            if part.hasPrefix("zone="), zone == nil {
                zone = try TrackingConfiguration.zone(part.dropFirst(5))
            } else if part.hasPrefix("limit="), limit == nil {
                do throws(SettingError) { limit = try TrackingConfiguration.limit(part.dropFirst(6)) } catch {
                    throw SettingError("limit: \(error)")
                }
            } else {
                throw SettingError("expected default=N or zone=N,limit=N, found \"\(word.echoed)\"")
            }
        }
        guard let zone, let limit else {
            throw SettingError("expected default=N or zone=N,limit=N, found \"\(word.echoed)\"")
        }
        return (zone, limit)
    }

    func deleteLimits(_ words: some Collection<String>) throws(CommandError) {
        var tracking = configured.tracking
        guard !words.isEmpty else { throw .refused("ct/limits del: expected zone=N[,N...]") }
        for word in words { for zone in try Self.zones(word) { tracking.limits[zone] = nil } }
        try configured.setTracking(tracking)
    }

    /// - Parameter showsTotal: also what `dpctl/ct-get-limits` does not tell.
    func showLimits(_ zones: [UInt16], showsTotal: Bool) -> CommandResult {
        let tracker = device.tracker
        return CommandResult(
            text: {
                var text = showsTotal ? "total limit=\(tracker.limit),count=\(tracker.count)\n" : ""
                text += "default limit=\(tracker.defaultZoneLimit)\n"
                for zone in zones {
                    text += "zone=\(zone),limit=\(tracker.zoneLimit(zone)),count=\(tracker.count(zone: zone))"
                    text += showsTotal ? ",refused=\(tracker.refused(zone: zone))\n" : "\n"
                }
                return text
            },
            json: {
                [
                    "limit": JSONValue(tracker.limit), "count": JSONValue(tracker.count),
                    "default_limit": JSONValue(tracker.defaultZoneLimit),
                    "zones": .array(
                        zones.map {
                            [
                                "zone": JSONValue($0), "limit": JSONValue(tracker.zoneLimit($0)),
                                "count": JSONValue(tracker.count(zone: $0)),
                                "refused": JSONValue(tracker.refused(zone: $0)),
                            ]
                        }),
                ]
            })
    }

    // MARK: ct/timeouts

    /// Whose timeouts are meant.
    private enum TimeoutScope {
        case all
        case zone(UInt16)
        case name(String)

        init(_ words: inout ArraySlice<String>) throws(SettingError) {
            self = .all
            guard let first = words.first else { return }
            if first.hasPrefix("zone=") {
                self = .zone(try TrackingConfiguration.zone(first.dropFirst(5)))
            } else if first.hasPrefix("name=") {
                self = .name(try TrackingConfiguration.policyName(first.dropFirst(5)))
            } else {
                return
            }
            words.removeFirst()
        }
    }

    func connectionTimeouts(_ invocation: Invocation) throws(CommandError) -> CommandResult {
        var words = invocation.words[...]
        let deletes = words.first == "del"
        if deletes { words.removeFirst() }
        let scope = try refusing { () throws(SettingError) in try TimeoutScope(&words) }
        guard deletes || !words.isEmpty else { return try showTimeouts(scope) }
        var tracking = configured.tracking
        if deletes {
            guard words.isEmpty else { throw .refused("ct/timeouts del: expected zone=N, name=NAME or nothing") }
            try Self.delete(scope, from: &tracking)
        } else {
            try Self.set(words, scope, in: &tracking)
        }
        try configured.setTracking(tracking)
        return .done
    }

    private static func delete(_ scope: TimeoutScope, from tracking: inout TrackingConfiguration) throws(CommandError) {
        switch scope {
        case .all: tracking.timeouts = TimeoutSettings()
        case .zone(let zone): tracking.zoneTimeouts[zone] = nil
        case .name(let name):
            guard tracking.policies.removeValue(forKey: name) != nil else { throw unknown(name) }
        }
    }

    private static func set(
        _ words: ArraySlice<String>, _ scope: TimeoutScope, in tracking: inout TrackingConfiguration
    ) throws(CommandError) {
        switch scope {
        case .all: try apply(words, to: &tracking.timeouts)
        case .zone(let zone):
            var timeouts = tracking.zoneTimeouts[zone] ?? TimeoutSettings()
            try apply(words, to: &timeouts)
            tracking.zoneTimeouts[zone] = timeouts.seconds.isEmpty ? nil : timeouts
        case .name(let name):
            var timeouts = tracking.policies[name] ?? TimeoutSettings()
            try apply(words, to: &timeouts)
            tracking.policies[name] = timeouts
            guard tracking.policies.count <= TrackingConfiguration.policyLimit else {
                throw .refused(
                    "there are \(TrackingConfiguration.policyLimit) timeout policies, and there can be no more")
            }
        }
    }

    private static func unknown(_ policy: String) -> CommandError {
        .refused("there is no timeout policy \"\(policy.echoed)\"")
    }

    /// All that hold in a zone or under a name; without either, the default ones and what zones and names have of their own.
    private func showTimeouts(_ scope: TimeoutScope) throws(CommandError) -> CommandResult {
        let tracking = configured.tracking
        let settings: [Setting]
        var own: [(kind: String, members: [(key: String, timeouts: TimeoutSettings)])] = []
        switch scope {
        case .all:
            settings = device.tracker.timeouts(zone: nil).settings
            let zones = tracking.zoneTimeouts.sorted { $0.key < $1.key }
            own = [
                ("zone", zones.map { (String($0.key), $0.value) }),
                ("name", tracking.policies.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }),
            ]
        case .zone(let zone): settings = device.tracker.timeouts(zone: zone).settings
        case .name(let name):
            guard tracking.policies[name] != nil else { throw Self.unknown(name) }
            settings = tracking.policy(named: name).settings
        }
        func object(_ settings: [Setting]) -> JSONValue {
            .object(settings.map { JSONValue.Member($0.key, .integer(Int64($0.value) ?? 0)) })
        }
        return CommandResult(
            text: {
                var text = settings.map { "\($0.key)=\($0.value)\n" }.joined()
                for (kind, members) in own {
                    for (key, timeouts) in members {
                        let values = timeouts.settings.map { " \($0.key)=\($0.value)" }.joined()
                        text += "\(kind)=\(key)\(values)\n"
                    }
                }
                return text
            },
            json: {
                guard own.count == 2 else { return object(settings) }
                func members(_ i: Int) -> JSONValue {
                    .object(own[i].members.map { JSONValue.Member($0.key, object($0.timeouts.settings)) })
                }
                return ["default": object(settings), "zones": members(0), "policies": members(1)]
            })
    }

    // MARK: ct/set

    func setTracking(_ invocation: Invocation) throws(CommandError) -> CommandResult {
        guard !invocation.words.isEmpty else {
            let all = configured.tracking.settings.all
            return CommandResult(
                text: { all.map { "\($0.key)=\($0.value)\n" }.joined() },
                json: { .object(all.map { JSONValue.Member($0.key, .string($0.value)) }) })
        }
        try set(invocation.words)
        return .done
    }

    func set(_ words: [String]) throws(CommandError) {
        var tracking = configured.tracking
        try Self.apply(words, to: &tracking.settings)
        try configured.setTracking(tracking)
    }
}
