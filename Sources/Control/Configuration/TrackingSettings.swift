import Conntrack

/// Settings of connection tracking that hold for all zones: `ct/set`, and the `conntrack` of a file. What the kernel's
/// tracker or `ovs-appctl dpctl/ipf-*` have keeps its name.
public struct TrackingSettings: Equatable, Sendable {
    public var maximumConnections = TrackingSettings.standard.limit
    public var checksSequenceNumbers = TrackingSettings.standard.checksSequenceNumbers
    public var isLiberal = TrackingSettings.standard.isLiberal
    public var picksUpMidstream = TrackingSettings.standard.picksUpMidstream
    /// Milliseconds; nil never drops early.
    public var earlyDropAge: UInt64? = TrackingSettings.standard.earlyDropAge
    public var fragments = FragmentLimits()

    private static let standard = TrackerConfiguration(seed: 1)

    public init() {}
}

extension TrackingSettings: Configurable {
    static let keys = [
        SettingKey("maxconns", "N", "3000000", "connections at the most"),
        SettingKey("tcp-seq-check", "on|off", "on", "whether TCP packets outside the window are `inv`"),
        SettingKey("tcp-be-liberal", "on|off", "off", "whether only a RST outside the window is `inv`"),
        SettingKey("tcp-loose", "on|off", "on", "whether a connection may be picked up in its middle"),
        SettingKey(
            "early-drop-age", "MS|never", "1000",
            "age from which an unanswered or closing connection makes room at a limit"),
        SettingKey("ipf-v4", "on|off", "on", "whether IPv4 fragments are put together for tracking"),
        SettingKey("ipf-v6", "on|off", "on", "the same for IPv6"),
        SettingKey("min-frag-v4", "BYTES", "1200", "a shorter fragment that is not the last is `inv`"),
        SettingKey("min-frag-v6", "BYTES", "1280", "the same for IPv6"),
        SettingKey("max-nfrags", "N", "1000", "fragments that wait at a time"),
        SettingKey("frags-per-datagram", "N", "256", "fragments of one datagram"),
        SettingKey("frag-timeout", "SECONDS", "30", "how long fragments wait for their datagram"),
    ]

    /// More than anybody has asked of a switch: address space for as many is reserved at start.
    static let mostConnections: UInt32 = 16_000_000

    mutating func set(_ key: String, _ value: String) throws(SettingError) {
        let standard = TrackingSettings()
        guard !value.isEmpty else { return reset(key, standard) }
        switch key {
        case "maxconns": maximumConnections = try SettingValue.integer(value, 1...Self.mostConnections)
        case "tcp-seq-check": checksSequenceNumbers = try SettingValue.bool(value)
        case "tcp-be-liberal": isLiberal = try SettingValue.bool(value)
        case "tcp-loose": picksUpMidstream = try SettingValue.bool(value)
        case "early-drop-age":
            earlyDropAge = value == "never" ? nil : try SettingValue.integer(value, 0...86_400_000)
        case "ipf-v4": fragments.isIPv4Enabled = try SettingValue.bool(value)
        case "ipf-v6": fragments.isIPv6Enabled = try SettingValue.bool(value)
        case "min-frag-v4": fragments.minimumIPv4 = try SettingValue.integer(value, FragmentLimits.minimumSize...65535)
        case "min-frag-v6": fragments.minimumIPv6 = try SettingValue.integer(value, FragmentLimits.minimumSize...65535)
        case "max-nfrags":
            fragments.maximumFragments = try SettingValue.integer(value, 1...FragmentLimits.greatestMaximum)
        case "frags-per-datagram":
            fragments.maximumPerDatagram = try SettingValue.integer(value, 2...FragmentLimits.greatestMaximum)
        default: fragments.timeout = try SettingValue.integer(value, 1...300) * 1000
        }
    }

    private mutating func reset(_ key: String, _ standard: TrackingSettings) {
        switch key {
        case "maxconns": maximumConnections = standard.maximumConnections
        case "tcp-seq-check": checksSequenceNumbers = standard.checksSequenceNumbers
        case "tcp-be-liberal": isLiberal = standard.isLiberal
        case "tcp-loose": picksUpMidstream = standard.picksUpMidstream
        case "early-drop-age": earlyDropAge = standard.earlyDropAge
        case "ipf-v4": fragments.isIPv4Enabled = standard.fragments.isIPv4Enabled
        case "ipf-v6": fragments.isIPv6Enabled = standard.fragments.isIPv6Enabled
        case "min-frag-v4": fragments.minimumIPv4 = standard.fragments.minimumIPv4
        case "min-frag-v6": fragments.minimumIPv6 = standard.fragments.minimumIPv6
        case "max-nfrags": fragments.maximumFragments = standard.fragments.maximumFragments
        case "frags-per-datagram": fragments.maximumPerDatagram = standard.fragments.maximumPerDatagram
        default: fragments.timeout = standard.fragments.timeout
        }
    }

    var settings: [Setting] {
        zip(all, TrackingSettings().all).filter { $0 != $1 }.map(\.0)
    }

    /// Every setting, defaults included.
    var all: [Setting] {
        [
            Setting("maxconns", String(maximumConnections)),
            Setting("tcp-seq-check", checksSequenceNumbers ? "on" : "off"),
            Setting("tcp-be-liberal", isLiberal ? "on" : "off"),
            Setting("tcp-loose", picksUpMidstream ? "on" : "off"),
            Setting("early-drop-age", earlyDropAge.map { String($0) } ?? "never"),
            Setting("ipf-v4", fragments.isIPv4Enabled ? "on" : "off"),
            Setting("ipf-v6", fragments.isIPv6Enabled ? "on" : "off"),
            Setting("min-frag-v4", String(fragments.minimumIPv4)),
            Setting("min-frag-v6", String(fragments.minimumIPv6)),
            Setting("max-nfrags", String(fragments.maximumFragments)),
            Setting("frags-per-datagram", String(fragments.maximumPerDatagram)),
            Setting("frag-timeout", String(fragments.timeout / 1000)),
        ]
    }

    func validate() throws(SettingError) {}
}
