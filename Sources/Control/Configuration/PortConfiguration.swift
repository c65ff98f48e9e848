import Base
import Ports

/// A port as configured.
public struct PortConfiguration: Equatable, Sendable {
    public enum Kind: String, CaseIterable, Sendable {
        case afpacket, tap, `internal`, pcap, null, patch
    }
    public enum VLANMode: String, CaseIterable, Sendable {
        case access, trunk
        case nativeTagged = "native-tagged"
        case nativeUntagged = "native-untagged"
        case dot1qTunnel = "dot1q-tunnel"
    }
    public enum QinQ: String, CaseIterable, Sendable {
        case serviceTag = "802.1ad"
        case customerTag = "802.1q"
    }
    public enum PriorityTags: String, CaseIterable, Sendable {
        case never
        case ifNonzero = "if-nonzero"
        case always
    }

    public var name: String
    public var kind = Kind.afpacket
    /// OpenFlow number asked for; nil takes the next free one.
    public var number: UInt32?
    /// What the kind of port wants to know: `dev`, `queues`, `ring`, `rx`, `tx`, `loop`, `rate`, `mac`.
    public var options: [String: String] = [:]
    /// Bytes of network packet; nil leaves the device as it is.
    public var mtu: Int?
    /// The other end of a patch port.
    public var peer: String?
    public var vlanMode: VLANMode?
    public var tag: UInt16?
    public var trunks: Set<UInt16>?
    public var customerVLANs: Set<UInt16>?
    public var qinq = QinQ.serviceTag
    public var priorityTags = PriorityTags.never
    public var isProtected = false
    public var isUp = true
    // As ovs-ofctl mod-port sets them.
    public var receives = true
    public var forwards = true
    public var floods = true

    public init(name: String) { self.name = name }

    /// The mode that counts: without one, a port with a tag is an access port (ovs-vswitchd.conf.db(5), vlan_mode).
    public var effectiveVLANMode: VLANMode { vlanMode ?? (tag == nil ? .trunk : .access) }

    /// The network device behind the port.
    var device: String? {
        switch kind {
        case .afpacket, .tap: options["dev"] ?? name
        case .internal: name
        case .pcap, .null, .patch: nil
        }
    }

    /// Whether the device has to be closed and opened for the change from `other` to this.
    func needsReopening(from other: PortConfiguration) -> Bool {
        kind != other.kind || options != other.options || (number != nil && number != other.number)
    }
}

extension PortConfiguration: Configurable {
    private static let optionKeys = ["dev", "queues", "ring", "rx", "tx", "loop", "rate", "mac", "hwaddr"]
    static let keys = [
        SettingKey(
            "type", Kind.allCases.map(\.rawValue).joined(separator: "|"), Kind.afpacket.rawValue,
            "network device, TAP device, TAP device for the host, files, a sink, cable to another bridge"),
        SettingKey(
            "ofport", "N", "(the next free one)", "OpenFlow number, 1 to 65279", aliases: ["ofport-request"]),
        SettingKey("dev", "DEVICE", "(the port's name)", "network device (afpacket, tap)"),
        SettingKey("queues", "N", "1", "receive queues, 1 to 64 (afpacket, tap, pcap)", aliases: ["n-rxq"]),
        SettingKey("ring", "N", "4096", "frames in a receive ring, 64 to 1048576 (afpacket)", aliases: ["n-rxq-desc"]),
        SettingKey("rx", "FILE", "(none)", "capture file to receive from (pcap)"),
        SettingKey("tx", "FILE", "(none)", "capture file to write to (pcap)"),
        SettingKey("loop", "yes|no", "no", "begin rx= again at its end (pcap)"),
        SettingKey("rate", "PPS", "0", "frames a second from rx=, 0 as fast as they are taken (pcap)"),
        SettingKey("mac", "MAC", "(as the device has it)", "Ethernet address (all but patch)"),
        SettingKey("hwaddr", "MAC", "(as the device has it)", "the same as mac"),
        SettingKey("peer", "PORT", "(none)", "the other end (patch, where it must be given)"),
        SettingKey(
            "mtu", "BYTES", "(as the device has it)", "bytes of network packet, 68 to 65521 (all but patch)",
            aliases: ["mtu-request"]),
        SettingKey("tag", "VLAN", "(none)", "VLAN of an access port, native VLAN of a trunk, 0 to 4095"),
        SettingKey(
            "vlan-mode", VLANMode.allCases.map(\.rawValue).joined(separator: "|"),
            "(access with a tag, else trunk)", "what tag means"),
        SettingKey("trunks", "VLANS", "(all)", "VLANs that a trunk carries, as in 1,5,10-19"),
        SettingKey("cvlans", "VLANS", "(all)", "inner VLANs that a dot1q-tunnel port takes"),
        SettingKey(
            "qinq-ethtype", QinQ.allCases.map(\.rawValue).joined(separator: "|"), QinQ.serviceTag.rawValue,
            "Ethernet type of the outer tag of a dot1q-tunnel port"),
        SettingKey(
            "priority-tags", PriorityTags.allCases.map(\.rawValue).joined(separator: "|"),
            PriorityTags.never.rawValue, "whether an access port sends tags of VLAN 0 that carry a priority"),
        SettingKey("protected", "true|false", "false", "nothing is forwarded between two protected ports"),
        SettingKey("admin", "up|down", "up", "whether the port works; up also sets the device up"),
        SettingKey("receive", "true|false", "true", "whether received packets are processed"),
        SettingKey("forward", "true|false", "true", "whether packets are sent"),
        SettingKey("flood", "true|false", "true", "whether FLOOD goes here"),
    ]
    static let refusals = [
        "ingress-policing-rate": "there is no policing of ports: meters do it",
        "ingress-policing-burst": "there is no policing of ports: meters do it",
        "pmd-rxq-affinity": "queues are given to workers by the switch; pmd/show says how",
        "options": "write the option by itself, as in rx=FILE", "bfd": "there is no BFD", "lacp": "there is no LACP",
        "other-config": "write the key by itself",
    ]

    mutating func set(_ key: String, _ value: String) throws(SettingError) {
        let isEmpty = value.isEmpty
        switch key {
        case "type": kind = try Self.kind(value)
        case "ofport": number = try isEmpty ? nil : SettingValue.integer(value, 1...65279)
        case "peer": peer = try isEmpty ? nil : SettingValue.name(value)
        case "mtu": mtu = try isEmpty ? nil : SettingValue.integer(value, 68...65521)
        case "tag": tag = try isEmpty ? nil : SettingValue.integer(value, 0...4095)
        case "vlan-mode": vlanMode = try isEmpty ? nil : SettingValue.choice(value)
        case "trunks": trunks = try SettingValue.vlans(value)
        case "cvlans": customerVLANs = try SettingValue.vlans(value)
        case "qinq-ethtype": qinq = try isEmpty ? .serviceTag : SettingValue.choice(value)
        case "priority-tags": priorityTags = try Self.priorityTags(value)
        case "protected": isProtected = try isEmpty ? false : SettingValue.bool(value)
        case "admin":
            guard isEmpty || value == "up" || value == "down" else {
                throw SettingError("expected up or down, found \"\(value.echoed)\"")
            }
            isUp = value != "down"
        case "receive": receives = try isEmpty ? true : SettingValue.bool(value)
        case "forward": forwards = try isEmpty ? true : SettingValue.bool(value)
        case "flood": floods = try isEmpty ? true : SettingValue.bool(value)
        default: options[key] = isEmpty ? nil : value
        }
    }

    /// Contract and OVS names; `system` is what OVS calls a network device.
    private static func kind(_ name: String) throws(SettingError) -> Kind {
        if name == "system" || name.isEmpty { return .afpacket }
        if PortType(rawValue: name)?.isSupported == false || ["geneve", "vxlan"].contains(name) {
            throw SettingError("type \"\(name.echoed)\" is not supported in this version")
        }
        guard let kind = Kind(rawValue: name) else {
            let known = Kind.allCases.map(\.rawValue).joined(separator: ", ")
            throw SettingError("unknown type \"\(name.echoed)\", expected one of \(known)")
        }
        return kind
    }

    /// OVS takes booleans here, too: true is `if-nonzero`.
    private static func priorityTags(_ text: String) throws(SettingError) -> PriorityTags {
        switch text {
        case "true": return .ifNonzero
        case "false", "": return .never
        default: return try SettingValue.choice(text)
        }
    }

    var settings: [Setting] {
        var all: [Setting] = [Setting("type", kind.rawValue)]
        if let number { all.append(Setting("ofport", String(number))) }
        for key in Self.optionKeys { if let value = options[key] { all.append(Setting(key, value)) } }
        if let peer { all.append(Setting("peer", peer)) }
        if let mtu { all.append(Setting("mtu", String(mtu))) }
        if let tag { all.append(Setting("tag", String(tag))) }
        if let vlanMode { all.append(Setting("vlan-mode", vlanMode.rawValue)) }
        if let trunks { all.append(Setting("trunks", SettingValue.show(vlans: trunks))) }
        if let customerVLANs { all.append(Setting("cvlans", SettingValue.show(vlans: customerVLANs))) }
        if qinq != .serviceTag { all.append(Setting("qinq-ethtype", qinq.rawValue)) }
        if priorityTags != .never { all.append(Setting("priority-tags", priorityTags.rawValue)) }
        if isProtected { all.append(Setting("protected", "true")) }
        if !isUp { all.append(Setting("admin", "down")) }
        if !receives { all.append(Setting("receive", "false")) }
        if !forwards { all.append(Setting("forward", "false")) }
        if !floods { all.append(Setting("flood", "false")) }
        return all
    }

    func validate() throws(SettingError) {
        if kind == .patch {
            guard peer != nil else { throw SettingError("a patch port needs peer=PORT") }
            guard peer != name else { throw SettingError("a patch port cannot be its own peer") }
            if let key = options.keys.min() { throw SettingError("\(key) is not for patch ports") }
        } else {
            if peer != nil { throw SettingError("peer is for patch ports, but type is \(kind.rawValue)") }
            _ = try portOptions()
        }
        if vlanMode == .dot1qTunnel, tag == nil { throw SettingError("vlan-mode=dot1q-tunnel needs a tag") }
        if vlanMode == .access, tag == nil { throw SettingError("vlan-mode=access needs a tag") }
    }

    /// Options of the device, checked; nil for a patch port, which has none.
    func portOptions() throws(SettingError) -> PortOptions? {
        guard let type = PortType(rawValue: kind.rawValue) else { return nil }
        var words = options
        if let mtu { words["mtu"] = String(mtu) }
        do throws(PortError) {
            return try PortOptions(port: name, type: type, options: words)
        } catch {
            throw SettingError(error.message)
        }
    }
}
