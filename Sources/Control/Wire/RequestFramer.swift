/// Cuts a stream of bytes into JSON objects, however the bytes are spread over reads.
///
/// It looks only at strings and brackets, one byte at a time and each byte once, so a request of any length costs
/// time in proportion to its length. Objects may follow each other with any white space, or nothing, between.
///
/// What is wrong with the framing is reported as it is seen, and the framer finds its way again:
/// - after bytes that begin no object, or brackets that do not pair, at the next line;
/// - after an object that is too long or too deep, behind its last bracket.
public struct RequestFramer: Sendable {
    public enum Event: Equatable, Sendable {
        case object([UInt8])
        case failure(String)
    }

    private enum State: Sendable { case between, inside, string, escape, skippingLine }

    /// Bytes that one object may have.
    public let maximumLength: Int
    /// Brackets that may be open at once; at most 64, as the pairing is kept in one word.
    public static let maximumDepth = 64

    private var state = State.between
    /// Bytes of the object that is being received.
    private var buffer: [UInt8] = []
    private var length = 0
    private var depth = 0
    /// One bit for each open bracket, the innermost at bit 0: 1 is `{`.
    private var open: UInt64 = 0
    /// Reported when the object ends.
    private var failure: String?

    public init(maximumLength: Int) { self.maximumLength = maximumLength }

    /// Bytes that are kept for an object whose end has not come.
    public var bufferedCount: Int { buffer.count }
    /// Whether the stream could end here without cutting a request in two.
    public var isBetweenObjects: Bool { state == .between || state == .skippingLine }

    /// Takes bytes up to the next event and returns it, nil when all bytes are taken. `position` moves on.
    public mutating func next(_ bytes: UnsafeRawBufferPointer, _ position: inout Int) -> Event? {
        // Bytes [start, position) belong to the object and are copied in one go.
        var start = position
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            switch state {
            case .between:
                switch byte {
                case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"), UInt8(ascii: "\n"):
                    start = position
                case UInt8(ascii: "{"), UInt8(ascii: "["):
                    start = position - 1
                    begin(byte)
                default:
                    state = .skippingLine
                    return .failure("expected a request that begins with '{', found \(Self.show(byte))")
                }
            case .skippingLine:
                start = position
                if byte == UInt8(ascii: "\n") {
                    state = .between
                } else if byte == UInt8(ascii: "{") {
                    start = position - 1
                    begin(byte)
                }
            case .string:
                if byte == UInt8(ascii: "\"") {
                    state = .inside
                } else if byte == UInt8(ascii: "\\") {
                    state = .escape
                } else if byte == UInt8(ascii: "\n") {
                    reset(to: .between)
                    return .failure("line break inside a string of the request (a missing '\"'?)")
                }
            case .escape: state = .string
            case .inside:
                guard let event = inside(byte, bytes, start, position) else { continue }
                return event
            }
        }
        if !isBetweenObjects { keep(bytes, start, position) }
        return nil
    }

    private mutating func begin(_ byte: UInt8) {
        state = .inside
        depth = 1
        open = byte == UInt8(ascii: "{") ? 1 : 0
        length = 0
        failure = nil
    }

    private mutating func inside(
        _ byte: UInt8, _ bytes: UnsafeRawBufferPointer, _ start: Int, _ position: Int
    ) -> Event? {
        switch byte {
        case UInt8(ascii: "\""): state = .string
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            depth += 1
            if depth > Self.maximumDepth {
                failure = failure ?? "request is nested more than \(Self.maximumDepth) levels deep"
            } else {
                open = open << 1 | (byte == UInt8(ascii: "{") ? 1 : 0)
            }
        case UInt8(ascii: "}"), UInt8(ascii: "]"):
            depth -= 1
            guard depth < Self.maximumDepth else { return nil }
            let paired = open & 1 == (byte == UInt8(ascii: "}") ? 1 : 0)
            open >>= 1
            guard paired else {
                reset(to: .skippingLine)
                return .failure("unexpected \(Self.show(byte)) in the request")
            }
            guard depth == 0 else { return nil }
            keep(bytes, start, position)
            let event = failure.map(Event.failure) ?? .object(buffer)
            reset(to: .between)
            return event
        default: break
        }
        return nil
    }

    private mutating func keep(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ end: Int) {
        length += end - start
        if length > maximumLength {
            failure = failure ?? "request is longer than \(maximumLength) bytes"
        }
        if failure == nil {
            buffer += bytes[start..<end]
        } else {
            buffer = []
        }
    }

    private mutating func reset(to state: State) {
        self.state = state
        buffer = []
        length = 0
        depth = 0
    }

    private static func show(_ byte: UInt8) -> String {
        (0x21..<0x7f).contains(byte)
            ? "'\(Character(UnicodeScalar(byte)))'" : "byte 0x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
}
