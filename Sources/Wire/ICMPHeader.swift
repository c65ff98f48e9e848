import Base

/// ICMP (RFC 792): what all messages have.
public struct ICMPView {
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
    /// Over the whole message.
    public var checksum: UInt16 { start.be16(Offset.checksum) }
    /// What the type makes of it: identifier and sequence number, gateway, next-hop MTU.
    public var rest: UInt32 { start.be32(Offset.rest) }
    public var identifier: UInt16 { UInt16(rest >> 16) }
    public var sequenceNumber: UInt16 { UInt16(rest & 0xffff) }
}

/// See `ICMPView`.
public struct ICMPHeader: WireHeader {
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
        guard let view = ICMPView(bytes) else { return nil }
        return Self(type: view.type, code: view.code, checksum: view.checksum, rest: view.rest)
    }

    public var byteCount: Int { ICMPView.byteCount }

    public func emit(into bytes: UnsafeMutableRawBufferPointer) -> Bool {
        guard let start = bytes.start(for: byteCount) else { return false }
        start.store8(type, ICMPView.Offset.type)
        start.store8(code, ICMPView.Offset.code)
        start.store16(checksum, ICMPView.Offset.checksum)
        start.store32(rest, ICMPView.Offset.rest)
        return true
    }
}
