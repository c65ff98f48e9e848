import Base

/// Readers and writers of the values of a check's settings.
enum HealthText {
    /// Milliseconds of `500ms`, `2s`, `1m`, `1h`.
    static func time(_ text: String, _ range: ClosedRange<UInt64>) throws(SettingError) -> UInt64 {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let unit: UInt64? =
            switch text[digits.endIndex...] {
            case "ms": 1
            case "s": 1000
            case "m": 60_000
            case "h": 3_600_000
            default: nil
            }
        guard let unit, let number = UInt64(digits), number <= range.upperBound,
            range.contains(number * unit)
        else {
            let (least, most) = (show(time: range.lowerBound), show(time: range.upperBound))
            throw SettingError(
                "expected a time from \(least) to \(most) as in 500ms or 2s, found \"\(text.echoed)\"")
        }
        return number * unit
    }

    static func show(time: UInt64) -> String {
        for (unit, name) in [(3_600_000, "h"), (60_000, "m"), (1000, "s")] as [(UInt64, String)]
        where time > 0 && time % unit == 0 {
            return "\(time / unit)\(name)"
        }
        return "\(time)ms"
    }

    static func statuses(_ text: String) throws(SettingError) -> [ClosedRange<UInt16>] {
        var ranges: [ClosedRange<UInt16>] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) }
            // Codes below 200 are no final answers (RFC 9110, section 15.2).
            guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1],
                first >= 200, first <= last, last <= 599
            else {
                throw SettingError("expected status codes from 200 to 599 as in 200,301-302, found \"\(part.echoed)\"")
            }
            ranges.append(first...last)
        }
        return ranges
    }

    static func show(statuses: [ClosedRange<UInt16>]) -> String {
        statuses.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
            .joined(separator: ",")
    }

    /// Goes into the request line as it is, so nothing may stand in it that would end that line or a word of it.
    static func path(_ text: String) throws(SettingError) -> String {
        guard text.hasPrefix("/"), text.utf8.count <= 1024, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
            throw SettingError(
                "expected a path that begins with / and has no spaces, up to 1024 bytes, found \"\(text.echoed)\"")
        }
        return text
    }

    static func host(_ text: String) throws(SettingError) -> String {
        let isFine = text.utf8.allSatisfy {
            UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 | 0x20 || UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0
                || "-_.:[]".utf8.contains($0)
        }
        guard isFine, (1...253).contains(text.utf8.count) else {
            throw SettingError("expected a host name or address, with or without a port, found \"\(text.echoed)\"")
        }
        return text
    }

    static func address(_ text: String) throws(SettingError) -> HealthAddress {
        guard let address = HealthAddress(text) else {
            throw SettingError("expected an IPv4 or IPv6 address, found \"\(text.echoed)\"")
        }
        return address
    }

    /// Fits a datagram that no link has to fragment.
    private static let longestPayload = 1024

    static func payload(_ text: String) throws(SettingError) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\") else {
                bytes.append(byte)
                continue
            }
            switch rest.popFirst() {
            case UInt8(ascii: "\\"): bytes.append(UInt8(ascii: "\\"))
            case UInt8(ascii: "n"): bytes.append(0x0a)
            case UInt8(ascii: "r"): bytes.append(0x0d)
            case UInt8(ascii: "t"): bytes.append(0x09)
            case UInt8(ascii: "x"):
                let digits = String(decoding: rest.prefix(2), as: UTF8.self)
                guard digits.utf8.count == 2, digits.first != "+", let value = UInt8(digits, radix: 16) else {
                    throw SettingError("expected two hexadecimal digits behind \\x, found \"\(digits.echoed)\"")
                }
                bytes.append(value)
                rest = rest.dropFirst(2)
            default: throw SettingError("expected \\xHH, \\n, \\r, \\t or \\\\ in \"\(text.echoed)\"")
            }
        }
        guard bytes.count <= longestPayload else {
            throw SettingError("expected up to \(longestPayload) bytes to send, found \(bytes.count)")
        }
        return bytes
    }

    static func show(payload: [UInt8]) -> String {
        var text = ""
        for byte in payload {
            switch byte {
            case UInt8(ascii: "\\"): text += "\\\\"
            case 0x0a: text += "\\n"
            case 0x0d: text += "\\r"
            case 0x09: text += "\\t"
            case 0x21..<0x7f: text.unicodeScalars.append(Unicode.Scalar(byte))
            default: text += "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }
        }
        return text
    }
}
