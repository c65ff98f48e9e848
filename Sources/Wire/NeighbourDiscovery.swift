import Base

/// A neighbour solicitation or advertisement, from the ICMPv6 type to the last option (RFC 4861, section 4.3, 4.4).
public struct NeighbourMessage: WireHeader {
    /// One option (RFC 4861, section 4.6).
    public struct Option: Equatable, Sendable {
        public static let sourceLinkLayerAddress: UInt8 = 1
        public static let targetLinkLayerAddress: UInt8 = 2

        public var type: UInt8
        /// What follows type and length: 8 n - 2 bytes.
        public var content: [UInt8]

        public init(type: UInt8, content: [UInt8]) {
            self.type = type
            self.content = content
        }

        /// An option with a MAC address.
        public init(type: UInt8, linkLayerAddress: UInt64) {
            self.type = type
            content = (0..<6).map { UInt8(truncatingIfNeeded: linkLayerAddress >> UInt64(40 - 8 * $0)) }
        }

        public var linkLayerAddress: UInt64? {
            guard type == 1 || type == 2, content.count == 6 else { return nil }
            return content.reduce(0) { $0 << 8 | UInt64($1) }
        }
    }

    private enum Offset {
        static let target = 8
        static let options = 24
    }

    public var header: ICMPv6Header
    public var target: UInt128
    public var options: [Option] = []

    public init(header: ICMPv6Header, target: UInt128) {
        self.header = header
        self.target = target
    }

    /// Reads options to the end of `bytes`, which must be the end of the packet. Nil for another message, if the
    /// target is cut short, or if an option has length 0 or is cut short.
    public static func parse(_ bytes: UnsafeRawBufferPointer) -> Self? {
        guard let view = ICMPv6View(bytes), view.isNeighbourDiscovery, let start = bytes.start(for: 24),
            let header = ICMPv6Header.parse(bytes)
        else { return nil }
        var message = Self(header: header, target: start.be128(Offset.target))
        var at = Offset.options
        while at < bytes.count {
            guard at + 8 <= bytes.count else { return nil }
            let length = Int(start.byte(at + 1)) * 8
            guard length > 0, at + length <= bytes.count else { return nil }
            message.options.append(Option(type: start.byte(at), content: start.array(at + 2..<at + length)))
            at += length
        }
        return message
    }

    public var byteCount: Int { options.reduce(Offset.options) { $0 + 2 + $1.content.count } }

    /// False also if an option's content is not 8 n - 2 bytes.
    public func emit(into bytes: UnsafeMutableRawBufferPointer) -> Bool {
        let fits = options.allSatisfy { ($0.content.count + 2) % 8 == 0 && $0.content.count < 255 * 8 }
        guard fits, let start = bytes.start(for: byteCount), header.emit(into: bytes) else { return false }
        start.store128(target, Offset.target)
        var at = Offset.options
        for option in options {
            start.store8(option.type, at)
            start.store8(UInt8((option.content.count + 2) / 8), at + 1)
            start.store(option.content, at + 2)
            at += 2 + option.content.count
        }
        return true
    }
}
