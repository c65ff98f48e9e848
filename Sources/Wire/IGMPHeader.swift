import Base

/// IGMP, versions 1 and 2, and the start of version 3 messages (RFC 2236, RFC 3376).
public struct IGMPView {
    @usableFromInline let start: UnsafeRawPointer

    /// Bytes of the header.
    @inlinable public static var byteCount: Int { 8 }

    enum Offset {
        static let type = 0
        static let maxResponseTime = 1
        static let checksum = 2
        static let groupAddress = 4
    }

    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.start(for: Self.byteCount) else { return nil }
        self.start = start
    }

    public var type: UInt8 { start.byte(Offset.type) }
    /// Tenths of a second; 0 in version 1. Open vSwitch calls this byte the code.
    public var maxResponseTime: UInt8 { start.byte(Offset.maxResponseTime) }
    /// Over the whole message.
    public var checksum: UInt16 { start.be16(Offset.checksum) }
    public var groupAddress: UInt32 { start.be32(Offset.groupAddress) }
}

/// See `IGMPView`.
public struct IGMPHeader: WireHeader {
    public var type: UInt8
    public var maxResponseTime: UInt8
    public var checksum: UInt16
    public var groupAddress: UInt32

    public init(type: UInt8, maxResponseTime: UInt8, checksum: UInt16, groupAddress: UInt32) {
        self.type = type
        self.maxResponseTime = maxResponseTime
        self.checksum = checksum
        self.groupAddress = groupAddress
    }

    public static func parse(_ bytes: UnsafeRawBufferPointer) -> Self? {
        guard let view = IGMPView(bytes) else { return nil }
        return Self(
            type: view.type, maxResponseTime: view.maxResponseTime, checksum: view.checksum,
            groupAddress: view.groupAddress)
    }

    public var byteCount: Int { IGMPView.byteCount }

    public func emit(into bytes: UnsafeMutableRawBufferPointer) -> Bool {
        guard let start = bytes.start(for: byteCount) else { return false }
        start.store8(type, IGMPView.Offset.type)
        start.store8(maxResponseTime, IGMPView.Offset.maxResponseTime)
        start.store16(checksum, IGMPView.Offset.checksum)
        start.store32(groupAddress, IGMPView.Offset.groupAddress)
        return true
    }
}
