import Base

/// A VLAN tag, IEEE 802.1Q or 802.1ad, with its own TPID in front.
public struct VLANView {
    @usableFromInline let start: UnsafeRawPointer

    /// Bytes of the header.
    @inlinable public static var byteCount: Int { 4 }

    enum Offset {
        static let tpid = 0
        static let tci = 2
    }

    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.start(for: Self.byteCount) else { return nil }
        self.start = start
    }

    /// 0x8100, or 0x88a8 for a service tag.
    public var tpid: UInt16 { start.be16(Offset.tpid) }
    /// Priority 3 bits, drop eligible 1, VLAN 12.
    public var tci: UInt16 { start.be16(Offset.tci) }
    public var priority: UInt8 { UInt8(tci >> 13) }
    public var isDropEligible: Bool { tci & 0x1000 != 0 }
    public var vlan: UInt16 { tci & 0x0fff }
}

/// See `VLANView`.
public struct VLANTag: WireHeader {
    public var tpid: UInt16
    public var tci: UInt16

    public init(tpid: UInt16, tci: UInt16) {
        self.tpid = tpid
        self.tci = tci
    }

    public static func parse(_ bytes: UnsafeRawBufferPointer) -> Self? {
        guard let view = VLANView(bytes) else { return nil }
        return Self(tpid: view.tpid, tci: view.tci)
    }

    public var byteCount: Int { VLANView.byteCount }

    public func emit(into bytes: UnsafeMutableRawBufferPointer) -> Bool {
        guard let start = bytes.start(for: byteCount) else { return false }
        start.store16(tpid, VLANView.Offset.tpid)
        start.store16(tci, VLANView.Offset.tci)
        return true
    }
}
