import Base

/// The header of a TCP segment, options included (RFC 9293, section 3.1).
public struct TCPView {
    @usableFromInline let start: UnsafeRawPointer
    /// Bytes of the header: 20 to 60.
    public let byteCount: Int

    enum Offset {
        static let sourcePort = 0
        static let destinationPort = 2
        static let sequenceNumber = 4
        static let acknowledgment = 8
        static let control = 12
        static let window = 14
        static let checksum = 16
        static let urgentPointer = 18
        static let options = 20
    }

    /// Nil if the header is cut short or its data offset is below 5 words.
    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.start(for: 20) else { return nil }
        let length = Int(start.byte(Offset.control) >> 4) * 4
        guard length >= 20, length <= bytes.count else { return nil }
        self.start = start
        byteCount = length
    }

    public var sourcePort: UInt16 { start.be16(Offset.sourcePort) }
    public var destinationPort: UInt16 { start.be16(Offset.destinationPort) }
    public var sequenceNumber: UInt32 { start.be32(Offset.sequenceNumber) }
    public var acknowledgment: UInt32 { start.be32(Offset.acknowledgment) }
    /// Reserved bits and flags, 12 bits: FIN is bit 0, CWR bit 7.
    public var flags: UInt16 { start.be16(Offset.control) & 0x0fff }
    public var window: UInt16 { start.be16(Offset.window) }
    /// Over pseudo header and segment.
    public var checksum: UInt16 { start.be16(Offset.checksum) }
    public var urgentPointer: UInt16 { start.be16(Offset.urgentPointer) }
    public var options: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: start + Offset.options, count: byteCount - Offset.options)
    }
}

/// See `TCPView`. The data offset follows from the options.
public struct TCPHeader: WireHeader {
    public var sourcePort: UInt16
    public var destinationPort: UInt16
    public var sequenceNumber: UInt32 = 0
    public var acknowledgment: UInt32 = 0
    public var flags: UInt16 = 0
    public var window: UInt16 = 0
    public var checksum: UInt16 = 0
    public var urgentPointer: UInt16 = 0
    /// At most 40 bytes, a multiple of 4; `emit` refuses anything else.
    public var options: [UInt8] = []

    public init(sourcePort: UInt16, destinationPort: UInt16) {
        self.sourcePort = sourcePort
        self.destinationPort = destinationPort
    }

    public static func parse(_ bytes: UnsafeRawBufferPointer) -> Self? {
        guard let view = TCPView(bytes) else { return nil }
        var header = Self(sourcePort: view.sourcePort, destinationPort: view.destinationPort)
        header.sequenceNumber = view.sequenceNumber
        header.acknowledgment = view.acknowledgment
        header.flags = view.flags
        header.window = view.window
        header.checksum = view.checksum
        header.urgentPointer = view.urgentPointer
        header.options = [UInt8](view.options)
        return header
    }

    public var byteCount: Int { 20 + options.count }

    public func emit(into bytes: UnsafeMutableRawBufferPointer) -> Bool {
        guard options.count <= 40, options.count % 4 == 0, let start = bytes.start(for: byteCount) else { return false }
        start.store16(sourcePort, TCPView.Offset.sourcePort)
        start.store16(destinationPort, TCPView.Offset.destinationPort)
        start.store32(sequenceNumber, TCPView.Offset.sequenceNumber)
        start.store32(acknowledgment, TCPView.Offset.acknowledgment)
        start.store16(UInt16(byteCount / 4) << 12 | flags & 0x0fff, TCPView.Offset.control)
        start.store16(window, TCPView.Offset.window)
        start.store16(checksum, TCPView.Offset.checksum)
        start.store16(urgentPointer, TCPView.Offset.urgentPointer)
        start.store(options, TCPView.Offset.options)
        return true
    }
}
