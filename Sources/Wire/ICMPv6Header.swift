import Base

/// ICMPv6 (RFC 4443): what all messages have.
public struct ICMPv6View {
    @usableFromInline let start: UnsafeRawPointer

    /// Bytes of the header.
    @inlinable public static var byteCount: Int { 8 }

    enum Offset {
        static let type = 0
        static let code = 1
        static let checksum = 2
        static let rest = 4
    }

    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.start(for: Self.byteCount) else { return nil }
        self.start = start
    }

    public var type: UInt8 { start.byte(Offset.type) }
    public var code: UInt8 { start.byte(Offset.code) }
    /// Over pseudo header and message.
    public var checksum: UInt16 { start.be16(Offset.checksum) }
    /// What the type makes of it; reserved in neighbour discovery, flags included.
    public var rest: UInt32 { start.be32(Offset.rest) }

    /// Neighbour solicitation or advertisement (RFC 4861, sections 4.3 and 4.4).
    public var isNeighbourDiscovery: Bool { code == 0 && (type == 135 || type == 136) }
}

/// See `ICMPv6View`.
public struct ICMPv6Header: WireHeader {
    public var type: UInt8
    public var code: UInt8
    public var checksum: UInt16
    public var rest: UInt32

    public init(type: UInt8, code: UInt8, checksum: UInt16, rest: UInt32) {
        self.type = type
        self.code = code
        self.checksum = checksum
        self.rest = rest
    }

    public static func parse(_ bytes: UnsafeRawBufferPointer) -> Self? {
        guard let view = ICMPv6View(bytes) else { return nil }
        return Self(type: view.type, code: view.code, checksum: view.checksum, rest: view.rest)
    }

    public var byteCount: Int { ICMPv6View.byteCount }

    public func emit(into bytes: UnsafeMutableRawBufferPointer) -> Bool {
        guard let start = bytes.start(for: byteCount) else { return false }
        start.store8(type, ICMPv6View.Offset.type)
        start.store8(code, ICMPv6View.Offset.code)
        start.store16(checksum, ICMPv6View.Offset.checksum)
        start.store32(rest, ICMPv6View.Offset.rest)
        return true
    }
}
