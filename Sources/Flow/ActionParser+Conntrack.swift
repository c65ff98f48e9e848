import Base

extension ActionParser {
    mutating func parseConntrack(_ text: Text) throws(FlowSyntaxError) -> ConntrackParameters {
        var rest = text
        var result = ConntrackParameters()
        var forceText: Text?
        var timeoutText: Text?
        while let item = rest.nextKeyValue() {
            let value = item.value
            if item.key.equals("commit") {
                result.commit = true
            } else if item.key.equals("force") {
                result.force = true
                forceText = item.key
            } else if item.key.equals("table") {
                let table = try value.uint8("table")
                if table == 255 { throw FlowSyntaxError(value, "invalid table 0xff") }
                result.table = table
            } else if item.key.equals("zone") {
                result.zone = try parseZone(value)
            } else if item.key.equals("alg") {
                guard value.equals("ftp") || value.equals("tftp") else {
                    throw FlowSyntaxError(value, "invalid conntrack helper \(value.quoted): expected ftp or tftp")
                }
                result.alg = value.string
            } else if item.key.equals("timeout") {
                result.timeouts = try parseTimeouts(value)
                timeoutText = item.key
            } else if item.key.equals("nat") {
                if result.nat != nil { throw FlowSyntaxError(item.key, "nat is given twice") }
                result.nat = try parseNAT(value)
            } else if item.key.equals("exec") {
                result.actions += try nested(value, in: .conntrack)
            } else {
                throw FlowSyntaxError(
                    item.key,
                    "invalid argument to \"ct\" action: \(item.key.quoted): "
                        + "expected commit, force, table, zone, alg, timeout, nat or exec")
            }
        }
        if let forceText, !result.commit { throw FlowSyntaxError(forceText, "\"force\" flag requires \"commit\" flag") }
        if let timeoutText, !result.commit {
            throw FlowSyntaxError(timeoutText, "\"timeout\" requires \"commit\" flag")
        }
        return result
    }

    /// Who reads flows without a switch takes any name.
    private func parseTimeouts(_ text: Text) throws(FlowSyntaxError) -> TimeoutReference {
        guard !text.isEmpty else { throw FlowSyntaxError(text, "expected the name of a timeout policy") }
        guard let policies = context.timeoutPolicy else { return TimeoutReference(name: text.string, number: 0) }
        guard let number = policies(text.string) else {
            throw FlowSyntaxError(text, "there is no timeout policy \(text.quoted)")
        }
        return TimeoutReference(name: text.string, number: number)
    }

    private func parseZone(_ text: Text) throws(FlowSyntaxError) -> ConntrackParameters.Zone {
        if ASCII.isDigit(text[0]) { return .immediate(try text.uint16("zone")) }
        let subfield = try Subfield.parse(text, context)
        guard subfield.width == 16 else {
            throw FlowSyntaxError(text, "a zone has 16 bits, not \(subfield.width)")
        }
        return .field(subfield)
    }

    func parseNAT(_ text: Text) throws(FlowSyntaxError) -> NATParameters {
        var rest = text
        var result = NATParameters()
        while let item = rest.nextKeyValue() {
            if item.key.equals("src") || item.key.equals("dst") {
                let kind: NATParameters.Kind = item.key.equals("src") ? .source : .destination
                if result.kind != .unspecified, result.kind != kind {
                    throw FlowSyntaxError(item.key, "may only specify one of \"src\" or \"dst\"")
                }
                result.kind = kind
                if !item.value.isEmpty { try parseRange(item.value, into: &result) }
            } else if item.key.equals("persistent") {
                result.persistent = true
            } else if item.key.equals("hash") {
                result.hash = true
            } else if item.key.equals("random") {
                result.random = true
            } else {
                throw FlowSyntaxError(
                    item.key, "invalid key \(item.key.quoted) in nat: expected src, dst, persistent, hash or random")
            }
        }
        if result.kind == .unspecified, result.persistent || result.hash || result.random {
            throw FlowSyntaxError(text, "flags allowed only with \"src\" or \"dst\"")
        }
        if result.hash, result.random { throw FlowSyntaxError(text, "both \"hash\" and \"random\" are not allowed") }
        return result
    }

    /// `1.2.3.4-1.2.3.9:1000-2000` or `[2001:db8::1]-[2001:db8::9]:1000`.
    private func parseRange(_ text: Text, into nat: inout NATParameters) throws(FlowSyntaxError) {
        var rest = text
        guard let first = NATAddress.take(&rest) else {
            throw FlowSyntaxError(text, "invalid nat range \(text.quoted): expected an address or a range of addresses")
        }
        var last = first
        if rest[0] == UInt8(ascii: "-") {
            rest = rest.dropFirst(1)
            guard let upper = NATAddress.take(&rest), upper.isIPv6 == first.isIPv6, upper.value >= first.value else {
                throw FlowSyntaxError(text, "invalid nat range \(text.quoted)")
            }
            last = upper
        }
        nat.addresses = first.value...last.value
        nat.isIPv6 = first.isIPv6
        nat.ports = nil
        if rest.isEmpty { return }
        guard rest[0] == UInt8(ascii: ":") else {
            throw FlowSyntaxError(rest, "unexpected \(rest.quoted) behind a nat range")
        }
        rest = rest.dropFirst(1)
        let dash = rest.firstIndex(of: UInt8(ascii: "-")) ?? rest.count
        let low = try rest.prefix(dash).uint16("port")
        let high = dash == rest.count ? low : try rest.dropFirst(dash + 1).uint16("port")
        guard low <= high else { throw FlowSyntaxError(text, "invalid nat range \(text.quoted)") }
        if low > 0 { nat.ports = low...high }
    }
}

/// One end of a NAT range.
private struct NATAddress {
    var value: UInt128
    var isIPv6: Bool

    static func take(_ text: inout Text) -> NATAddress? {
        var n = 0
        while n < text.count, ASCII.isDigit(text[n]) || text[n] == UInt8(ascii: ".") { n += 1 }
        if let v4 = text.prefix(n).ipv4Address() {
            text = text.dropFirst(n)
            return NATAddress(value: UInt128(v4), isIPv6: false)
        }
        let isBracketed = text[0] == UInt8(ascii: "[")
        n = isBracketed ? 1 : 0
        let from = n
        while n < text.count,
            ASCII.hexValue(text[n]) < 16 || text[n] == UInt8(ascii: ":") || text[n] == UInt8(ascii: ".")
        {
            n += 1
        }
        guard let v6 = text.slice(from, n).ipv6Address() else { return nil }
        if isBracketed {
            guard text[n] == UInt8(ascii: "]") else { return nil }
            n += 1
        }
        text = text.dropFirst(n)
        return NATAddress(value: v6, isIPv6: true)
    }
}
