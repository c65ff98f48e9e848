import Base

/// A value and a mask for one field, as read. Both may have bits that the key has no room for (`ip_dscp=64`);
/// storing drops them, as OVS does.
struct FieldValue {
    var value: UInt128
    var mask: UInt128
}

/// Flags that a field's bits are named after, lowest first.
enum FlagNames {
    static let tcp: [StaticString] = [
        "fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns", "[200]", "[400]", "[800]",
    ]
    static let conntrack: [StaticString] = ["new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"]
    static let tunnel: [StaticString] = ["oam", "df", "csum", "key"]
}

extension MatchField {
    /// Reads `value` or `value/mask`.
    func parse(_ text: Text, _ context: FlowContext) throws(FlowSyntaxError) -> FieldValue {
        guard let layout else {
            throw FlowSyntaxError(text, "\(name) is not mapped to an option: expected an entry of the TLV map")
        }
        if text.equals("*") { return FieldValue(value: 0, mask: 0) }
        var result: FieldValue
        switch format {
        case .decimal, .hexadecimal: result = try parseInteger(text, layout)
        case .ethernet: result = try parseEthernet(text)
        case .ipv4: result = try parseIPv4(text)
        case .ipv6: result = try parseIPv6(text)
        case .port:
            let number = UInt128(try Ports.parse(text, context).rawValue)
            result = FieldValue(value: number & layout.wireMask, mask: layout.wireMask)
        case .fragment: result = try parseFragment(text)
        case .tcpFlags: result = try parseFlags(text, FlagNames.tcp, count: 12)
        case .ctState: result = try parseFlags(text, FlagNames.conntrack, count: 8)
        case .tunnelFlags: result = try parseFlags(text, FlagNames.tunnel, count: 1)
        case .packetType: result = try parsePacketType(text)
        }
        result.mask &= layout.wireMask
        if !isMaskable, result.mask != 0, result.mask != layout.wireMask {
            throw FlowSyntaxError(text, "\(name) takes no mask")
        }
        return result
    }

    /// Reads a value without a mask.
    func parseExact(_ text: Text, _ context: FlowContext) throws(FlowSyntaxError) -> UInt128 {
        let parsed = try parse(text, context)
        guard let layout, parsed.mask == layout.wireMask else {
            throw FlowSyntaxError(text, "expected a value of \(name) without wildcards, found \(text.quoted)")
        }
        return parsed.value
    }

    private func parseInteger(_ text: Text, _ layout: FieldLayout) throws(FlowSyntaxError) -> FieldValue {
        guard let slash = text.firstIndex(of: UInt8(ascii: "/")) else {
            return FieldValue(value: try integer(text, "value", layout), mask: layout.wireMask)
        }
        return FieldValue(
            value: try integer(text.prefix(slash), "value", layout),
            mask: try integer(text.dropFirst(slash + 1), "mask", layout))
    }

    private func integer(_ text: Text, _ what: String, _ layout: FieldLayout) throws(FlowSyntaxError) -> UInt128 {
        switch text.number() {
        case .value(let value) where value <= layout.wireMask: return value
        case .value(let value) where text[0] == UInt8(ascii: "-") && layout.byteCount == 8: return value
        case .value, .tooLarge:
            throw FlowSyntaxError(text, "\(text.echoed): \(what) too large for \(layout.byteCount)-byte field \(name)")
        case .malformed:
            throw FlowSyntaxError(text, "expected a number as \(what) of \(name), found \(text.quoted)")
        }
    }

    private func parseEthernet(_ text: Text) throws(FlowSyntaxError) -> FieldValue {
        let slash = text.firstIndex(of: UInt8(ascii: "/")) ?? text.count
        let maskText = text.dropFirst(slash + 1)
        let mask = slash == text.count ? 0xffff_ffff_ffff : maskText.ethernetAddress()
        guard let value = text.prefix(slash).ethernetAddress() else {
            throw FlowSyntaxError(
                text, "\(text.echoed): invalid Ethernet address: expected six hexadecimal bytes like 00:11:22:33:44:55")
        }
        guard let mask else {
            throw FlowSyntaxError(
                maskText, "\(maskText.echoed): invalid mask of an Ethernet address: expected six hexadecimal bytes")
        }
        return FieldValue(value: UInt128(value), mask: UInt128(mask))
    }

    private func parseIPv4(_ text: Text) throws(FlowSyntaxError) -> FieldValue {
        let slash = text.firstIndex(of: UInt8(ascii: "/")) ?? text.count
        let maskText = text.dropFirst(slash + 1)
        guard let value = text.prefix(slash).ipv4Address() else {
            throw FlowSyntaxError(
                text, "\(text.echoed): invalid IPv4 address: expected a form like 10.0.0.1 or 10.0.0.0/8")
        }
        if slash == text.count { return FieldValue(value: UInt128(value), mask: 0xffff_ffff) }
        if let mask = maskText.ipv4Address() { return FieldValue(value: UInt128(value), mask: UInt128(mask)) }
        guard let bits = maskText.decimal32(), bits <= 32 else {
            throw FlowSyntaxError(
                maskText, "\(maskText.echoed): invalid IPv4 mask: expected 0 to 32 or a form like 255.255.0.0")
        }
        return FieldValue(value: UInt128(value), mask: FieldLayout.ones(32) & ~FieldLayout.ones(32 - Int(bits)))
    }

    private func parseIPv6(_ text: Text) throws(FlowSyntaxError) -> FieldValue {
        let slash = text.firstIndex(of: UInt8(ascii: "/")) ?? text.count
        let maskText = text.dropFirst(slash + 1)
        guard let value = text.prefix(slash).ipv6Address() else {
            throw FlowSyntaxError(
                text, "\(text.echoed): invalid IPv6 address: expected a form like 2001:db8::1 or 2001:db8::/32")
        }
        if slash == text.count { return FieldValue(value: value, mask: ~0) }
        if let bits = maskText.decimal32(), bits <= 128 {
            return FieldValue(value: value, mask: ~FieldLayout.ones(128 - Int(bits)))
        }
        guard let mask = maskText.ipv6Address() else {
            throw FlowSyntaxError(maskText, "\(maskText.echoed): invalid IPv6 mask: expected 0 to 128 or an address")
        }
        return FieldValue(value: value, mask: mask)
    }

    private func parseFragment(_ text: Text) throws(FlowSyntaxError) -> FieldValue {
        // The bits above the two kinds are set so that "no", "first" and "later" count as exact.
        if text.equalsFolded("no") { return FieldValue(value: 0, mask: 0xff) }
        if text.equalsFolded("yes") { return FieldValue(value: 1, mask: 0xfd) }
        if text.equalsFolded("first") { return FieldValue(value: 1, mask: 0xff) }
        if text.equalsFolded("later") { return FieldValue(value: 3, mask: 0xff) }
        if text.equalsFolded("not_later") { return FieldValue(value: 0, mask: 0xfe) }
        throw FlowSyntaxError(
            text, "\(text.echoed): unknown fragment type: expected no, yes, first, later or not_later")
    }

    private func parsePacketType(_ text: Text) throws(FlowSyntaxError) -> FieldValue {
        guard text[0] == UInt8(ascii: "("), text[text.count - 1] == UInt8(ascii: ")"),
            let comma = text.firstIndex(of: UInt8(ascii: ","))
        else { throw FlowSyntaxError(text, "expected a packet type like (1,0x800), found \(text.quoted)") }
        let space = try text.slice(1, comma).uint16("name space of the packet type")
        let type = try text.slice(comma + 1, text.count - 1).uint16("packet type")
        return FieldValue(value: UInt128(space) << 16 | UInt128(type), mask: 0xffff_ffff)
    }
}
