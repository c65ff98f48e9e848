import Base

extension MatchField {
    /// Reads the three forms of flags: `value/mask` in numbers, `+set-unset`, and `one|other` for exactly these.
    func parseFlags(
        _ text: Text, _ names: [StaticString], count: Int
    ) throws(FlowSyntaxError) -> FieldValue {
        let allowed = FieldLayout.ones(count)
        if let slash = text.firstIndex(of: UInt8(ascii: "/")) {
            let value = try text.prefix(slash).number("value of \(name)", maximum: 0xffff_ffff)
            let mask = try text.dropFirst(slash + 1).number("mask of \(name)", maximum: 0xffff_ffff)
            guard value & ~allowed == 0, mask & ~allowed == 0 else { throw unknownFlag(text, names, count) }
            return FieldValue(value: value, mask: mask)
        }
        if text[0] == UInt8(ascii: "+") || text[0] == UInt8(ascii: "-") {
            return try parseSignedFlags(text, names, count)
        }
        return FieldValue(value: try parseExactFlags(text, names, count), mask: ~0)
    }

    private func parseSignedFlags(
        _ text: Text, _ names: [StaticString], _ count: Int
    ) throws(FlowSyntaxError) -> FieldValue {
        var result = FieldValue(value: 0, mask: 0)
        var at = 0
        while at < text.count {
            let sign = text[at]
            guard sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") else {
                throw FlowSyntaxError(text.dropFirst(at), "expected + or - before each flag of \(name)")
            }
            var end = at + 1
            while end < text.count, text[end] != UInt8(ascii: "+"), text[end] != UInt8(ascii: "-") { end += 1 }
            let word = text.slice(at + 1, end)
            guard let bit = names.prefix(count).firstIndex(where: { word.equals($0) }) else {
                throw unknownFlag(word, names, count)
            }
            let flag: UInt128 = 1 << UInt128(bit)
            if result.mask & flag != 0 {
                throw FlowSyntaxError(word, "\(word.echoed): each flag of \(name) can be given only once")
            }
            result.mask |= flag
            if sign == UInt8(ascii: "+") { result.value |= flag }
            at = end
        }
        return result
    }

    private func parseExactFlags(
        _ text: Text, _ names: [StaticString], _ count: Int
    ) throws(FlowSyntaxError) -> UInt128 {
        var rest = text
        var value: UInt128 = 0
        while let word = rest.nextWord(separatedBy: "|") {
            if let bit = names.prefix(count).firstIndex(where: { word.equals($0) }) {
                value |= 1 << UInt128(bit)
            } else if case .value(let number) = word.number(), number & ~FieldLayout.ones(count) == 0 {
                value |= number
            } else {
                throw unknownFlag(word, names, count)
            }
        }
        return value
    }

    private func unknownFlag(_ text: Text, _ names: [StaticString], _ count: Int) -> FlowSyntaxError {
        let known = names.prefix(min(count, 9)).map { "\($0)" }.joined(separator: ", ")
        return FlowSyntaxError(text, "\(text.echoed): unknown flag of \(name): expected \(known)")
    }
}

/// Port numbers and names in flow text.
enum Ports {
    static let reserved: [(StaticString, PortNumber)] = [
        ("IN_PORT", .inPort), ("TABLE", .table), ("NORMAL", .normal), ("FLOOD", .flood), ("ALL", .all),
        ("CONTROLLER", .controller), ("LOCAL", .local), ("ANY", .none), ("UNSET", .unset), ("NONE", .none),
    ]

    /// A number, a reserved word or the name of a port.
    static func parse(_ text: Text, _ context: FlowContext) throws(FlowSyntaxError) -> PortNumber {
        if let port = try lookUp(text, context) { return port }
        throw FlowSyntaxError(text, "unknown port \(text.quoted): expected a number, a port's name or a reserved port")
    }

    /// nil if it is none of these.
    static func lookUp(_ text: Text, _ context: FlowContext) throws(FlowSyntaxError) -> PortNumber? {
        if text.isEmpty || text[0] == UInt8(ascii: "-") { return nil }
        if let number = text.decimal32() {
            if number <= 0xffff { return PortNumber(openFlow10: UInt16(number)) }
            if number >= PortNumber.max.rawValue { return PortNumber(number) }
            throw FlowSyntaxError(
                text, "port \(number) is outside the supported range 0 through 65535 or 4294967040 through 4294967295")
        }
        for (word, port) in reserved where text.equalsFolded(word) { return port }
        guard let resolve = context.portNumber else { return nil }
        return resolve(unquoted(text))
    }

    private static func unquoted(_ text: Text) -> String {
        guard text.count > 1, text[0] == UInt8(ascii: "\""), text[text.count - 1] == UInt8(ascii: "\"") else {
            return text.string
        }
        var bytes: [UInt8] = []
        var i = 1
        while i < text.count - 1 {
            if text[i] == UInt8(ascii: "\\"), i + 2 < text.count { i += 1 }
            bytes.append(text[i])
            i += 1
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// As ovs-ofctl prints it: reserved word, name (quoted where it could be misread), or number.
    static func format(_ port: PortNumber, _ context: FlowContext) -> String {
        for (word, number) in reserved where number == port { return "\(word)" }
        guard let name = context.portName?(port) else {
            return String(port >= .max ? port.rawValue & 0xffff : port.rawValue)
        }
        let isPlain =
            name.utf8.first.map { !ASCII.isDigit($0) } ?? false
            && name.utf8.allSatisfy { ASCII.isDigit($0) || ASCII.lower($0) &- 0x61 < 26 || $0 == 0x2d || $0 == 0x5f }
        if isPlain { return name }
        let escaped = name.flatMap { $0 == "\"" || $0 == "\\" ? ["\\", $0] : [$0] }
        return "\"\(String(escaped))\""
    }
}
