/// A meter as written: what `add-meter`, `mod-meter` and `del-meters` take.
public struct MeterSpec: Hashable, Sendable {
    /// Meters with names.
    public enum ID: Hashable, Sendable {
        case number(UInt32)
        case all, controller, slowPath
    }

    public struct Flags: OptionSet, Hashable, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        /// Rates are kilobits a second, bursts kilobits.
        public static let kilobitsPerSecond = Flags(rawValue: 1)
        /// Rates are packets a second, bursts packets.
        public static let packetsPerSecond = Flags(rawValue: 2)
        public static let burst = Flags(rawValue: 4)
        public static let stats = Flags(rawValue: 8)
    }

    public struct Band: Hashable, Sendable {
        public enum Kind: Hashable, Sendable {
            case drop
            /// Lowers the drop precedence of DSCP by so many levels.
            case remark(levels: UInt8)
        }
        public var kind: Kind
        public var rate: UInt32
        /// 0 if none was written.
        public var burst: UInt32

        public init(kind: Kind, rate: UInt32, burst: UInt32) {
            self.kind = kind
            self.rate = rate
            self.burst = burst
        }
    }

    public static var idLimit: UInt32 { 0xffff_0001 }

    public var id: ID = .all
    public var flags: Flags = []
    public var bands: [Band] = []

    public init() {}
}
