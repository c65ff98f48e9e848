extension Subfield {
    /// Reads `NXM_NX_REG0[0..7]`, `reg0[5]`, `reg0[]` or `reg0`, the whole text.
    static func parse(_ text: Text, _ context: FlowContext) throws(FlowSyntaxError) -> Subfield {
        var rest = text
        let subfield = try take(&rest, context)
        if !rest.isEmpty { throw FlowSyntaxError(rest, "unexpected \(rest.quoted) behind a field") }
        return subfield
    }

    /// Reads a subfield off the front.
    static func take(_ text: inout Text, _ context: FlowContext) throws(FlowSyntaxError) -> Subfield {
        var n = 0
        while n < text.count, text[n] != UInt8(ascii: "["), text[n] != UInt8(ascii: "-") { n += 1 }
        let name = text.prefix(n)
        guard let named = MatchField.bySubfieldName.find(name) else {
            throw FlowSyntaxError(
                name, "unknown field \(name.quoted): expected one of ovs-fields(7), such as NXM_NX_REG0[0..15]")
        }
        let field = try named.placed(by: context, at: name)
        let width = field.width
        guard text[n] == UInt8(ascii: "[") else {
            text = text.dropFirst(n)
            return Subfield(field, offset: 0, width: width)
        }
        guard let close = text.firstIndex(of: UInt8(ascii: "]")) else {
            throw FlowSyntaxError(text.dropFirst(n), "expected [], [bit] or [first..last]")
        }
        let range = text.slice(n + 1, close)
        let whole = text.prefix(close + 1)
        text = text.dropFirst(close + 1)
        if range.isEmpty { return Subfield(field, offset: 0, width: width) }
        let (first, last) = try bits(range)
        guard first <= last else { throw FlowSyntaxError(range, "starting bit \(first) is after ending bit \(last)") }
        guard last < width else {
            throw FlowSyntaxError(
                range, "\(whole.echoed): ending bit \(last) is not valid because the field is only \(width) bits wide")
        }
        return Subfield(field, offset: first, width: last - first + 1)
    }

    private static func bits(_ range: Text) throws(FlowSyntaxError) -> (Int, Int) {
        if let dots = range.firstIndex(of: "..") {
            guard let first = range.prefix(dots).decimal32(), let last = range.dropFirst(dots + 2).decimal32() else {
                throw FlowSyntaxError(range, "expected [], [bit] or [first..last]")
            }
            return (Int(first), Int(last))
        }
        guard let bit = range.decimal32() else {
            throw FlowSyntaxError(range, "expected [], [bit] or [first..last]")
        }
        return (Int(bit), Int(bit))
    }

    /// Whether it is the field as a whole.
    var isWhole: Bool { offset == 0 && width == field.width }

    public var text: String {
        if isWhole { return "\(field.subfieldName)[]" }
        if width == 1 { return "\(field.subfieldName)[\(offset)]" }
        return "\(field.subfieldName)[\(offset)..\(offset + width - 1)]"
    }
}
