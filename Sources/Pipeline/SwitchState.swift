import Base
import Flow

/// Everything that translation reads: bridges, ports, flow tables, groups, settings.
///
/// There are two copies, kept equal by `LeftRight`: workers read one while the control thread changes the other, then
/// they swap and the change is applied a second time. So a reader never waits, never sees half a change, and the
/// data structures inside need no synchronisation of their own. Objects shared by both copies (`Rule`,
/// `Group`, `StationTable`, `Counters`) are immutable or thread safe.
public final class SwitchState {
    /// By bridge number; nil where one was deleted.
    public var bridges: [BridgeState?] = []
    /// By `PortIndex`; nil where there is none.
    public var ports: [PortState?] = [nil]
    public var settings = SwitchSettings()
    /// Load-balanced services by the name of the port or bridge that they are applied at, and those of ports by index.
    public var scopes: [String: ServiceScope] = [:]
    var portScopes: [ServiceScope?] = []
    /// Shared by both copies.
    public let frozen: FrozenStates

    public init(frozen: FrozenStates = FrozenStates()) { self.frozen = frozen }

    public func bridge(named name: String) -> BridgeState? { bridges.first { $0?.name == name } ?? nil }

    @inlinable public func port(_ index: PortIndex) -> PortState? {
        index.rawValue < ports.count ? ports[Int(index.rawValue)] : nil
    }
}

/// Settings of the whole switch, named as in Open_vSwitch:other_config.
public struct SwitchSettings: Sendable, Equatable {
    /// VLAN tags that are looked behind; OVS's default is 1, at most 2.
    public var vlanLimit = 1
    public init() {}
}

public final class BridgeState {
    public enum FailMode: Sendable { case standalone, secure }
    public enum FragmentMode: Sendable { case normal, drop, nxMatch }

    public let number: Int
    public let name: String
    public var datapathID: UInt64 = 0
    public var hardwareAddress: UInt64 = 0
    public var failMode = FailMode.standalone
    public var fragments = FragmentMode.normal
    /// Ports by OpenFlow number.
    public var ports: [PortNumber: PortIndex] = [:] {
        didSet {
            orderPorts()
            for i in lowPorts.indices { lowPorts[i] = ports[PortNumber(UInt32(i))] ?? .none }
        }
    }
    /// The low numbers again: translation asks for them several times a packet, and hashing takes longer.
    private var lowPorts = [PortIndex](repeating: .none, count: 256)
    /// The same in the order of their numbers, in which `flood` goes through them.
    public private(set) var portOrder: [PortIndex] = []
    /// Whether something stands behind the bridge's own port. Without, it is an ingress port (of packet-out), and sends nothing.
    public var hasLocalDevice = true { didSet { orderPorts() } }
    /// 255 tables, 0 to 254; made when first used.
    public internal(set) var tables: [FlowTable?] = Array(repeating: nil, count: 255)
    let slab = RuleSlab()
    public var groups: [UInt32: Group] = [:]
    public var meters: [UInt32: Meter] = [:]
    public var mirrors: [Mirror] = []
    /// Which options of tunnel headers the `tun_metadata` fields stand for.
    public var tlvMap = TLVMap()
    /// Learned MAC addresses; shared by both copies.
    public let stations: StationTable
    /// `other_config:forward-bpdu`.
    public var forwardBPDU = false
    /// `flood_vlans`: VLANs in which nothing is learned and everything is flooded.
    public var floodVLANs: Set<UInt16> = []
    /// Services that are applied at the whole bridge.
    var scope: ServiceScope?

    public init(number: Int, name: String, stations: StationTable) {
        self.number = number
        self.name = name
        self.stations = stations
    }

    private func orderPorts() {
        portOrder = ports.sorted { $0.key < $1.key }.filter { hasLocalDevice || $0.key != .local }.map(\.value)
    }

    /// The port that has this number.
    func port(_ number: PortNumber) -> PortIndex? {
        guard number.rawValue < lowPorts.count else { return ports[number] }
        let index = lowPorts[Int(number.rawValue)]
        return index == .none ? nil : index
    }

    /// The table, made if it is not there yet.
    func makeTable(_ number: UInt8) -> FlowTable {
        if let table = tables[Int(number)] { return table }
        let table = FlowTable(number: number, slab: slab)
        tables[Int(number)] = table
        return table
    }
}

/// A mirror of a bridge, as OVS's Mirror table has it.
public struct Mirror: Sendable, Equatable {
    public var name: String
    public var selectAll = false
    public var selectSource: Set<PortIndex> = []
    public var selectDestination: Set<PortIndex> = []
    /// Empty selects every VLAN.
    public var selectVLANs: Set<UInt16> = []
    public var outputPort: PortIndex?
    public var outputVLAN: UInt16?
    /// Bytes; 0 sends whole frames.
    public var snapLength = 0
    public var counter: CounterHandle

    public init(name: String, counter: CounterHandle) {
        self.name = name
        self.counter = counter
    }
}
