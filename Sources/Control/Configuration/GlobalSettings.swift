/// Settings of the whole switch, as `set` and the `settings` of a file give them; what OVS has in
/// Open_vSwitch:other_config keeps its name there.
public struct GlobalSettings: Equatable, Sendable {
    /// VLAN tags that matches look behind; 0 is as many as the switch can, which is 2.
    public var vlanLimit = 1
    /// Megaflows that a worker keeps.
    public var flowLimit = 200_000
    /// Milliseconds without a packet after which a megaflow goes.
    public var maximumIdle = 10_000

    public init() {}
}

extension GlobalSettings: Configurable {
    static let keys = ["vlan-limit", "flow-limit", "max-idle"]

    mutating func set(_ key: String, _ value: String) throws(SettingError) {
        switch key {
        case "vlan-limit": vlanLimit = try value.isEmpty ? 1 : SettingValue.integer(value, 0...2)
        case "flow-limit": flowLimit = try value.isEmpty ? 200_000 : SettingValue.integer(value, 1024...4_000_000)
        default: maximumIdle = try value.isEmpty ? 10_000 : SettingValue.integer(value, 500...3_600_000)
        }
    }

    var settings: [Setting] {
        let defaults = GlobalSettings()
        return zip(all, defaults.all).filter { $0 != $1 }.map(\.0)
    }

    /// Every setting, defaults included.
    var all: [Setting] {
        [
            Setting("vlan-limit", String(vlanLimit)), Setting("flow-limit", String(flowLimit)),
            Setting("max-idle", String(maximumIdle)),
        ]
    }

    func validate() throws(SettingError) {}
}
