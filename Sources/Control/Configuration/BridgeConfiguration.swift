import Base
import Pipeline

/// A bridge as configured.
public struct BridgeConfiguration: Equatable, Sendable {
    public enum FailMode: String, CaseIterable, Sendable { case standalone, secure }
    public enum Fragments: String, CaseIterable, Sendable {
        case normal, drop
        case nxMatch = "nx-match"
    }
    /// What the bridge's own port, `LOCAL`, is.
    public enum Local: String, CaseIterable, Sendable { case tap, none, pcap }

    public var name: String
    public var failMode = FailMode.standalone
    /// Nil: one is made from the name.
    public var hardwareAddress: UInt64?
    /// Nil: the hardware address.
    public var datapathID: UInt64?
    public var fragments = Fragments.normal
    public var local = Local.tap
    /// Capture files of `local=pcap`.
    public var receiveFile: String?
    public var transmitFile: String?
    /// Bytes of network packet of the bridge's own port; nil leaves the default.
    public var mtu: Int?
    public var macTableSize = StationTable.defaultMaximumEntries
    /// Seconds.
    public var macAgingTime = StationTable.defaultAgingTime
    /// Moves of a station in one second; 0 is any number.
    public var macMoveLimit = StationTable.defaultMoveLimit
    public var forwardBPDU = false
    public var floodVLANs: Set<UInt16> = []
    public var description = ""

    public var ports: [PortConfiguration] = []
    public var mirrors: [MirrorConfiguration] = []
    /// Lines of group syntax.
    public var groups: [String] = []
    /// Lines of meter syntax.
    public var meters: [String] = []
    /// A text of flows in the syntax of `add-flows`; nil leaves the flows of the bridge alone.
    public var flows: String?
    /// Where such a text is, as written in the file.
    public var flowsFile: String?

    public init(name: String) { self.name = name }
}

extension BridgeConfiguration: Configurable {
    static let keys = [
        "fail-mode", "hwaddr", "datapath-id", "frags", "local", "rx", "tx", "mtu", "mac-table-size", "mac-aging-time",
        "mac-move-limit", "forward-bpdu", "flood-vlans", "dp-desc",
    ]

    mutating func set(_ key: String, _ value: String) throws(SettingError) {
        let isEmpty = value.isEmpty
        switch key {
        case "fail-mode": failMode = try isEmpty ? .standalone : SettingValue.choice(value)
        case "hwaddr":
            let address = try isEmpty ? nil : SettingValue.macAddress(value)
            if let address, address & 1 << 40 != 0 {
                throw SettingError("expected a unicast address, found \"\(value.echoed)\"")
            }
            hardwareAddress = address
        case "datapath-id": datapathID = try isEmpty ? nil : SettingValue.datapathID(value)
        case "frags": fragments = try isEmpty ? .normal : SettingValue.choice(value)
        case "local": local = try isEmpty ? .tap : SettingValue.choice(value)
        case "rx": receiveFile = isEmpty ? nil : value
        case "tx": transmitFile = isEmpty ? nil : value
        case "mtu": mtu = try isEmpty ? nil : SettingValue.integer(value, 68...65521)
        // ovs-vswitchd.conf.db(5): at least 10 entries.
        case "mac-table-size":
            macTableSize =
                try isEmpty ? StationTable.defaultMaximumEntries : SettingValue.integer(value, 10...1_000_000)
        case "mac-aging-time":
            macAgingTime = try isEmpty ? StationTable.defaultAgingTime : SettingValue.integer(value, 15...3600)
        case "mac-move-limit":
            macMoveLimit = try isEmpty ? StationTable.defaultMoveLimit : SettingValue.integer(value, 0...1_000_000)
        case "forward-bpdu": forwardBPDU = try isEmpty ? false : SettingValue.bool(value)
        case "flood-vlans": floodVLANs = try SettingValue.vlans(value) ?? []
        default: description = value
        }
    }

    var settings: [Setting] {
        var all: [Setting] = []
        if failMode != .standalone { all.append(Setting("fail-mode", failMode.rawValue)) }
        if let hardwareAddress { all.append(Setting("hwaddr", SettingValue.show(macAddress: hardwareAddress))) }
        if let datapathID { all.append(Setting("datapath-id", SettingValue.show(datapathID: datapathID))) }
        if fragments != .normal { all.append(Setting("frags", fragments.rawValue)) }
        if local != .tap { all.append(Setting("local", local.rawValue)) }
        if let receiveFile { all.append(Setting("rx", receiveFile)) }
        if let transmitFile { all.append(Setting("tx", transmitFile)) }
        if let mtu { all.append(Setting("mtu", String(mtu))) }
        if macTableSize != StationTable.defaultMaximumEntries {
            all.append(Setting("mac-table-size", String(macTableSize)))
        }
        if macAgingTime != StationTable.defaultAgingTime { all.append(Setting("mac-aging-time", String(macAgingTime))) }
        if macMoveLimit != StationTable.defaultMoveLimit { all.append(Setting("mac-move-limit", String(macMoveLimit))) }
        if forwardBPDU { all.append(Setting("forward-bpdu", "true")) }
        if !floodVLANs.isEmpty { all.append(Setting("flood-vlans", SettingValue.show(vlans: floodVLANs))) }
        if !description.isEmpty { all.append(Setting("dp-desc", description)) }
        return all
    }

    func validate() throws(SettingError) {
        if local != .pcap, receiveFile != nil || transmitFile != nil {
            throw SettingError("rx and tx are for local=pcap, but local is \(local.rawValue)")
        }
        if local == .tap, name.utf8.count > 15 {
            throw SettingError(
                "\"\(name.echoed)\" is too long for a TAP device (15 bytes): use another name, or local=none")
        }
    }

    /// The same bridge without what it contains.
    var alone: BridgeConfiguration {
        var copy = self
        copy.ports = []
        copy.mirrors = []
        copy.groups = []
        copy.meters = []
        copy.flows = nil
        copy.flowsFile = nil
        return copy
    }
}
