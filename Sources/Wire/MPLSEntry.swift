import Base

/// A label stack entry (RFC 3032).
public struct MPLSView {
    @usableFromInline let start: UnsafeRawPointer

    /// Bytes of the header.
    @inlinable public static var byteCount: Int { 4 }

    enum Offset {
        static let entry = 0
    }

    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.start(for: Self.byteCount) else { return nil }
        self.start = start
    }

    /// The whole entry.
    public var entry: UInt32 { start.be32(Offset.entry) }
    public var label: UInt32 { entry >> 12 }
    public var trafficClass: UInt8 { UInt8(entry >> 9 & 7) }
    public var isBottomOfStack: Bool { entry & 0x100 != 0 }
    public var ttl: UInt8 { UInt8(entry & 0xff) }
}

/// See `MPLSView`.
public struct MPLSEntry: WireHeader {
    public var entry: UInt32

    public init(entry: UInt32) {
        self.entry = entry
    }

    public static func parse(_ bytes: UnsafeRawBufferPointer) -> Self? {
        guard let view = MPLSView(bytes) else { return nil }
        return Self(entry: view.entry)
    }

    public var byteCount: Int { MPLSView.byteCount }

    public func emit(into bytes: UnsafeMutableRawBufferPointer) -> Bool {
        guard let start = bytes.start(for: byteCount) else { return false }
        start.store32(entry, MPLSView.Offset.entry)
        return true
    }

    /// `label`: 20 bits; `trafficClass`: 3 bits. What is above is cut off.
    public init(label: UInt32, trafficClass: UInt8, isBottomOfStack: Bool, ttl: UInt8) {
        entry = label << 12 | UInt32(trafficClass & 7) << 9 | (isBottomOfStack ? 0x100 : 0) | UInt32(ttl)
    }
}
