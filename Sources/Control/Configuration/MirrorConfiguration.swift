/// A mirror as configured: which packets of its bridge are copied, and where to. Ports go by name.
public struct MirrorConfiguration: Equatable, Sendable {
    public var name: String
    public var selectsAll = false
    public var selectedSources: [String] = []
    public var selectedDestinations: [String] = []
    /// Empty is every VLAN.
    public var selectedVLANs: Set<UInt16> = []
    public var outputPort: String?
    public var outputVLAN: UInt16?
    /// Bytes of a packet that are copied; 0 is all.
    public var snapLength = 0

    public init(name: String) { self.name = name }
}

extension MirrorConfiguration: Configurable {
    static let keys = [
        SettingKey("select-all", "true|false", "false", "every packet of the bridge"),
        SettingKey("select-src-port", "PORT[,PORT...]", "(none)", "packets that these ports receive"),
        SettingKey("select-dst-port", "PORT[,PORT...]", "(none)", "packets that are sent to these ports"),
        SettingKey("select-vlan", "VLANS", "(all)", "only packets of these VLANs"),
        SettingKey("output-port", "PORT", "(none)", "where copies go; this or output-vlan is needed"),
        SettingKey("output-vlan", "VLAN", "(none)", "VLAN that copies are flooded in, 1 to 4095"),
        SettingKey("snaplen", "BYTES", "(all)", "bytes of a packet that are copied, 14 to 65535"),
    ]

    mutating func set(_ key: String, _ value: String) throws(SettingError) {
        switch key {
        case "select-all": selectsAll = try value.isEmpty ? false : SettingValue.bool(value)
        case "select-src-port": selectedSources = Self.names(value)
        case "select-dst-port": selectedDestinations = Self.names(value)
        case "select-vlan": selectedVLANs = try SettingValue.vlans(value) ?? []
        case "output-port": outputPort = value.isEmpty ? nil : value
        case "output-vlan": outputVLAN = try value.isEmpty ? nil : SettingValue.integer(value, 1...4095)
        default: snapLength = try value.isEmpty ? 0 : SettingValue.integer(value, 14...65535)
        }
    }

    private static func names(_ text: String) -> [String] { text.split(separator: ",").map(String.init) }

    var settings: [Setting] {
        var all: [Setting] = []
        if selectsAll { all.append(Setting("select-all", "true")) }
        if !selectedSources.isEmpty { all.append(Setting("select-src-port", selectedSources.joined(separator: ","))) }
        if !selectedDestinations.isEmpty {
            all.append(Setting("select-dst-port", selectedDestinations.joined(separator: ",")))
        }
        if !selectedVLANs.isEmpty { all.append(Setting("select-vlan", SettingValue.show(vlans: selectedVLANs))) }
        if let outputPort { all.append(Setting("output-port", outputPort)) }
        if let outputVLAN { all.append(Setting("output-vlan", String(outputVLAN))) }
        if snapLength != 0 { all.append(Setting("snaplen", String(snapLength))) }
        return all
    }

    func validate() throws(SettingError) {
        guard (outputPort == nil) != (outputVLAN == nil) else {
            throw SettingError("a mirror needs output-port or output-vlan, and not both")
        }
    }

    /// All ports that it names.
    var namedPorts: [String] { selectedSources + selectedDestinations + (outputPort.map { [$0] } ?? []) }
}
