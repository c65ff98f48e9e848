import Base

/// The fixed header of an IPv6 packet (RFC 8200, section 3).
public struct IPv6View {
    @usableFromInline let start: UnsafeRawPointer

    /// Bytes of the header.
    @inlinable public static var byteCount: Int { 40 }

    enum Offset {
        static let first = 0
        static let payloadLength = 4
        static let nextHeader = 6
        static let hopLimit = 7
        static let source = 8
        static let destination = 24
    }

    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.start(for: Self.byteCount) else { return nil }
        self.start = start
    }

    public var version: UInt8 { start.byte(Offset.first) >> 4 }
    public var trafficClass: UInt8 { UInt8(truncatingIfNeeded: start.be32(Offset.first) >> 20) }
    /// 20 bits.
    public var flowLabel: UInt32 { start.be32(Offset.first) & 0xf_ffff }
    /// Bytes behind this header, extension headers included.
    public var payloadLength: UInt16 { start.be16(Offset.payloadLength) }
    public var nextHeader: UInt8 { start.byte(Offset.nextHeader) }
    public var hopLimit: UInt8 { start.byte(Offset.hopLimit) }
    public var source: UInt128 { start.be128(Offset.source) }
    public var destination: UInt128 { start.be128(Offset.destination) }
}

/// See `IPv6View`.
public struct IPv6Header: WireHeader {
    public var version: UInt8 = 6
    public var trafficClass: UInt8 = 0
    /// 20 bits; what is above is cut off.
    public var flowLabel: UInt32 = 0
    public var payloadLength: UInt16
    public var nextHeader: UInt8
    public var hopLimit: UInt8 = 64
    public var source: UInt128
    public var destination: UInt128

    public init(payloadLength: UInt16, nextHeader: UInt8, source: UInt128, destination: UInt128) {
        self.payloadLength = payloadLength
        self.nextHeader = nextHeader
        self.source = source
        self.destination = destination
    }

    public static func parse(_ bytes: UnsafeRawBufferPointer) -> Self? {
        guard let view = IPv6View(bytes) else { return nil }
        var header = Self(
            payloadLength: view.payloadLength, nextHeader: view.nextHeader, source: view.source,
            destination: view.destination)
        header.version = view.version
        header.trafficClass = view.trafficClass
        header.flowLabel = view.flowLabel
        header.hopLimit = view.hopLimit
        return header
    }

    public var byteCount: Int { IPv6View.byteCount }

    public func emit(into bytes: UnsafeMutableRawBufferPointer) -> Bool {
        guard let start = bytes.start(for: byteCount) else { return false }
        let first = UInt32(version) << 28 | UInt32(trafficClass) << 20 | flowLabel & 0xf_ffff
        start.store32(first, IPv6View.Offset.first)
        start.store16(payloadLength, IPv6View.Offset.payloadLength)
        start.store8(nextHeader, IPv6View.Offset.nextHeader)
        start.store8(hopLimit, IPv6View.Offset.hopLimit)
        start.store128(source, IPv6View.Offset.source)
        start.store128(destination, IPv6View.Offset.destination)
        return true
    }
}
