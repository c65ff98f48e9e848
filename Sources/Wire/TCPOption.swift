import Base

/// One TCP option (RFC 9293, section 3.2; RFC 7323; RFC 2018).
public enum TCPOption: Equatable, Sendable {
    case endOfList
    case noOperation
    case maximumSegmentSize(UInt16)
    case windowScale(UInt8)
    case selectiveAcknowledgmentPermitted
    case timestamps(value: UInt32, echo: UInt32)
    /// Any other, or one of these kinds with an unexpected length.
    case other(kind: UInt8, [UInt8])

    /// The options in `bytes`, up to and with the end of list; nil if one is cut short or has a length below 2.
    public static func parse(_ bytes: UnsafeRawBufferPointer) -> [TCPOption]? {
        var options: [TCPOption] = []
        var at = 0
        while at < bytes.count {
            switch bytes[at] {
            case 0:
                options.append(.endOfList)
                return options
            case 1:
                options.append(.noOperation)
                at += 1
            case let kind:
                guard at + 1 < bytes.count else { return nil }
                let length = Int(bytes[at + 1])
                guard length >= 2, at + length <= bytes.count else { return nil }
                options.append(Self(kind: kind, [UInt8](bytes[at + 2..<at + length])))
                at += length
            }
        }
        return options
    }

    private init(kind: UInt8, _ content: [UInt8]) {
        func number(_ range: Range<Int>) -> UInt32 { content[range].reduce(0) { $0 << 8 | UInt32($1) } }
        switch (kind, content.count) {
        case (2, 2): self = .maximumSegmentSize(UInt16(number(0..<2)))
        case (3, 1): self = .windowScale(content[0])
        case (4, 0): self = .selectiveAcknowledgmentPermitted
        case (8, 8): self = .timestamps(value: number(0..<4), echo: number(4..<8))
        default: self = .other(kind: kind, content)
        }
    }

    /// The option's bytes. Content of more than 253 bytes is cut off, as the length field demands.
    public var bytes: [UInt8] {
        func big(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) } }
        switch self {
        case .endOfList: return [0]
        case .noOperation: return [1]
        case .maximumSegmentSize(let size): return [2, 4, UInt8(size >> 8), UInt8(size & 0xff)]
        case .windowScale(let shift): return [3, 3, shift]
        case .selectiveAcknowledgmentPermitted: return [4, 2]
        case .timestamps(let value, let echo): return [8, 10] + big(value) + big(echo)
        case .other(let kind, let content): return [kind, UInt8(min(content.count, 253) + 2)] + content.prefix(253)
        }
    }

    /// Options as they stand in a header, filled up with end-of-list bytes to a multiple of 4.
    public static func emit(_ options: [TCPOption]) -> [UInt8] {
        var result = options.flatMap(\.bytes)
        while result.count % 4 != 0 { result.append(0) }
        return result
    }
}
