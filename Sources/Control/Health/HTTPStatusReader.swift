import Base

/// Reads an HTTP answer as far as a check needs it: up to the status line of the final answer (RFC 9112, section 4).
/// Interim answers (1xx) in front of it are passed over; headers and content behind it are never looked at.
///
/// What a server may send before that is bounded in bytes, and in time by the check's timeout. Nothing is kept but the
/// beginning of one line.
package struct HTTPStatusReader {
    package enum Outcome: Equatable {
        case status(UInt16)
        case malformed(String)
    }

    package init() {}

    static let longestLine = 1024
    static let mostBytes = 16 << 10

    private enum Place { case statusLine, interimHeaders }

    private var place = Place.statusLine
    private var line: [UInt8] = []
    private var lineLength = 0
    private var total = 0

    /// Takes the next bytes; nil as long as more are needed.
    package mutating func read(_ bytes: some Sequence<UInt8>) -> Outcome? {
        for byte in bytes {
            total += 1
            guard total <= Self.mostBytes else {
                return .malformed("no status within \(Self.mostBytes) bytes")
            }
            if byte == 0x0a {
                if let outcome = endLine() { return outcome }
                line.removeAll(keepingCapacity: true)
                lineLength = 0
                continue
            }
            lineLength += 1
            guard place == .statusLine else { continue }
            line.append(byte)
            if lineLength == 5, !line.elementsEqual("HTTP/".utf8) { return notHTTP }
            if lineLength > Self.longestLine { return .malformed("status line of more than \(Self.longestLine) bytes") }
        }
        return nil
    }

    private var notHTTP: Outcome {
        .malformed("not an HTTP answer: \"\(String(decoding: line.prefix(40), as: UTF8.self).echoed)\"")
    }

    /// `HTTP/1.1 200 OK`: the reason, and by custom the space in front of it, may be missing.
    private mutating func endLine() -> Outcome? {
        if place == .interimHeaders {
            // Only the return character in front of this line end is not part of the line; which one it was does not
            // matter.
            if lineLength <= 1 { place = .statusLine }
            return nil
        }
        let text = line.last == 0x0d ? line.dropLast() : line[...]
        guard text.count >= 12, text.prefix(7).elementsEqual("HTTP/1.".utf8), isDigit(text[7]), text[8] == 0x20,
            text.count == 12 || text[12] == 0x20, text[9..<12].allSatisfy(isDigit),
            let status = UInt16(
                String(decoding: text[9..<12], as: UTF8.self)), status >= 100
        else { return notHTTP }
        // 101 is final: nobody asked for another protocol, and none of ours follows.
        if status < 200, status != 101 {
            place = .interimHeaders
            return nil
        }
        return .status(status)
    }

    private func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }
}
