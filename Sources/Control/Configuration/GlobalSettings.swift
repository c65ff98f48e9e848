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
    static let keys = [
        SettingKey("vlan-limit", "N", "1", "VLAN tags that matches look behind, 0 (as many as there can be) to 2"),
        SettingKey("flow-limit", "N", "200000", "megaflows that each worker keeps, 1024 to 4000000"),
        SettingKey("max-idle", "MS", "10000", "milliseconds after which an unused megaflow goes, 500 to 3600000"),
    ]
    static let refusals: [String: String] = {
        let workers = "workers do it themselves; weftd --workers or --cores says how many there are"
        let dpdk = "there is no DPDK here"
        let caches = "weftd --cache chooses the caches"
        return [
            "n-handler-threads": workers, "n-revalidator-threads": workers, "n-dpdk-rxqs": dpdk,
            "pmd-cpu-mask": "weftd --cores says where workers run", "dpdk-init": dpdk, "dpdk-lcore-mask": dpdk,
            "dpdk-socket-mem": dpdk, "dpdk-hugepage-dir": dpdk, "dpdk-extra": dpdk, "dpdk-alloc-mem": dpdk,
            "emc-insert-inv-prob": caches, "smc-enable": caches, "hw-offload": "there is no hardware offload",
            "tc-policy": "there is no hardware offload",
            "userspace-tso-enable": "large frames are always taken and cut where a port needs it",
            "tx-flush-interval": "bursts are sent whole, at once",
            "max-revalidator": "megaflows are checked again when they are next used",
            "min-revalidate-pps": "megaflows are checked again when they are next used",
            "stats-update-interval": "counters are read when they are asked for",
            "flow-restore-wait": "a configuration file is applied before the switch answers",
            "bundle-idle-timeout": "there is no controller connection",
            "pmd-auto-lb": "queues stay where pmd/show says",
        ]
    }()

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
