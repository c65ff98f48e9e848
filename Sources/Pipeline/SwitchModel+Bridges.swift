import Base
import Flow
import Shaping

/// Settings of a bridge, named as in Open vSwitch.
public struct BridgeSettings: Sendable, Equatable {
    public var failMode = BridgeState.FailMode.standalone
    public var fragments = BridgeState.FragmentMode.normal
    public var hardwareAddress: UInt64 = 0
    public var datapathID: UInt64 = 0
    /// `mac-table-size`: 10 to 1,000,000 entries; values outside are brought inside, as Open vSwitch does.
    public var macTableSize = StationTable.defaultMaximumEntries
    /// `mac-aging-time`: 15 to 3600 seconds, likewise.
    public var macAgingTime = StationTable.defaultAgingTime
    /// `mac-move-limit`: moves of a station in one second; 0 is any number.
    public var macMoveLimit = StationTable.defaultMoveLimit
    public var forwardBPDU = false
    public var floodVLANs: Set<UInt16> = []
    /// Whether the bridge's own port can send. Where it cannot, it is no port to flood to.
    public var hasLocalDevice = true

    public init() {}
}

extension SwitchModel {
    /// Adds a bridge with its own port, which has the bridge's name and the number LOCAL. A standalone bridge gets a flow
    /// of priority 0 that does NORMAL, as `ovs-vsctl add-br` gives it when there is no controller. Returns its number.
    @discardableResult
    public func addBridge(_ name: String, _ settings: BridgeSettings = BridgeSettings(), now: UInt64)
        throws(StateError) -> Int
    {
        guard !name.isEmpty else { throw StateError(.invalid, "a bridge needs a name") }
        guard state.bridge(named: name) == nil else { throw StateError(.duplicate, "bridge \(name) exists already") }
        guard state.port(named: name) == nil else { throw StateError(.duplicate, "there is a port named \(name)") }
        try check(settings)
        let number = state.bridges.firstIndex { $0 == nil } ?? state.bridges.count
        guard number < 1 << 16 else { throw StateError(.exhausted, "no more than 65,536 bridges") }
        let stations = StationTable(
            bridge: number, changes: changes, maximumEntries: settings.macTableSize,
            agingTime: settings.macAgingTime, moveLimit: settings.macMoveLimit)
        let index = try takePortIndex()
        var local = PortState(index: index, bridge: number, number: .local, name: name, kind: .local)
        local.hardwareAddress = settings.hardwareAddress
        change([.ports, .settings]) { state in
            let bridge = BridgeState(number: number, name: name, stations: stations)
            bridge.adopt(settings)
            bridge.ports[.local] = index
            bridge.scope = state.scopes[name]
            if number == state.bridges.count { state.bridges.append(bridge) } else { state.bridges[number] = bridge }
            state.setPort(local)
        }
        portIndices[name] = index
        if number == books.count { books.append(RuleBook()) } else { books[number] = RuleBook() }
        if settings.failMode == .standalone { addNormalFlow(number, now: now) }
        return number
    }

    /// Removes a bridge with its ports, flows, groups and meters.
    public func deleteBridge(_ name: String) throws(StateError) {
        let bridge = try self.bridge(name)
        let number = bridge.number
        let ports = Array(bridge.ports.values)
        let gone = ports.compactMap { state.port($0) }
        var counters: [CounterHandle] = []
        for case let table? in bridge.tables { table.forEachRule { counters.append($0.counter) } }
        for group in bridge.groups.values { counters += [group.counter] + group.buckets.map(\.counter) }
        counters += bridge.mirrors.map(\.counter)
        for case let port? in ports.map({ state.port($0) }) {
            counters += [port.receiveCounter, port.transmitCounter].compactMap { $0 }
        }
        change(.everything) { state in
            for index in ports { state.ports[Int(index.rawValue)] = nil }
            state.bridges[number] = nil
        }
        books[number] = RuleBook()
        for counter in counters { self.counters.release(counter) }
        for meter in bridge.meters.values { meters.remove(meter.number) }
        forget(gone)
    }

    /// The settings that a bridge has.
    public func settings(ofBridge name: String) throws(StateError) -> BridgeSettings { try bridge(name).settings }

    /// Changes settings of a bridge. Going to standalone adds the NORMAL flow if nothing of its match and priority is there.
    public func setBridge(_ name: String, now: UInt64, _ body: (inout BridgeSettings) throws(StateError) -> Void)
        throws(StateError)
    {
        let bridge = try self.bridge(name)
        let old = bridge.settings
        var new = old
        try body(&new)
        try check(new)
        guard new != old else { return }
        bridge.stations.maximumEntries = new.macTableSize
        bridge.stations.agingTime = new.macAgingTime
        bridge.stations.moveLimit = new.macMoveLimit
        change(new.floodVLANs == old.floodVLANs ? [.settings, .ports] : [.settings, .stations, .ports]) { state in
            state.bridges[bridge.number]?.adopt(new)
        }
        // No worker is left that looked stations up before the table had its new size.
        bridge.stations.reclaim()
        if new.failMode == .standalone, old.failMode != .standalone { addNormalFlow(bridge.number, now: now) }
    }

    private func check(_ settings: BridgeSettings) throws(StateError) {
        guard settings.hardwareAddress <= 0xffff_ffff_ffff else {
            throw StateError(.invalid, "hwaddr has more than 48 bits")
        }
        guard settings.macTableSize >= 0, settings.macAgingTime >= 0, settings.macMoveLimit >= 0 else {
            throw StateError(.invalid, "mac-table-size, mac-aging-time and mac-move-limit cannot be negative")
        }
        for vlan in settings.floodVLANs where vlan > 4095 {
            throw StateError(.invalid, "flood-vlans: VLAN \(vlan) is out of range, 0 to 4095")
        }
    }

    private func addNormalFlow(_ number: Int, now: UInt64) {
        runPlan(on: number, now: now) { (plan: inout FlowPlan) in
            guard plan.bridge.tables[0]?.rule(Match(), priority: 0) == nil else { return }
            try? plan.run(FlowMod(.add, table: 0, priority: 0, actions: [.output(.normal)]))
        }
    }
}

extension BridgeState {
    func adopt(_ settings: BridgeSettings) {
        failMode = settings.failMode
        fragments = settings.fragments
        hardwareAddress = settings.hardwareAddress
        datapathID = settings.datapathID
        forwardBPDU = settings.forwardBPDU
        floodVLANs = settings.floodVLANs
        hasLocalDevice = settings.hasLocalDevice
    }

    public var settings: BridgeSettings {
        var settings = BridgeSettings()
        settings.failMode = failMode
        settings.fragments = fragments
        settings.hardwareAddress = hardwareAddress
        settings.datapathID = datapathID
        settings.macTableSize = stations.maximumEntries
        settings.macAgingTime = stations.agingTime
        settings.macMoveLimit = stations.moveLimit
        settings.forwardBPDU = forwardBPDU
        settings.floodVLANs = floodVLANs
        settings.hasLocalDevice = hasLocalDevice
        return settings
    }
}

extension SwitchState {
    public func port(named name: String) -> PortState? { ports.first { $0?.name == name } ?? nil }

    func setPort(_ port: PortState) {
        let index = Int(port.index.rawValue)
        while ports.count <= index { ports.append(nil) }
        ports[index] = port
        // A bridge's own port has the bridge's name.
        attachScope(port.kind == .local ? nil : scopes[port.name], to: index)
    }
}
