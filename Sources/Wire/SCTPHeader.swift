import Base

/// The common header of SCTP (RFC 9260, section 3.1).
public struct SCTPView {
    @usableFromInline let start: UnsafeRawPointer

    /// Bytes of the header.
    @inlinable public static var byteCount: Int { 12 }

    enum Offset {
        static let sourcePort = 0
        static let destinationPort = 2
        static let verificationTag = 4
        static let checksum = 8
    }

    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.start(for: Self.byteCount) else { return nil }
        self.start = start
    }

    public var sourcePort: UInt16 { start.be16(Offset.sourcePort) }
    public var destinationPort: UInt16 { start.be16(Offset.destinationPort) }
    public var verificationTag: UInt32 { start.be32(Offset.verificationTag) }
    /// As it stands; the CRC32c lies in it in little-endian order.
    public var checksum: UInt32 { start.be32(Offset.checksum) }

    /// Whether the CRC32c over `packet`, header and chunks, is right.
    public static func hasValidChecksum(_ packet: UnsafeRawBufferPointer) -> Bool {
        guard let view = Self(packet) else { return false }
        var bytes = [UInt8](packet)
        bytes.replaceSubrange(Offset.checksum..<Offset.checksum + 4, with: [0, 0, 0, 0])
        let crc = bytes.withUnsafeBytes { zeroed in
            zeroed.baseAddress.map { CRC32C.checksum($0, count: zeroed.count) }
        }
        return crc == view.checksum.byteSwapped
    }
}

/// See `SCTPView`.
public struct SCTPHeader: WireHeader {
    public var sourcePort: UInt16
    public var destinationPort: UInt16
    public var verificationTag: UInt32
    public var checksum: UInt32

    public init(sourcePort: UInt16, destinationPort: UInt16, verificationTag: UInt32, checksum: UInt32) {
        self.sourcePort = sourcePort
        self.destinationPort = destinationPort
        self.verificationTag = verificationTag
        self.checksum = checksum
    }

    public static func parse(_ bytes: UnsafeRawBufferPointer) -> Self? {
        guard let view = SCTPView(bytes) else { return nil }
        return Self(
            sourcePort: view.sourcePort, destinationPort: view.destinationPort, verificationTag: view.verificationTag,
            checksum: view.checksum)
    }

    public var byteCount: Int { SCTPView.byteCount }

    public func emit(into bytes: UnsafeMutableRawBufferPointer) -> Bool {
        guard let start = bytes.start(for: byteCount) else { return false }
        start.store16(sourcePort, SCTPView.Offset.sourcePort)
        start.store16(destinationPort, SCTPView.Offset.destinationPort)
        start.store32(verificationTag, SCTPView.Offset.verificationTag)
        start.store32(checksum, SCTPView.Offset.checksum)
        return true
    }
}
