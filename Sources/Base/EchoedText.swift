// Text from outside - words of a command, of a file, of a configuration - as messages and logs may show it. A word can be
// any bytes of any length; a terminal must not obey it, and the message must stay readable around it.

extension StringProtocol {
    /// The text with what is not printable escaped, and shortened beyond 64 characters to the first 60 and its length:
    /// `aaaa...[70000 bytes]`.
    public var echoed: String {
        let limit = 64
        let shown = 60
        var output = ""
        var count = 0
        // Where the text is cut if it proves to be too long.
        var cut = output.endIndex
        for scalar in unicodeScalars {
            if count == shown { cut = output.endIndex }
            count += 1
            if count > limit { return output[..<cut] + "...[\(utf8.count) bytes]" }
            EchoedText.append(scalar, to: &output)
        }
        return output
    }

    /// The text in full length, with what is not printable escaped. Line breaks stay where `keepsLines` says so.
    public func printable(keepsLines: Bool = false) -> String {
        if utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7f || keepsLines && $0 == 0x0a }) { return String(self) }
        var output = ""
        for scalar in unicodeScalars {
            if keepsLines, scalar == "\n" {
                output.unicodeScalars.append(scalar)
            } else {
                EchoedText.append(scalar, to: &output)
            }
        }
        return output
    }
}

private enum EchoedText {
    /// `\n`, `\t` and `\r` by their letters, other bytes of ASCII as `\x1b`, anything else that shows no glyph of its own
    /// (a change of direction, a blank of no width) as `\u{202e}`.
    static func append(_ scalar: Unicode.Scalar, to output: inout String) {
        switch scalar {
        case " "..."~": output.unicodeScalars.append(scalar)
        case "\n": output += "\\n"
        case "\t": output += "\\t"
        case "\r": output += "\\r"
        case "\u{0}"..."\u{7f}": output += "\\x" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
        default:
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate, .unassigned:
                output += "\\u{" + String(scalar.value, radix: 16) + "}"
            default: output.unicodeScalars.append(scalar)
            }
        }
    }
}
