import Flow

/// An address, a protocol and a port. IPv4 addresses stand in the low 32 bits.
public struct Endpoint: Hashable, Sendable {
    public var address: UInt128
    public var isIPv6: Bool
    /// 6 or 17.
    public var ipProtocol: UInt8
    public var port: UInt16

    public init(address: UInt128, isIPv6: Bool, ipProtocol: UInt8 = 6, port: UInt16) {
        self.address = address
        self.isIPv6 = isIPv6
        self.ipProtocol = ipProtocol
        self.port = port
    }

    /// `10.0.0.1:80`, `[2001:db8::1]:80`; nil for anything else, and for a port of 0.
    public init?(_ text: some StringProtocol) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[text.index(after: colon)...]
        guard let number = UInt16(digits), number != 0, digits.first != "+" else { return nil }
        var host = String(text[..<colon])
        if host.hasPrefix("[") {
            guard host.hasSuffix("]") else { return nil }
            host.removeFirst()
            host.removeLast()
            guard let value = AddressText.ipv6(host) else { return nil }
            self.init(address: value, isIPv6: true, port: number)
        } else {
            guard let value = AddressText.ipv4(host) else { return nil }
            self.init(address: UInt128(value), isIPv6: false, port: number)
        }
    }

    /// As `init` reads it, without the protocol.
    public var text: String {
        let address = Self.text(address, isIPv6: isIPv6)
        return isIPv6 ? "[\(address)]:\(port)" : "\(address):\(port)"
    }

    public var protocolName: String { ipProtocol == 6 ? "tcp" : "udp" }

    public static func text(_ address: UInt128, isIPv6: Bool) -> String {
        isIPv6 ? Digits.ipv6(address) : Digits.ipv4(UInt32(truncatingIfNeeded: address))
    }

    /// Whether a host can have the address: neither unspecified, loopback, multicast nor broadcast.
    public var isUnicast: Bool {
        if isIPv6 { return address >> 120 != 0xff && address > 1 }
        let first = address >> 24
        return first != 0 && first != 127 && first < 224
    }
}
