/// What one `ct()` action asks of the tracker: the operands of the datapath op, unpacked. Trivial, so that handing it
/// over costs nothing.
public struct TrackRequest: Sendable {
    public var zone: UInt16 = 0
    /// `commit`: the connection is remembered if it is new.
    public var commits = false
    /// `force`: one that was begun from the other side is replaced.
    public var forces = false
    /// `nat` in any form: translate as the connection says.
    public var translates = false
    /// `nat(src=...)` or `nat(dst=...)`: how a new connection is to be translated.
    public var kind = NATKind.none
    /// A range of addresses was given.
    public var hasAddresses = false
    public var isIPv6 = false
    /// First and last address; an IPv4 address in the low 32 bits.
    public var firstAddress: UInt128 = 0
    public var lastAddress: UInt128 = 0
    /// First and last port; 0 and 0 if none was given.
    public var firstPort: UInt16 = 0
    public var lastPort: UInt16 = 0
    public var selection = NATSelection.automatic
    public var isPersistent = false
    public var helper = TrackHelper.none
    /// Number of the timeout policy that a new connection gets; 0 is that of its zone.
    public var policy: UInt8 = 0
    /// Bits outside the masks stay as they are; masks of 0 change nothing.
    public var mark: UInt32 = 0
    public var markMask: UInt32 = 0
    public var label: UInt128 = 0
    public var labelMask: UInt128 = 0
    /// Number of the service that a new connection belongs to, from 1: a backend of it is chosen. 0: none.
    public var service: UInt32 = 0
    /// Frames are sent on to the backend's station, and replies to the client's.
    public var steers = false
    /// Replies take another way: TCP connections are timed by what their client sends.
    public var isOneSided = false

    @inlinable @inline(__always) public init() {}
}

public enum NATKind: UInt8, Sendable { case none, source, destination }

/// How an address and a port are chosen from a range.
public enum NATSelection: UInt8, Sendable { case automatic, hash, random }

/// `alg=`: follows the control connection of a protocol that announces further connections.
public enum TrackHelper: UInt8, Sendable { case none, ftp, tftp }
