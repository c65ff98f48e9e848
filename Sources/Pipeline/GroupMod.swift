import Base
import Flow

/// One request to change groups, as OpenFlow's group mod has it (OpenFlow 1.5.1, 7.3.4.3).
public struct GroupMod: Sendable {
    public enum Command: Hashable, Sendable {
        case add
        case modify
        /// `mod-group --may-create`.
        case addOrModify
        case delete
        case insertBuckets(Position)
        case removeBuckets(Position)
    }

    /// Where buckets are inserted, or which are removed. `all` is for removal only.
    public enum Position: Hashable, Sendable {
        case first, last, all
        /// Behind the bucket with this id; that bucket itself.
        case bucket(UInt32)
    }

    public struct Bucket: Hashable, Sendable {
        /// nil takes the lowest number that is free in the group.
        public var id: UInt32?
        /// nil is 1 for a select group, and 0 for the others, which take no other.
        public var weight: UInt16?
        public var watchPort: PortNumber?
        public var watchGroup: UInt32?
        public var actions: [Action]

        public init(
            id: UInt32? = nil, weight: UInt16? = nil, watchPort: PortNumber? = nil, watchGroup: UInt32? = nil,
            actions: [Action]
        ) {
            self.id = id
            self.weight = weight
            self.watchPort = watchPort
            self.watchGroup = watchGroup
            self.actions = actions
        }
    }

    public var command: Command
    /// nil is every group, for deletion only.
    public var id: UInt32?
    public var kind: Group.Kind
    public var selection: GroupSpec.Selection
    public var buckets: [Bucket]

    public init(
        _ command: Command, id: UInt32?, kind: Group.Kind = .all,
        selection: GroupSpec.Selection = .unspecified, buckets: [Bucket] = []
    ) {
        self.command = command
        self.id = id
        self.kind = kind
        self.selection = selection
        self.buckets = buckets
    }

    /// One more than the highest number that a group or bucket can have (OFPG_MAX, OFPG15_BUCKET_MAX).
    public static var idLimit: UInt32 { GroupSpec.idLimit }
}
