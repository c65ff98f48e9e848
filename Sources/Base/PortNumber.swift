/// An OpenFlow port number within one bridge: 32 bits as since OpenFlow 1.1 (Open vSwitch keeps its own ports
/// below 0xff00). The reserved numbers are those of the OpenFlow specification, section "Ports".
public struct PortNumber: RawRepresentable, Hashable, Comparable, Sendable {
    public var rawValue: UInt32

    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable public init(_ value: UInt32) { rawValue = value }

    /// One more than the highest number that a real port may have.
    @inlinable public static var max: PortNumber { PortNumber(0xffff_ff00) }
    @inlinable public static var unset: PortNumber { PortNumber(0xffff_fff7) }
    @inlinable public static var inPort: PortNumber { PortNumber(0xffff_fff8) }
    @inlinable public static var table: PortNumber { PortNumber(0xffff_fff9) }
    @inlinable public static var normal: PortNumber { PortNumber(0xffff_fffa) }
    @inlinable public static var flood: PortNumber { PortNumber(0xffff_fffb) }
    @inlinable public static var all: PortNumber { PortNumber(0xffff_fffc) }
    @inlinable public static var controller: PortNumber { PortNumber(0xffff_fffd) }
    @inlinable public static var local: PortNumber { PortNumber(0xffff_fffe) }
    @inlinable public static var none: PortNumber { PortNumber(0xffff_ffff) }

    @inlinable public static func < (a: PortNumber, b: PortNumber) -> Bool { a.rawValue < b.rawValue }
}

/// Index of a port in the whole switch, over all bridges: what megaflows, programs and counters use
/// (a bridge's own numbering is `PortNumber`). `0` is never given out.
public struct PortIndex: RawRepresentable, Hashable, Sendable {
    public var rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable public init(_ value: UInt32) { rawValue = value }
    @inlinable public static var none: PortIndex { PortIndex(0) }
}
