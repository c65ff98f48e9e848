import Base

/// Validated options of one port. Made from `key=value` words; nothing is opened yet.
public struct PortOptions: Equatable, Sendable {
    public var type: PortType
    /// Network device; the port's own name unless `dev=` says otherwise.
    public var device: String
    /// Receive queues.
    public var queues = 1
    /// Frames that a receive ring holds.
    public var ring = 4096
    /// Capture file to replay, capture file to write.
    public var receiveFile: String?
    public var transmitFile: String?
    public var loop = false
    /// Frames a second over all queues; 0 is as fast as they are taken.
    public var rate: UInt64 = 0
    /// Bytes of network packet; nil leaves the device as it is.
    public var mtu: Int?
    /// 48 bits; nil leaves the device as it is.
    public var hardwareAddress: UInt64?

    /// Frames that a replay receives over all queues; nil is as many as there are. Set by the caller, not by a key.
    public var frameLimit: UInt64?
    /// Whether a port may be opened while its device does not exist yet, to be picked up when it appears. Set by the
    /// caller, not by a key.
    public var waitsForDevice = false

    /// Whether `rx` may be a pipe, for whose writer the opening then waits. Set by the caller, not by a key.
    public var readsPipes = false

    public init(type: PortType, device: String) {
        self.type = type
        self.device = device
    }

    /// Checks all of `options` (without the keys that belong to the bridge, such as `type`, `ofport` and `tag`).
    public init(port: String, type: PortType, options: [String: String]) throws(PortError) {
        guard type.isSupported else {
            throw PortError(
                .unsupportedType, port: port, "port type \"\(type.rawValue)\" is not supported in this version")
        }
        self.init(type: type, device: port)
        let known = type.ownKeys + PortType.commonKeys
        for (key, value) in options.sorted(by: { $0.key < $1.key }) {
            guard known.contains(key) else {
                throw PortError(
                    .unknownOption(key), port: port,
                    "unknown option \"\(key.echoed)\" for type \(type.rawValue); it has \(known.joined(separator: ", "))"
                )
            }
            try set(key, value, port: port)
        }
        try checkWhole(port: port)
    }

    private mutating func set(_ key: String, _ value: String, port: String) throws(PortError) {
        switch key {
        case "dev": device = value
        case "queues": queues = Int(try Self.number(value, 1...64, key, port))
        case "ring": ring = Int(try Self.number(value, 64...1_048_576, key, port))
        case "rx": receiveFile = try Self.path(value, key, port)
        case "tx": transmitFile = try Self.path(value, key, port)
        case "loop": loop = try Self.yesOrNo(value, key, port)
        case "rate": rate = try Self.number(value, 0...10_000_000_000, key, port)
        case "mtu": mtu = Int(try Self.number(value, 68...65521, key, port))
        default: hardwareAddress = try Self.address(value, key, port)
        }
    }

    private func checkWhole(port: String) throws(PortError) {
        switch type {
        case .afpacket, .tap, .internal:
            // IFNAMSIZ counts the terminating zero.
            guard !device.isEmpty, device.utf8.count < 16, !device.contains("/"),
                !device.contains(where: \.isWhitespace)
            else {
                throw PortError(
                    .badValue(option: "dev"), port: port,
                    "\"\(device.echoed)\" cannot name a network device: expected 1 to 15 bytes without '/' and blanks")
            }
            guard device != "lo" else {
                throw PortError(
                    .badValue(option: "dev"), port: port,
                    "the loopback device cannot be a port: it carries the host's talk with itself, and what is sent "
                        + "to it comes in again")
            }
        case .pcap:
            if receiveFile == nil, loop || rate > 0 || queues > 1 {
                throw PortError(.missingOption("rx"), port: port, "loop=, rate= and queues= need rx=FILE")
            }
        default: break
        }
    }

    private static func bad(_ key: String, _ value: String, _ expected: String, _ port: String) -> PortError {
        PortError(.badValue(option: key), port: port, "\(key)=\(value.echoed): expected \(expected)")
    }

    private static func number(
        _ text: String, _ range: ClosedRange<UInt64>, _ key: String, _ port: String
    ) throws(PortError) -> UInt64 {
        guard let value = UInt64(text), range.contains(value) else {
            throw bad(key, text, "a number from \(range.lowerBound) to \(range.upperBound)", port)
        }
        return value
    }

    private static func yesOrNo(_ text: String, _ key: String, _ port: String) throws(PortError) -> Bool {
        switch text {
        case "yes", "true", "on": return true
        case "no", "false", "off": return false
        default: throw bad(key, text, "yes or no", port)
        }
    }

    private static func path(_ text: String, _ key: String, _ port: String) throws(PortError) -> String {
        guard !text.isEmpty else { throw bad(key, text, "the name of a file", port) }
        return text
    }

    private static func address(_ text: String, _ key: String, _ port: String) throws(PortError) -> UInt64 {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        var value: UInt64 = 0
        for part in parts {
            guard parts.count == 6, (1...2).contains(part.count), let byte = UInt8(part, radix: 16), part.first != "+"
            else { throw bad(key, text, "an Ethernet address such as 02:00:00:00:00:01", port) }
            value = value << 8 | UInt64(byte)
        }
        guard value & 0x0100_0000_0000 == 0 else { throw bad(key, text, "a unicast Ethernet address", port) }
        return value
    }
}
