/// What a number in the text turned out to be.
enum ParsedNumber {
    case value(UInt128)
    case tooLarge
    case malformed
}

extension Text {
    /// Decimal, octal (leading 0) or hexadecimal (leading 0x), as strtoull(3) reads with base 0. `-1` is all ones
    /// of 64 bits. The whole text must be the number.
    func number() -> ParsedNumber {
        let (number, length) = leadingNumber()
        if case .value = number, length != count { return .malformed }
        return number
    }

    /// The number at the front and how many bytes it takes.
    func leadingNumber() -> (ParsedNumber, Int) {
        var at = 0
        var isNegative = false
        if self[0] == UInt8(ascii: "-") || self[0] == UInt8(ascii: "+") {
            isNegative = self[0] == UInt8(ascii: "-")
            at = 1
        }
        var radix: UInt128 = 10
        if self[at] == UInt8(ascii: "0") {
            if self[at + 1] | 0x20 == UInt8(ascii: "x"), ASCII.hexValue(self[at + 2]) < 16 {
                radix = 16
                at += 2
            } else {
                radix = 8
            }
        }
        let first = at
        var result: UInt128 = 0
        var overflows = false
        while at < count {
            let digit = UInt128(ASCII.hexValue(self[at]))
            if digit >= radix { break }
            let (product, overflow) = result.multipliedReportingOverflow(by: radix)
            let (sum, carry) = product.addingReportingOverflow(digit)
            if overflow || carry { overflows = true }
            result = sum
            at += 1
        }
        if at == first { return (.malformed, 0) }
        if overflows || (radix != 16 || isNegative) && result > UInt128(UInt64.max) { return (.tooLarge, at) }
        if isNegative { result = UInt128(0 &- UInt64(truncatingIfNeeded: result)) }
        return (.value(result), at)
    }

    /// A number of at most `maximum`, or an error that names `what` it is.
    func number(_ what: String, maximum: UInt128) throws(FlowSyntaxError) -> UInt128 {
        switch number() {
        case .value(let value) where value <= maximum: return value
        case .value, .tooLarge:
            throw FlowSyntaxError(self, "\(what) \(echoed) is too large: expected at most \(maximum)")
        case .malformed: throw FlowSyntaxError(self, "expected a number for \(what), found \(quoted)")
        }
    }

    func uint8(_ what: String) throws(FlowSyntaxError) -> UInt8 { UInt8(try number(what, maximum: 0xff)) }
    func uint16(_ what: String) throws(FlowSyntaxError) -> UInt16 { UInt16(try number(what, maximum: 0xffff)) }
    func uint32(_ what: String) throws(FlowSyntaxError) -> UInt32 { UInt32(try number(what, maximum: 0xffff_ffff)) }
    func uint64(_ what: String) throws(FlowSyntaxError) -> UInt64 {
        UInt64(try number(what, maximum: UInt128(UInt64.max)))
    }

    /// Decimal only; nil if it is anything else or does not fit 32 bits.
    func decimal32() -> UInt32? {
        guard !isEmpty, count <= 10 else { return nil }
        var result: UInt64 = 0
        for i in 0..<count {
            guard ASCII.isDigit(self[i]) else { return nil }
            result = result * 10 + UInt64(self[i] - 0x30)
        }
        return UInt32(exactly: result)
    }

    /// `12:34:56:78:9a:bc`, the whole text.
    func ethernetAddress() -> UInt64? {
        var result: UInt64 = 0
        var at = 0
        for group in 0..<6 {
            if group > 0 {
                guard self[at] == UInt8(ascii: ":") else { return nil }
                at += 1
            }
            var digits = 0
            var byte: UInt64 = 0
            while digits < 2, ASCII.hexValue(self[at]) < 16 {
                byte = byte << 4 | UInt64(ASCII.hexValue(self[at]))
                at += 1
                digits += 1
            }
            guard digits > 0 else { return nil }
            result = result << 8 | byte
        }
        return at == count ? result : nil
    }

    /// `10.0.0.1`, the whole text.
    func ipv4Address() -> UInt32? {
        var result: UInt32 = 0
        var at = 0
        for group in 0..<4 {
            if group > 0 {
                guard self[at] == UInt8(ascii: ".") else { return nil }
                at += 1
            }
            var digits = 0
            var byte: UInt32 = 0
            while digits < 3, ASCII.isDigit(self[at]) {
                byte = byte * 10 + UInt32(self[at] - 0x30)
                at += 1
                digits += 1
            }
            guard digits > 0, byte < 256 else { return nil }
            result = result << 8 | byte
        }
        return at == count ? result : nil
    }

    /// RFC 4291 section 2.2, all three forms, the whole text.
    func ipv6Address() -> UInt128? {
        var words: [8 of UInt16] = [0, 0, 0, 0, 0, 0, 0, 0]
        var filled = 0
        var gap: Int?
        var at = 0
        if self[0] == UInt8(ascii: ":") {
            guard self[1] == UInt8(ascii: ":") else { return nil }
            gap = 0
            at = 2
        }
        while at < count {
            guard filled < 8 else { return nil }
            var n = at
            while n < count, self[n] != UInt8(ascii: ":") { n += 1 }
            let group = slice(at, n)
            if n == count, group.firstIndex(of: UInt8(ascii: ".")) != nil {
                guard filled <= 6, let v4 = group.ipv4Address() else { return nil }
                words[filled] = UInt16(truncatingIfNeeded: v4 >> 16)
                words[filled + 1] = UInt16(truncatingIfNeeded: v4)
                filled += 2
                at = n
                break
            }
            guard let value = group.hexGroup() else { return nil }
            words[filled] = value
            filled += 1
            at = n
            if at == count { break }
            at += 1
            if self[at] == UInt8(ascii: ":") {
                guard gap == nil else { return nil }
                gap = filled
                at += 1
            } else if at == count {
                return nil
            }
        }
        guard gap == nil ? filled == 8 : filled < 8 else { return nil }
        var result: UInt128 = 0
        let missing = 8 - filled
        for i in 0..<filled {
            let position = i < (gap ?? 8) ? i : i + missing
            result |= UInt128(words[i]) << UInt128(112 - 16 * position)
        }
        return result
    }

    /// One to four hexadecimal digits.
    private func hexGroup() -> UInt16? {
        guard count >= 1, count <= 4 else { return nil }
        var value: UInt16 = 0
        for i in 0..<count {
            let digit = ASCII.hexValue(self[i])
            guard digit < 16 else { return nil }
            value = value << 4 | UInt16(digit)
        }
        return value
    }

    /// Pairs of hexadecimal digits with `.`, `:` or spaces between them; nil if anything else stands there.
    func hexBytes() -> [UInt8]? {
        var result: [UInt8] = []
        var at = 0
        while at < count {
            if self[at] == UInt8(ascii: ".") || self[at] == UInt8(ascii: ":") || ASCII.isSpace(self[at]) {
                at += 1
                continue
            }
            let high = ASCII.hexValue(self[at])
            let low = ASCII.hexValue(self[at + 1])
            guard high < 16, low < 16 else { return nil }
            result.append(high << 4 | low)
            at += 2
        }
        return result
    }
}
