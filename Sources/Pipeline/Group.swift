import Base
import Flow

/// An OpenFlow group. Immutable; a modification makes a new one.
public final class Group: Sendable {
    public enum Kind: Sendable { case all, select, indirect, fastFailover }

    /// How a select group picks a bucket.
    public enum Selection: Hashable, Sendable {
        /// `dp_hash` with basis: the default.
        case datapathHash(basis: UInt32)
        /// `hash` over these fields with their masks.
        case fields(basis: UInt32, [MatchField: UInt128])
    }

    public let id: UInt32
    public let kind: Kind
    public let selection: Selection
    /// `selection_method` as it was written.
    public let writtenSelection: GroupSpec.Selection
    public let buckets: [Bucket]
    public let counter: CounterHandle
    public let created: UInt64

    public struct Bucket: Sendable {
        public let id: UInt32
        public let weight: UInt16
        public let watchPort: PortNumber?
        public let watchGroup: UInt32?
        public let actions: [Action]
        /// The actions, ready to be run.
        let code: ActionCode
        public let counter: CounterHandle

        public init(
            id: UInt32, weight: UInt16, watchPort: PortNumber?, watchGroup: UInt32?, actions: [Action],
            counter: CounterHandle
        ) {
            self.id = id
            self.weight = weight
            self.watchPort = watchPort
            self.watchGroup = watchGroup
            self.actions = actions
            code = ActionCode(actions)
            self.counter = counter
        }
    }

    public init(
        id: UInt32, kind: Kind, selection: GroupSpec.Selection, buckets: [Bucket], counter: CounterHandle,
        created: UInt64
    ) {
        self.id = id
        self.kind = kind
        self.selection = Selection(selection)
        writtenSelection = selection
        self.buckets = buckets
        self.counter = counter
        self.created = created
    }
}
