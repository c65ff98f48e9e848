import Base

/// The header of an IPv4 packet, options included (RFC 791, section 3.1).
public struct IPv4View {
    @usableFromInline let start: UnsafeRawPointer
    /// Bytes of the header: 20 to 60.
    public let byteCount: Int

    enum Offset {
        static let versionAndLength = 0
        static let typeOfService = 1
        static let totalLength = 2
        static let identification = 4
        static let fragment = 6
        static let timeToLive = 8
        static let ipProtocol = 9
        static let checksum = 10
        static let source = 12
        static let destination = 16
        static let options = 20
    }

    /// Nil if the header is cut short or its length field is below 5 words. The total length is not looked at.
    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.start(for: 20) else { return nil }
        let length = Int(start.byte(Offset.versionAndLength) & 15) * 4
        guard length >= 20, length <= bytes.count else { return nil }
        self.start = start
        byteCount = length
    }

    public var version: UInt8 { start.byte(Offset.versionAndLength) >> 4 }
    public var typeOfService: UInt8 { start.byte(Offset.typeOfService) }
    /// Bytes of header and payload.
    public var totalLength: UInt16 { start.be16(Offset.totalLength) }
    public var identification: UInt16 { start.be16(Offset.identification) }
    /// Flags (3 bits) and fragment offset.
    public var fragment: UInt16 { start.be16(Offset.fragment) }
    public var dontFragment: Bool { fragment & 0x4000 != 0 }
    public var moreFragments: Bool { fragment & 0x2000 != 0 }
    /// In units of 8 bytes.
    public var fragmentOffset: UInt16 { fragment & 0x1fff }
    public var timeToLive: UInt8 { start.byte(Offset.timeToLive) }
    public var ipProtocol: UInt8 { start.byte(Offset.ipProtocol) }
    public var checksum: UInt16 { start.be16(Offset.checksum) }
    public var source: UInt32 { start.be32(Offset.source) }
    public var destination: UInt32 { start.be32(Offset.destination) }
    public var options: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: start + Offset.options, count: byteCount - Offset.options)
    }
    public var hasValidChecksum: Bool { InternetChecksum.checksum(start, count: byteCount) == 0 }
}

/// See `IPv4View`. The header length follows from the options.
public struct IPv4Header: WireHeader {
    public var version: UInt8 = 4
    public var typeOfService: UInt8 = 0
    public var totalLength: UInt16
    public var identification: UInt16 = 0
    public var fragment: UInt16 = 0
    public var timeToLive: UInt8 = 64
    public var ipProtocol: UInt8
    public var checksum: UInt16 = 0
    public var source: UInt32
    public var destination: UInt32
    /// At most 40 bytes, a multiple of 4; `emit` refuses anything else.
    public var options: [UInt8] = []

    public init(totalLength: UInt16, ipProtocol: UInt8, source: UInt32, destination: UInt32) {
        self.totalLength = totalLength
        self.ipProtocol = ipProtocol
        self.source = source
        self.destination = destination
    }

    public static func parse(_ bytes: UnsafeRawBufferPointer) -> Self? {
        guard let view = IPv4View(bytes) else { return nil }
        var header = Self(
            totalLength: view.totalLength, ipProtocol: view.ipProtocol, source: view.source,
            destination: view.destination)
        header.version = view.version
        header.typeOfService = view.typeOfService
        header.identification = view.identification
        header.fragment = view.fragment
        header.timeToLive = view.timeToLive
        header.checksum = view.checksum
        header.options = [UInt8](view.options)
        return header
    }

    public var byteCount: Int { 20 + options.count }

    public func emit(into bytes: UnsafeMutableRawBufferPointer) -> Bool {
        guard options.count <= 40, options.count % 4 == 0, let start = bytes.start(for: byteCount) else { return false }
        start.store8(version << 4 | UInt8(byteCount / 4), IPv4View.Offset.versionAndLength)
        start.store8(typeOfService, IPv4View.Offset.typeOfService)
        start.store16(totalLength, IPv4View.Offset.totalLength)
        start.store16(identification, IPv4View.Offset.identification)
        start.store16(fragment, IPv4View.Offset.fragment)
        start.store8(timeToLive, IPv4View.Offset.timeToLive)
        start.store8(ipProtocol, IPv4View.Offset.ipProtocol)
        start.store16(checksum, IPv4View.Offset.checksum)
        start.store32(source, IPv4View.Offset.source)
        start.store32(destination, IPv4View.Offset.destination)
        start.store(options, IPv4View.Offset.options)
        return true
    }

    /// Emits with the right checksum instead of `checksum`.
    public func emitWithChecksum(into bytes: UnsafeMutableRawBufferPointer) -> Bool {
        var header = self
        header.checksum = 0
        guard header.emit(into: bytes), let start = bytes.baseAddress else { return false }
        start.store16(InternetChecksum.checksum(start, count: byteCount), IPv4View.Offset.checksum)
        return true
    }
}
