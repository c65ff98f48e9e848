import Foundation

extension JSONValue {
    /// Why a text is no JSON, in words for the one who wrote it.
    public struct SyntaxError: Error, CustomStringConvertible {
        public let description: String
    }

    /// Reads one value from a whole text.
    ///
    /// The caller bounds the nesting (`RequestFramer` does), since reading recurses.
    public init(parsing bytes: some Sequence<UInt8>) throws(SyntaxError) {
        do {
            self = try JSONDecoder().decode(JSONValue.self, from: Data(bytes))
        } catch let DecodingError.dataCorrupted(context) {
            throw SyntaxError(description: Self.explain(context))
        } catch {
            throw SyntaxError(description: "not valid JSON")
        }
    }

    private static func explain(_ context: DecodingError.Context) -> String {
        guard let underlying = context.underlyingError as NSError? else { return "not valid JSON" }
        let detail = underlying.userInfo[NSDebugDescriptionErrorKey] as? String
        return "not valid JSON" + (detail.map { ": " + $0 } ?? "")
    }

    /// The value as compact text.
    public var text: String {
        var output: [UInt8] = []
        write(to: &output)
        return String(decoding: output, as: UTF8.self)
    }

    /// The value as indented text, for people.
    public var prettyText: String {
        var output: [UInt8] = []
        write(to: &output, indentation: 0)
        return String(decoding: output, as: UTF8.self)
    }

    /// Appends the value as UTF-8; with an indentation, one member a line.
    public func write(to output: inout [UInt8], indentation: Int? = nil) {
        switch self {
        case .null: output += "null".utf8
        case .bool(let value): output += (value ? "true" : "false").utf8
        case .integer(let value): output += String(value).utf8
        case .unsigned(let value): output += String(value).utf8
        // JSON has no infinity and no NaN.
        case .number(let value): output += (value.isFinite ? "\(value)" : "null").utf8
        case .string(let value): Self.write(value, to: &output)
        case .array(let values):
            Self.writeList(values, "[", "]", to: &output, indentation) { value, inner, output in
                value.write(to: &output, indentation: inner)
            }
        case .object(let members):
            Self.writeList(members, "{", "}", to: &output, indentation) { member, inner, output in
                Self.write(member.name, to: &output)
                output += (inner == nil ? ":" : ": ").utf8
                member.value.write(to: &output, indentation: inner)
            }
        }
    }

    private static func writeList<Element>(
        _ elements: [Element], _ open: String, _ close: String, to output: inout [UInt8], _ indentation: Int?,
        _ element: (Element, Int?, inout [UInt8]) -> Void
    ) {
        output += open.utf8
        let inner = indentation.map { $0 + 2 }
        for i in elements.indices {
            if i > 0 { output += ",".utf8 }
            if let inner { output += ("\n" + String(repeating: " ", count: inner)).utf8 }
            element(elements[i], inner, &output)
        }
        if let indentation, !elements.isEmpty { output += ("\n" + String(repeating: " ", count: indentation)).utf8 }
        output += close.utf8
    }

    /// A string in quotes, with the escapes that RFC 8259 section 7 asks for.
    static func write(_ value: String, to output: inout [UInt8]) {
        let hex = Array("0123456789abcdef".utf8)
        output.append(UInt8(ascii: "\""))
        var value = value
        value.withUTF8 { bytes in
            output.reserveCapacity(output.count + bytes.count + 2)
            for byte in bytes {
                switch byte {
                case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                    output.append(UInt8(ascii: "\\"))
                    output.append(byte)
                case UInt8(ascii: "\n"): output += [UInt8(ascii: "\\"), UInt8(ascii: "n")]
                case UInt8(ascii: "\t"): output += [UInt8(ascii: "\\"), UInt8(ascii: "t")]
                case 0..<0x20, 0x7f:
                    output += "\\u00".utf8
                    output.append(hex[Int(byte >> 4)])
                    output.append(hex[Int(byte & 15)])
                default: output.append(byte)
                }
            }
        }
        output.append(UInt8(ascii: "\""))
    }
}
