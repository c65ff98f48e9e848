import Base

/// The LLC and SNAP headers behind an IEEE 802.3 length (IEEE 802.2, RFC 1042).
public struct SNAPView {
    @usableFromInline let start: UnsafeRawPointer

    /// Bytes of the header.
    @inlinable public static var byteCount: Int { 8 }

    enum Offset {
        static let destinationSAP = 0
        static let sourceSAP = 1
        static let control = 2
        static let organizationHigh = 3
        static let organizationLow = 4
        static let etherType = 6
    }

    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.start(for: Self.byteCount) else { return nil }
        self.start = start
    }

    /// 0xaa for SNAP.
    public var destinationSAP: UInt8 { start.byte(Offset.destinationSAP) }
    /// 0xaa for SNAP.
    public var sourceSAP: UInt8 { start.byte(Offset.sourceSAP) }
    /// 3 for unnumbered information.
    public var control: UInt8 { start.byte(Offset.control) }
    /// Upper 8 bits of the organisation code.
    public var organizationHigh: UInt8 { start.byte(Offset.organizationHigh) }
    /// Lower 16 bits of the organisation code; 0 says that an EtherType follows.
    public var organizationLow: UInt16 { start.be16(Offset.organizationLow) }
    public var etherType: UInt16 { start.be16(Offset.etherType) }

    /// Whether the header says that it carries an EtherType.
    public var carriesEtherType: Bool {
        destinationSAP == 0xaa && sourceSAP == 0xaa && control == 3 && organizationHigh == 0 && organizationLow == 0
    }
}

/// See `SNAPView`.
public struct SNAPHeader: WireHeader {
    public var destinationSAP: UInt8
    public var sourceSAP: UInt8
    public var control: UInt8
    public var organizationHigh: UInt8
    public var organizationLow: UInt16
    public var etherType: UInt16

    public init(
        destinationSAP: UInt8, sourceSAP: UInt8, control: UInt8, organizationHigh: UInt8, organizationLow: UInt16,
        etherType: UInt16
    ) {
        self.destinationSAP = destinationSAP
        self.sourceSAP = sourceSAP
        self.control = control
        self.organizationHigh = organizationHigh
        self.organizationLow = organizationLow
        self.etherType = etherType
    }

    public static func parse(_ bytes: UnsafeRawBufferPointer) -> Self? {
        guard let view = SNAPView(bytes) else { return nil }
        return Self(
            destinationSAP: view.destinationSAP, sourceSAP: view.sourceSAP, control: view.control,
            organizationHigh: view.organizationHigh, organizationLow: view.organizationLow, etherType: view.etherType)
    }

    public var byteCount: Int { SNAPView.byteCount }

    public func emit(into bytes: UnsafeMutableRawBufferPointer) -> Bool {
        guard let start = bytes.start(for: byteCount) else { return false }
        start.store8(destinationSAP, SNAPView.Offset.destinationSAP)
        start.store8(sourceSAP, SNAPView.Offset.sourceSAP)
        start.store8(control, SNAPView.Offset.control)
        start.store8(organizationHigh, SNAPView.Offset.organizationHigh)
        start.store16(organizationLow, SNAPView.Offset.organizationLow)
        start.store16(etherType, SNAPView.Offset.etherType)
        return true
    }
}
