import Base
import Flow

/// An OpenFlow meter: kept and shown. Nothing polices by it, so flows that name one are refused.
public struct Meter: Sendable, Equatable {
    public let spec: MeterSpec
    /// Milliseconds of the switch's clock.
    public let created: UInt64

    public init(_ spec: MeterSpec, created: UInt64) {
        self.spec = spec
        self.created = created
    }
}
