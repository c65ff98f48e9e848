import Actions
import Base
import Flow

/// What translating one packet gave: valid until the translator's next packet.
public struct Translation {
    /// Bits of the key that the result depends on. A packet that agrees in them would give the same.
    public var mask = FlowMask()
    /// What to do with the packet; empty if nothing is sent, `dropReason` then says why.
    public var program = ProgramBuilder()
    public var credits: [Credit] = []
    public var dependencies: Dependencies = []
    public var dropReason: DropReason?
    /// False for a result that holds for this packet alone (it was learned from, a limit was hit).
    public var isCacheable = true

    public init() {}
}
