import Memory

/// One `ct` on the remembered way of a packet: what the packet was found to be there, beside the guard that says whether it
/// would be found again. A way that many connections share has one of these for each `ct`; each connection has its own guards
/// (`PacketHeader.guardWord`).
public struct SessionTrack: Equatable, Sendable {
    public struct Traits: OptionSet, Sendable {
        public let rawValue: UInt8
        @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }
        /// In the direction of the replies.
        @inlinable public static var reply: Traits { Traits(rawValue: 1) }
        /// The packet met the connection a second time in one zone: it is not counted, and renews nothing.
        @inlinable public static var again: Traits { Traits(rawValue: 2) }
        /// Addresses or ports are translated.
        @inlinable public static var translated: Traits { Traits(rawValue: 4) }
        /// A further `ct` in the zone may take the connection as it is.
        @inlinable public static var settled: Traits { Traits(rawValue: 8) }
    }

    public var zone: UInt16
    /// `ct_state`.
    public var state: UInt8
    public var traits: Traits

    /// From a packet that has just been through `track`, and whose guard is not 0.
    public init(_ packet: PacketHeader) {
        let word = packet.tracking[0]
        let handle = ConnectionHandle(rawValue: packet.connection)
        zone = UInt16(truncatingIfNeeded: word &>> 16)
        state = UInt8(truncatingIfNeeded: word &>> 8)
        traits = handle.isReply ? .reply : []
        if packet.passage & TrackPassage.again != 0 { traits.insert(.again) }
        if packet.passage & TrackPassage.translated != 0 { traits.insert(.translated) }
        if handle.rawValue & ConnectionHandle.settled != 0 { traits.insert(.settled) }
    }

    public init() {
        zone = 0
        state = 0
        traits = []
    }
}
