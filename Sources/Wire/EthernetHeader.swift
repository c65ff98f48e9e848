import Base

/// The header of an Ethernet II or IEEE 802.3 frame, without tags.
public struct EthernetView {
    @usableFromInline let start: UnsafeRawPointer

    /// Bytes of the header.
    @inlinable public static var byteCount: Int { 14 }

    enum Offset {
        static let destination = 0
        static let source = 6
        static let etherType = 12
    }

    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.start(for: Self.byteCount) else { return nil }
        self.start = start
    }

    /// MAC address, 48 bits.
    public var destination: UInt64 { start.be48(Offset.destination) }
    /// MAC address, 48 bits.
    public var source: UInt64 { start.be48(Offset.source) }
    /// EtherType; below 0x600 the length of an 802.3 frame.
    public var etherType: UInt16 { start.be16(Offset.etherType) }
}

/// See `EthernetView`.
public struct EthernetHeader: WireHeader {
    public var destination: UInt64
    public var source: UInt64
    public var etherType: UInt16

    public init(destination: UInt64, source: UInt64, etherType: UInt16) {
        self.destination = destination
        self.source = source
        self.etherType = etherType
    }

    public static func parse(_ bytes: UnsafeRawBufferPointer) -> Self? {
        guard let view = EthernetView(bytes) else { return nil }
        return Self(destination: view.destination, source: view.source, etherType: view.etherType)
    }

    public var byteCount: Int { EthernetView.byteCount }

    public func emit(into bytes: UnsafeMutableRawBufferPointer) -> Bool {
        guard let start = bytes.start(for: byteCount) else { return false }
        start.store48(destination, EthernetView.Offset.destination)
        start.store48(source, EthernetView.Offset.source)
        start.store16(etherType, EthernetView.Offset.etherType)
        return true
    }
}
