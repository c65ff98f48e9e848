import Base

/// Text of numbers and addresses as ovs-ofctl writes them.
package enum Digits {
    package static func hex<T: BinaryInteger>(_ value: T) -> String {
        value == 0 ? "0" : "0x" + String(value, radix: 16)
    }

    /// `0x` and at least `count` digits, zero as well.
    static func hex<T: BinaryInteger>(_ value: T, digits count: Int) -> String {
        let text = String(value, radix: 16)
        return "0x" + String(repeating: "0", count: max(0, count - text.count)) + text
    }

    package static func ethernet(_ address: UInt64) -> String {
        var text = ""
        for i in 0..<6 {
            let byte = (address >> UInt64(40 - 8 * i)) & 0xff
            if i > 0 { text += ":" }
            if byte < 16 { text += "0" }
            text += String(byte, radix: 16)
        }
        return text
    }

    package static func ipv4(_ address: UInt32) -> String {
        "\(address >> 24).\((address >> 16) & 0xff).\((address >> 8) & 0xff).\(address & 0xff)"
    }

    /// RFC 5952, with the dotted ends of inet_ntop(3).
    package static func ipv6(_ address: UInt128) -> String {
        let words = (0..<8).map { UInt16(truncatingIfNeeded: address >> UInt128(112 - 16 * $0)) }
        var best = (start: -1, count: 1)
        var start = 0
        while start < 8 {
            var count = 0
            while start + count < 8, words[start + count] == 0 { count += 1 }
            if count > best.count { best = (start, count) }
            start += max(count, 1)
        }
        if best.start == 0, best.count == 6 || best.count == 5 && words[5] == 0xffff {
            let prefix = best.count == 6 ? "::" : "::ffff:"
            return prefix + ipv4(UInt32(truncatingIfNeeded: address))
        }
        func join(_ range: Range<Int>) -> String { range.map { String(words[$0], radix: 16) }.joined(separator: ":") }
        if best.start < 0 { return join(0..<8) }
        return join(0..<best.start) + "::" + join(best.start + best.count..<8)
    }

    /// The length of a prefix mask of `width` bits; nil if it is none.
    static func prefixLength(_ mask: UInt128, width: Int) -> Int? {
        let zeros = ~mask & FieldLayout.ones(width)
        return zeros & (zeros &+ 1) == 0 ? width - zeros.nonzeroBitCount : nil
    }

    static func ipv4(_ address: UInt32, mask: UInt32) -> String {
        if mask == ~0 { return ipv4(address) }
        if let length = prefixLength(UInt128(mask), width: 32) { return "\(ipv4(address))/\(length)" }
        return "\(ipv4(address))/\(ipv4(mask))"
    }

    static func ipv6(_ address: UInt128, mask: UInt128) -> String {
        if mask == ~0 { return ipv6(address) }
        if let length = prefixLength(mask, width: 128) { return "\(ipv6(address))/\(length)" }
        return "\(ipv6(address))/\(ipv6(mask))"
    }

    static func ethernet(_ address: UInt64, mask: UInt64) -> String {
        mask == 0xffff_ffff_ffff ? ethernet(address) : "\(ethernet(address))/\(ethernet(mask))"
    }

    /// A number of any length, its first byte the highest.
    static func hex(_ bytes: [UInt8]) -> String {
        let digits = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined().drop { $0 == "0" }
        return digits.isEmpty ? "0" : "0x" + digits
    }

    static func bytes(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ".")
    }

    /// `syn|ack` for exact flags, `+syn-ack` for masked ones.
    static func flags(_ value: UInt64, mask: UInt64, all: UInt64, _ names: [StaticString]) -> String {
        func name(_ bit: Int) -> String { bit < names.count ? "\(names[bit])" : "[Unknown]" }
        if mask & all == all {
            if value == 0 { return "0" }
            return (0..<64).filter { value >> UInt64($0) & 1 == 1 }.map(name).joined(separator: "|")
        }
        if mask == 0 { return "0/0" }
        return (0..<64).filter { mask >> UInt64($0) & 1 == 1 }
            .map { (value >> UInt64($0) & 1 == 1 ? "+" : "-") + name($0) }.joined()
    }
}

extension MatchField {
    /// A value as in `set_field` and `learn`.
    func text(_ value: UInt128, mask: UInt128, _ context: FlowContext) -> String {
        guard let layout else { return Digits.hex(value) }
        if mask == 0 { return "ANY" }
        let isWhole = mask & layout.wireMask == layout.wireMask
        let value64 = UInt64(truncatingIfNeeded: value)
        let mask64 = UInt64(truncatingIfNeeded: mask)
        switch format {
        case .ethernet: return Digits.ethernet(value64, mask: mask64 & 0xffff_ffff_ffff)
        case .ipv4: return Digits.ipv4(UInt32(truncatingIfNeeded: value), mask: UInt32(truncatingIfNeeded: mask))
        case .ipv6: return Digits.ipv6(value, mask: mask)
        case .port where isWhole:
            let port =
                self == .inPort
                ? PortNumber(openFlow10: UInt16(truncatingIfNeeded: value))
                : PortNumber(UInt32(truncatingIfNeeded: value))
            return Ports.format(port, context)
        case .tcpFlags: return Digits.flags(value64, mask: mask64, all: 0xfff, FlagNames.tcp)
        case .ctState: return Digits.flags(value64, mask: mask64, all: 0xff, FlagNames.conntrack)
        case .tunnelFlags: return Digits.flags(value64, mask: mask64 & 1, all: 1, FlagNames.tunnel)
        case .packetType: return "(\(value64 >> 16),\(Digits.hex(value64 & 0xffff)))"
        default:
            let number = format == .hexadecimal ? Digits.hex(value) : String(value)
            return isWhole ? number : "\(number)/\(Digits.hex(mask))"
        }
    }
}

/// Addresses read from text, the whole of it.
package enum AddressText {
    /// `10.0.0.1`
    package static func ipv4(_ text: String) -> UInt32? { read(text) { $0.ipv4Address() } }
    /// RFC 4291, section 2.2, in all its forms.
    package static func ipv6(_ text: String) -> UInt128? { read(text) { $0.ipv6Address() } }

    private static func read<T>(_ text: String, _ body: (Text) -> T?) -> T? {
        var text = text
        return text.withUTF8 { body(Text($0)) }
    }
}
