import Base

/// A group as written: what `add-group`, `mod-group`, `insert-buckets`, `remove-buckets` and `del-groups` take.
public struct GroupSpec: Hashable, Sendable {
    public enum Command: Sendable { case add, modify, addOrModify, delete, insertBuckets, removeBuckets }
    public enum Kind: Hashable, Sendable { case all, select, indirect, fastFailover }

    /// How a select group picks a bucket.
    public enum Selection: Hashable, Sendable {
        /// Nothing was written.
        case unspecified
        case datapathHash(basis: UInt64)
        /// Fields with the bits of them that count, in the order of `MatchField.all`; none stand for the five-tuple.
        case hash(basis: UInt64, [HashedField])
    }

    public struct HashedField: Hashable, Sendable {
        public var field: MatchField
        public var mask: UInt128

        public init(field: MatchField, mask: UInt128) {
            self.field = field
            self.mask = mask
        }
    }

    /// Where buckets go in, or which ones come out.
    public enum Position: Hashable, Sendable {
        case first, last, all
        case bucket(UInt32)
    }

    /// One more than the highest number of a group.
    public static var idLimit: UInt32 { 0xffff_ff01 }

    public var command: Command = .add
    /// nil for all groups, with `delete` only.
    public var id: UInt32?
    /// nil where the command does not say.
    public var kind: Kind?
    public var selection: Selection = .unspecified
    public var buckets: [BucketSpec] = []
    /// `command_bucket_id`.
    public var position: Position = .all

    public init() {}
}

/// A bucket as written.
public struct BucketSpec: Hashable, Sendable {
    /// nil lets the switch choose.
    public var id: UInt32?
    /// nil if not written: 1 in select groups, 0 in others.
    public var weight: UInt16?
    public var watchPort: PortNumber?
    public var watchGroup: UInt32?
    public var actions: [Action] = []

    public init() {}
}
