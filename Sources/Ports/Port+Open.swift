import Base
import Logging

extension Port {
    /// Opens the port that `options` describe.
    public static func open(name: String, options: PortOptions, log: Logger) throws(PortError) -> Port {
        switch options.type {
        case .pcap: return try PcapPort(name: name, options: options, log: log)
        case .null: return NullPort(name: name, options: options, log: log)
        case .afpacket: return try PacketSocketPort(name: name, options: options, log: log)
        case .tap, .internal: return try TapPort(name: name, options: options, log: log)
        case .iouring, .afxdp, .vhostUser:
            throw PortError(
                .unsupportedType, port: name,
                "port type \"\(options.type.rawValue)\" is not supported in this version")
        }
    }

    /// Checks the words of a configuration and opens the port. `type` nil is `afpacket`, as for an existing device.
    public static func open(
        name: String, type: String?, options: [String: String], log: Logger
    ) throws(PortError) -> Port {
        let type = try PortType.named(type ?? PortType.afpacket.rawValue, port: name)
        return try open(name: name, options: PortOptions(port: name, type: type, options: options), log: log)
    }
}
