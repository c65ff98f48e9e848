import Base

/// A port as the pipeline sees it. Immutable; a change of configuration or of the link makes a new one.
public struct PortState: Sendable, Equatable {
    public enum Kind: Sendable, Equatable {
        /// Frames go to and come from a device, file or socket.
        case plain
        /// The bridge's own port, `LOCAL`.
        case local
        /// Frames continue in another bridge, at the port with this index; nil while the peer does not exist.
        case patch(peer: PortIndex?)
    }

    public enum VLANMode: Sendable, Equatable {
        case access, trunk, nativeTagged, nativeUntagged, dot1qTunnel
    }

    /// `other_config:priority-tags`.
    public enum PriorityTags: Sendable, Equatable { case never, ifNonzero, always }

    public var index: PortIndex
    public var bridge: Int
    public var number: PortNumber
    public var name: String
    public var kind: Kind
    // VLAN.
    public var vlanMode: VLANMode = .trunk
    public var tag: UInt16 = 0
    /// One bit for each VLAN; nil carries all.
    public var trunks: Set<UInt16>?
    /// Customer VLANs of a dot1q-tunnel port; nil carries all.
    public var customerVLANs: Set<UInt16>?
    public var qinqEtherType: UInt16 = 0x88a8
    public var priorityTags: PriorityTags = .never
    public var protected = false
    // ovs-ofctl mod-port, all the negative way round as in OpenFlow.
    public var adminDown = false
    public var noReceive = false
    public var noForward = false
    public var noFlood = false
    public var linkUp = true
    /// Bytes of network packet.
    public var mtu = 1500
    public var hardwareAddress: UInt64 = 0
    /// Of a patch port, what passed through it; other ports count by themselves.
    public var receiveCounter: CounterHandle?
    public var transmitCounter: CounterHandle?

    public init(index: PortIndex, bridge: Int, number: PortNumber, name: String, kind: Kind) {
        self.index = index
        self.bridge = bridge
        self.number = number
        self.name = name
        self.kind = kind
    }
}
