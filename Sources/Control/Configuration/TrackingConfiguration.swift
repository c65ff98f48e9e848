import Conntrack

/// All that is configured of connection tracking: `conntrack` in a file.
public struct TrackingConfiguration: Equatable, Sendable {
    public var settings = TrackingSettings()
    /// Connections of a zone that has no limit of its own; 0 is no limit.
    public var defaultLimit: UInt32 = 0
    public var limits: [UInt16: UInt32] = [:]
    public var timeouts = TimeoutSettings()
    public var zoneTimeouts: [UInt16: TimeoutSettings] = [:]

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
