/// A mapping that is asked for: what stands in `{class=0x102,type=0x80,len=4}->tun_metadata0`.
public struct TLVMapRequest: Hashable, Sendable {
    public var optionClass: UInt16
    public var optionType: UInt8
    /// Bytes.
    public var length: Int
    public var number: Int

    public init(optionClass: UInt16, optionType: UInt8, length: Int, number: Int) {
        self.optionClass = optionClass
        self.optionType = optionType
        self.length = length
        self.number = number
    }
}

/// Reads TLV maps in the syntax of ovs-ofctl(8), `add-tlv-map`: mappings with commas between them.
public struct TLVMapParser {
    public init() {}

    public func parse(_ map: String) throws(FlowSyntaxError) -> [TLVMapRequest] {
        try FlowParser.withText(map) { text throws(FlowSyntaxError) in
            var requests: [TLVMapRequest] = []
            var rest = text.trimmed()
            while !rest.isEmpty {
                requests.append(try mapping(&rest))
                rest = rest.trimmed()
                guard !rest.isEmpty else { break }
                guard rest[0] == UInt8(ascii: ",") else {
                    throw FlowSyntaxError(rest, "expected a comma and another mapping, found \(rest.quoted)")
                }
                rest = rest.dropFirst(1).trimmed()
                if rest.isEmpty { throw FlowSyntaxError(rest, "expected another mapping behind the comma") }
            }
            return requests
        }
    }

    private func mapping(_ rest: inout Text) throws(FlowSyntaxError) -> TLVMapRequest {
        let optionClass = try number(&rest, behind: "{class=", "class", maximum: 0xffff)
        let optionType = try number(&rest, behind: ",type=", "type", maximum: 0xff)
        let length = try number(&rest, behind: ",len=", "len", maximum: 0xff)
        let field = try number(&rest, behind: "}->tun_metadata", "number of the field", maximum: 0xffff)
        return TLVMapRequest(
            optionClass: UInt16(optionClass), optionType: UInt8(optionType), length: Int(length), number: Int(field))
    }

    private func number(
        _ rest: inout Text, behind prefix: StaticString, _ name: String, maximum: UInt128
    ) throws(FlowSyntaxError) -> UInt64 {
        guard rest.hasPrefix(prefix) else {
            throw FlowSyntaxError(
                rest,
                "invalid tlv mapping: expected \"\(prefix)\" of {class=0xHHHH,type=0xHH,len=BYTES}->tun_metadataN, "
                    + "found \(rest.quoted)")
        }
        rest = rest.dropFirst(prefix.utf8CodeUnitCount)
        var end = 0
        while end < rest.count, rest[end] != UInt8(ascii: ","), rest[end] != UInt8(ascii: "}"),
            rest[end] != UInt8(ascii: " ")
        {
            end += 1
        }
        let value = try rest.prefix(end).number(name, maximum: maximum)
        rest = rest.dropFirst(end)
        return UInt64(value)
    }
}

/// Writes a TLV map as `dump-tlv-map` does.
public struct TLVMapPrinter {
    public init() {}

    public func lines(_ map: TLVMap) -> [String] {
        [
            " max option space=\(TLVMap.space) max fields=\(TLVMap.fieldLimit)",
            " allocated option space=\(map.allocated)", "", " mapping table:",
            "  class  type  length  match field", " ------  ----  ------  --------------",
        ]
            + map.mappings.map { mapping in
                " \(column(Digits.hex(mapping.optionClass), 6)) \(column(Digits.hex(mapping.optionType), 5)) "
                    + "\(column(String(mapping.length), 7))  tun_metadata\(mapping.field.number)"
            }
    }

    private func column(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.utf8.count)) + text
    }
}
