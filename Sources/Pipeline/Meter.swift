import Base

/// An OpenFlow meter: kept and shown. Nothing polices by it yet, so flows that name one are refused.
public struct Meter: Sendable, Equatable {
    public struct Band: Sendable, Equatable {
        public enum Kind: Sendable, Equatable {
            case drop
            /// Raises the drop precedence in DSCP by so much.
            case dscpRemark(precedence: UInt8)
        }
        public var kind: Kind
        /// Kilobits or packets a second.
        public var rate: UInt32
        /// Kilobits or packets.
        public var burst: UInt32

        public init(kind: Kind = .drop, rate: UInt32, burst: UInt32 = 0) {
            self.kind = kind
            self.rate = rate
            self.burst = burst
        }
    }

    public var id: UInt32
    /// False counts kilobits.
    public var countsPackets: Bool
    public var hasBurst: Bool
    public var hasStatistics: Bool
    public var bands: [Band]
    public var created: UInt64 = 0

    public init(
        id: UInt32, countsPackets: Bool = false, hasBurst: Bool = false, hasStatistics: Bool = false, bands: [Band]
    ) {
        self.id = id
        self.countsPackets = countsPackets
        self.hasBurst = hasBurst
        self.hasStatistics = hasStatistics
        self.bands = bands
    }
}
