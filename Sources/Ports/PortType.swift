import Base

/// The kinds of ports that have frames of their own (`patch` and tunnels have none: the pipeline resolves them).
public enum PortType: String, CaseIterable, Sendable {
    case afpacket, tap, `internal`, pcap, null
    case iouring, afxdp
    case vhostUser = "vhost-user"

    /// False for types that this version knows by name only.
    public var isSupported: Bool {
        switch self {
        case .afpacket, .tap, .internal, .pcap, .null: true
        case .iouring, .afxdp, .vhostUser: false
        }
    }

    /// The type called `name`, or an error that lists the types there are.
    public static func named(_ name: String, port: String) throws(PortError) -> PortType {
        guard let type = PortType(rawValue: name) else {
            let known = allCases.filter(\.isSupported).map(\.rawValue).joined(separator: ", ")
            throw PortError(.unknownType, port: port, "unknown port type \"\(name.echoed)\"; expected one of \(known)")
        }
        guard type.isSupported else {
            throw PortError(
                .unsupportedType, port: port, "port type \"\(name.echoed)\" is not supported in this version")
        }
        return type
    }

    /// Option keys of this type beside those that every type takes.
    var ownKeys: [String] {
        switch self {
        case .afpacket: ["dev", "queues", "ring"]
        case .tap: ["dev", "queues"]
        case .internal: []
        case .pcap: ["rx", "tx", "loop", "rate", "queues"]
        case .null: []
        case .iouring, .afxdp, .vhostUser: []
        }
    }

    static var commonKeys: [String] { ["mtu", "mac", "hwaddr"] }
}
