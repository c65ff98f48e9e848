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
    /// Moves of a station in one second; 0 is any number. Nil: the default, and any number where time stands still, since
    /// seconds do not end there.
    public var macMoveLimit: Int?
    public var forwardBPDU = false
    public var floodVLANs: Set<UInt16> = []
    public var description = ""

    public var ports: [PortConfiguration] = []
    public var mirrors: [MirrorConfiguration] = []
    /// Lines of group syntax.
    public var groups: [String] = []
    /// Mappings as `add-tlv-map` takes them.
    public var tlvMap: [String] = []
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
        SettingKey(
            "fail-mode", "standalone|secure", "standalone",
            "standalone: begins with a flow that does NORMAL; secure: begins without flows, so drops"),
        SettingKey("hwaddr", "MAC", "(made from the name)", "Ethernet address of the bridge and its own port"),
        SettingKey("datapath-id", "HEX", "(the hwaddr)", "identity of the bridge, up to 16 hexadecimal digits"),
        SettingKey(
            "frags", "normal|drop|nx-match", "normal",
            "IP fragments: without ports, dropped, or first ones with ports and later ones with ports 0"),
        SettingKey(
            "local", "tap|none|pcap", "tap", "what the bridge's own port LOCAL is; fixed when the bridge is made"),
        SettingKey("rx", "FILE", "(none)", "capture file that a local=pcap port receives"),
        SettingKey("tx", "FILE", "(none)", "capture file that a local=pcap port writes"),
        SettingKey(
            "mtu", "BYTES", "(as the device has it)", "MTU of the bridge's own port, 68 to 65521",
            aliases: ["mtu-request"]),
        SettingKey(
            "mac-table-size", "N", String(StationTable.defaultMaximumEntries),
            "most learned MAC addresses, 10 to 1000000"),
        SettingKey(
            "mac-aging-time", "SECONDS", String(StationTable.defaultAgingTime),
            "after which a silent MAC address is forgotten, 15 to 3600"),
        SettingKey(
            "mac-move-limit", "N", "(\(StationTable.defaultMoveLimit); with weftd --virtual-time any number)",
            "moves of one MAC address in a second that are learned, 0 for any number"),
        SettingKey("forward-bpdu", "true|false", "false", "forward frames to 01:80:c2:00:00:0x, as NORMAL does not"),
        SettingKey("flood-vlans", "VLANS", "(none)", "VLANs that flood always and learn nothing, as in 1,5,10-19"),
        SettingKey("dp-desc", "TEXT", "(none)", "a description"),
    ]
    static let refusals = [
        "stp-enable": "there is no spanning tree", "rstp-enable": "there is no spanning tree",
        "mcast-snooping-enable": "there is no multicast snooping: groups of ports do what it would",
        "mcast-snooping-disable-flood-unregistered": "there is no multicast snooping",
        "mcast-snooping-table-size": "there is no multicast snooping",
        "mcast-snooping-aging-time": "there is no multicast snooping",
        "disable-in-band": "there is no controller connection", "in-band-queue": "there is no controller connection",
        "controller": "there is no controller connection", "protocols": "commands say it: -O VERSION",
        "datapath-type": "there is one datapath, in user space", "flow-eviction-threshold": "flows are not evicted",
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
            macMoveLimit = try isEmpty ? nil : SettingValue.integer(value, 0...1_000_000)
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
        if let macMoveLimit { all.append(Setting("mac-move-limit", String(macMoveLimit))) }
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

    /// The network device of the bridge's own port.
    var localDevice: String? { local == .tap ? name : nil }

    /// The same bridge without what it contains.
    var alone: BridgeConfiguration {
        var copy = self
        copy.ports = []
        copy.mirrors = []
        copy.groups = []
        copy.meters = []
        copy.tlvMap = []
        copy.flows = nil
        copy.flowsFile = nil
        return copy
    }
}
