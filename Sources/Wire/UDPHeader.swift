import Base

/// RFC 768.
public struct UDPView {
    @usableFromInline let start: UnsafeRawPointer

    /// Bytes of the header.
    @inlinable public static var byteCount: Int { 8 }

    enum Offset {
        static let sourcePort = 0
        static let destinationPort = 2
        static let length = 4
        static let checksum = 6
    }

    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.start(for: Self.byteCount) else { return nil }
        self.start = start
    }

    public var sourcePort: UInt16 { start.be16(Offset.sourcePort) }
    public var destinationPort: UInt16 { start.be16(Offset.destinationPort) }
    /// Bytes of header and payload.
    public var length: UInt16 { start.be16(Offset.length) }
    /// 0: there is none.
    public var checksum: UInt16 { start.be16(Offset.checksum) }
}

/// See `UDPView`.
public struct UDPHeader: WireHeader {
    public var sourcePort: UInt16
    public var destinationPort: UInt16
    public var length: UInt16
    public var checksum: UInt16

    public init(sourcePort: UInt16, destinationPort: UInt16, length: UInt16, checksum: UInt16) {
        self.sourcePort = sourcePort
        self.destinationPort = destinationPort
        self.length = length
        self.checksum = checksum
    }

    public static func parse(_ bytes: UnsafeRawBufferPointer) -> Self? {
        guard let view = UDPView(bytes) else { return nil }
        return Self(
            sourcePort: view.sourcePort, destinationPort: view.destinationPort, length: view.length,
            checksum: view.checksum)
    }

    public var byteCount: Int { UDPView.byteCount }

    public func emit(into bytes: UnsafeMutableRawBufferPointer) -> Bool {
        guard let start = bytes.start(for: byteCount) else { return false }
        start.store16(sourcePort, UDPView.Offset.sourcePort)
        start.store16(destinationPort, UDPView.Offset.destinationPort)
        start.store16(length, UDPView.Offset.length)
        start.store16(checksum, UDPView.Offset.checksum)
        return true
    }
}
