import Base

/// Who gains when a packet passes along a translated path: kept with a megaflow, paid out when its
/// statistics are folded.
public struct Credit: Hashable, Sendable {
    public enum Kind: UInt8, Sendable {
        /// Adds packets and bytes to a `Counters` slot: a rule, bucket, group, mirror or patch port.
        case counter
        /// Marks a learned MAC address as still in use: `index` is its place in the bridge's MAC table.
        case stationSeen
        /// Renews the hard timeout of the rule that a `learn` action made.
        case ruleLearned
    }
    public let kind: Kind
    /// For `stationSeen`: the bridge.
    public let bridge: UInt16
    public let handle: CounterHandle

    @inlinable public init(_ kind: Kind, bridge: UInt16 = 0, _ handle: CounterHandle) {
        self.kind = kind
        self.bridge = bridge
        self.handle = handle
    }
}

/// What a translated path depends on, as a set of 64 bits: a change of configuration names the bits that it touches, and
/// only paths that share one are looked at again. Bits may be shared by several things; that costs a needless look,
/// never a wrong answer.
public struct Dependencies: OptionSet, Sendable {
    public let rawValue: UInt64
    @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Bits 0 to 31: flow tables.
    @inlinable public static func table(bridge: Int, _ table: UInt8) -> Dependencies {
        Dependencies(rawValue: 1 &<< UInt64((bridge &* 37 &+ Int(table)) & 31))
    }
    /// Bits 32 to 55: one MAC address in one VLAN of one bridge.
    @inlinable public static func station(bridge: Int, vlan: UInt16, mac: UInt64) -> Dependencies {
        var h = mac &+ UInt64(vlan) &<< 48 &+ UInt64(bridge) &<< 60
        h = (h ^ h &>> 29) &* 0x9e37_79b9_7f4a_7c15
        return Dependencies(rawValue: 1 &<< (32 &+ (h &>> 40) % 24))
    }
    /// Any station of any bridge.
    @inlinable public static var stations: Dependencies { Dependencies(rawValue: 0x00ff_ffff_0000_0000) }
    /// Any group of any bridge.
    @inlinable public static var groups: Dependencies { Dependencies(rawValue: 1 &<< 56) }
    /// Ports: their existence, VLANs, flags, links.
    @inlinable public static var ports: Dependencies { Dependencies(rawValue: 1 &<< 57) }
    /// Bridge settings, mirrors, switch settings.
    @inlinable public static var settings: Dependencies { Dependencies(rawValue: 1 &<< 58) }
    /// Any meter of any bridge: its existence. What it lets pass is asked of it for each packet.
    @inlinable public static var meters: Dependencies { Dependencies(rawValue: 1 &<< 59) }
    /// Load-balanced services: which there are, and where.
    @inlinable public static var services: Dependencies { Dependencies(rawValue: 1 &<< 60) }
    @inlinable public static var everything: Dependencies { Dependencies(rawValue: ~0) }
}
