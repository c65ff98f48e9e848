import Base
import Conntrack

/// All that is configured of connection tracking: `conntrack` in a file.
public struct TrackingConfiguration: Equatable, Sendable {
    public var settings = TrackingSettings()
    /// Connections of a zone that has no limit of its own; 0 is no limit.
    public var defaultLimit: UInt32 = 0
    public var limits: [UInt16: UInt32] = [:]
    public var timeouts = TimeoutSettings()
    public var zoneTimeouts: [UInt16: TimeoutSettings] = [:]
    /// By name: what `ct(commit,timeout=NAME)` gives to a connection in place of what holds in its zone.
    public var policies: [String: TimeoutSettings] = [:]

    /// Half of what the tracker has numbers for: while one configuration becomes another, both are there.
    static let policyLimit = 127

    public init() {}

    /// Zones that have something of their own.
    var zones: [UInt16] { Set(limits.keys).union(zoneTimeouts.keys).sorted() }

    /// The timeouts that hold in a zone: its own, then the default ones, then the standard.
    func policy(zone: UInt16?) -> TimeoutPolicy {
        var policy = TimeoutPolicy()
        for (name, seconds) in timeouts.seconds { policy[name] = seconds }
        for (name, seconds) in zone.flatMap({ zoneTimeouts[$0] })?.seconds ?? [:] { policy[name] = seconds }
        return policy
    }

    /// Of a named policy; what it does not say is as by default, whatever the zone says.
    func policy(named name: String) -> TimeoutPolicy {
        var policy = policy(zone: nil)
        for (timeout, seconds) in policies[name]?.seconds ?? [:] { policy[timeout] = seconds }
        return policy
    }

    static func policyName(_ text: some StringProtocol) throws(SettingError) -> String {
        let isPlain = text.utf8.allSatisfy {
            switch $0 {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        guard isPlain, (1...63).contains(text.utf8.count) else {
            throw SettingError(
                "name: expected up to 63 letters, digits, \"_\", \"-\" and \".\", found \"\(String(text).echoed)\"")
        }
        return String(text)
    }

    static func zone(_ text: some StringProtocol) throws(SettingError) -> UInt16 {
        do throws(SettingError) { return try SettingValue.integer(String(text), 0...UInt16.max) } catch {
            throw SettingError("zone: \(error)")
        }
    }

    static func limit(_ text: some StringProtocol) throws(SettingError) -> UInt32 {
        // The table keeps one more.
        try SettingValue.integer(String(text), 0...UInt32.max - 1)
    }
}

/// Timeouts that are set, in seconds, under the names of CT_Timeout_Policy (ovs-vswitchd.conf.db(5)).
public struct TimeoutSettings: Equatable, Sendable {
    public var seconds: [TimeoutName: UInt32] = [:]

    public init() {}
}

extension TimeoutSettings: Configurable {
    static let keys = TimeoutName.allCases.map { name in
        SettingKey(
            Setting.normalize(name.name), "SECONDS", String(TimeoutPolicy()[name]),
            "timeout of a connection in that state")
    }

    mutating func set(_ key: String, _ value: String) throws(SettingError) {
        guard let name = TimeoutName(name: key) else { return }
        // With 0 a connection would be over before its second packet.
        seconds[name] = try value.isEmpty ? nil : SettingValue.integer(value, 1...UInt32.max)
    }

    var settings: [Setting] {
        TimeoutName.allCases.compactMap { name in
            seconds[name].map { Setting(Setting.normalize(name.name), String($0)) }
        }
    }

    func validate() throws(SettingError) {}
}

extension TimeoutPolicy {
    var settings: [Setting] {
        TimeoutName.allCases.map { Setting(Setting.normalize($0.name), String(self[$0])) }
    }
}
