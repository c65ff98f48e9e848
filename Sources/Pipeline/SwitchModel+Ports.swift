import Base

/// A port to be added.
public struct PortRequest: Sendable {
    public enum Kind: Sendable, Equatable {
        case plain
        /// The name of the port at the other end.
        case patch(peer: String)
    }
    public var name: String
    public var kind: Kind
    /// `ofport`; nil takes the lowest free number from 1.
    public var number: PortNumber?

    public init(_ name: String, kind: Kind = .plain, number: PortNumber? = nil) {
        self.name = name
        self.kind = kind
        self.number = number
    }
}

extension SwitchModel {
    /// Adds a port to a bridge. `configure` sets VLANs and flags before the port becomes visible.
    @discardableResult
    public func addPort(
        _ request: PortRequest, to bridge: String, _ configure: (inout PortState) throws(StateError) -> Void = { _ in }
    ) throws(StateError) -> PortIndex {
        let bridge = try self.bridge(bridge)
        guard !request.name.isEmpty else { throw StateError(.invalid, "a port needs a name") }
        if let other = portIndices[request.name].flatMap({ state.port($0) }) {
            let owner = state.bridges[other.bridge]?.name ?? ""
            throw StateError(.duplicate, "port \(request.name) exists already on bridge \(owner)")
        }
        let number = try self.number(for: request, on: bridge)
        let kind: PortState.Kind = request.kind == .plain ? .plain : .patch(peer: nil)
        var port = PortState(
            index: PortIndex.none, bridge: bridge.number, number: number, name: request.name, kind: kind)
        let made = port
        try configure(&port)
        try check(port, sameAs: made)
        port.index = try takePortIndex()
        if case .patch = request.kind {
            // Without any left, what passes goes uncounted.
            port.receiveCounter = counters.allocate(now: 0)
            port.transmitCounter = counters.allocate(now: 0)
        }
        let ready = port
        if case .patch(let peer) = request.kind { patchPeers[port.index] = peer }
        change(.ports) { state in
            state.setPort(ready)
            state.bridges[ready.bridge]?.ports[ready.number] = ready.index
        }
        portIndices[ready.name] = ready.index
        resolvePeers(ready.index, ready.name)
        return ready.index
    }

    /// Removes a port; what was learned behind it is forgotten, and mirrors no longer select it.
    public func deletePort(_ index: PortIndex) throws(StateError) {
        guard let port = state.port(index) else { throw StateError(.unknown, "no such port") }
        guard port.kind != .local else { throw StateError(.invalid, "\(port.name) is the bridge's own port") }
        change([.ports, .settings]) { state in
            state.ports[Int(index.rawValue)] = nil
            let bridge = state.bridges[port.bridge]
            bridge?.ports[port.number] = nil
            bridge?.mirrors = bridge?.mirrors.map { $0.without(index) } ?? []
        }
        state.bridges[port.bridge]?.stations.flush(port: index, includingStatic: true)
        forget([port])
        for case let counter? in [port.receiveCounter, port.transmitCounter] { counters.release(counter) }
    }

    /// Changes a port: VLANs, flags, link, MTU. Index, bridge, number, name and kind stay.
    public func setPort(_ index: PortIndex, _ body: (inout PortState) throws(StateError) -> Void) throws(StateError) {
        guard let old = state.port(index) else { throw StateError(.unknown, "no such port") }
        var new = old
        try body(&new)
        try check(new, sameAs: old)
        guard new != old else { return }
        let ready = new
        change(.ports) { $0.setPort(ready) }
        // Open vSwitch forgets what it learned behind a port whose VLANs change.
        if !new.carriesSameVLANs(as: old) { state.bridges[old.bridge]?.stations.flush(port: index) }
    }

    /// Connects a patch port to another one, by name.
    public func setPeer(of index: PortIndex, to peer: String) throws(StateError) {
        guard let port = state.port(index), case .patch = port.kind else {
            throw StateError(.invalid, "only a patch port has a peer")
        }
        patchPeers[index] = peer
        // The old peer is another one that this port no longer names.
        resolvePeers(index, port.name)
    }

    /// The name that a patch port has as its peer, whether there is such a port or not.
    public func peerName(of index: PortIndex) -> String? { patchPeers[index] }

    /// The port that a user means: a number if it is one, or else a name.
    public func port(_ text: String, on bridge: String) throws(StateError) -> PortState {
        let bridge = try self.bridge(bridge)
        if let value = UInt32(text), let index = bridge.ports[PortNumber(value)], let port = state.port(index) {
            return port
        }
        if text == "LOCAL", let index = bridge.ports[.local], let port = state.port(index) { return port }
        guard let port = state.port(named: text), port.bridge == bridge.number else {
            throw StateError(.unknown, "bridge \(bridge.name) has no port \(text.echoed)")
        }
        return port
    }

    // MARK: Parts

    private func number(for request: PortRequest, on bridge: BridgeState) throws(StateError) -> PortNumber {
        guard let wanted = request.number else {
            for value in 1..<PortNumber.firstReserved where bridge.ports[PortNumber(value)] == nil {
                return PortNumber(value)
            }
            throw StateError(.exhausted, "bridge \(bridge.name) has no free port numbers")
        }
        guard wanted.rawValue >= 1, wanted.rawValue < PortNumber.firstReserved else {
            throw StateError(.invalid, "ofport \(wanted.rawValue) is out of range, 1 to 65279")
        }
        if let index = bridge.ports[wanted], let other = state.port(index) {
            throw StateError(.duplicate, "ofport \(wanted.rawValue) of bridge \(bridge.name) is taken by \(other.name)")
        }
        return wanted
    }

    private func check(_ port: PortState, sameAs old: PortState) throws(StateError) {
        guard port.index == old.index, port.bridge == old.bridge, port.number == old.number, port.name == old.name,
            port.kind == old.kind
        else { throw StateError(.invalid, "a port cannot change its name, number, type or bridge") }
        guard port.tag <= 4095 else { throw StateError(.invalid, "tag \(port.tag) is out of range, 0 to 4095") }
        for vlan in (port.trunks ?? []).union(port.customerVLANs ?? []) where vlan > 4095 {
            throw StateError(.invalid, "VLAN \(vlan) is out of range, 0 to 4095")
        }
        guard port.mtu >= 0, port.mtu <= 65535 else {
            throw StateError(.invalid, "mtu \(port.mtu) is out of range, 0 to 65535")
        }
    }

    /// An index that was not in use lately, as long as there is one, so that a frame still on its way to an old port does not
    /// reach a new one.
    func takePortIndex() throws(StateError) -> PortIndex {
        let quarantine = 16
        let hasFresh = state.ports.count <= portLimit
        if freePorts.count > (hasFresh ? quarantine : 0) { return freePorts.removeFirst() }
        guard hasFresh else {
            throw StateError(
                .exhausted, "no more than \(portLimit) ports, patch ports and the bridges' own ports included")
        }
        return PortIndex(UInt32(state.ports.count))
    }

    /// Ports that are no longer part of the state.
    func forget(_ ports: [PortState]) {
        for port in ports {
            patchPeers[port.index] = nil
            portIndices[port.name] = nil
        }
        let indices = ports.map(\.index)
        whenPortsGo?(indices)
        freePorts += indices
        for port in ports { resolvePeers(port.index, port.name) }
    }

    /// Connects patch ports that name each other. One that names a port which is missing, is no patch port or names another
    /// peer is not connected. Looks only at the port that came, went or changed, and those that name it.
    func resolvePeers(_ index: PortIndex, _ name: String) {
        var updates: [PortState] = []
        for (other, peerName) in patchPeers where other == index || peerName == name {
            guard var port = state.port(other) else { continue }
            var kind = PortState.Kind.patch(peer: nil)
            if let peer = portIndices[peerName], patchPeers[peer] == port.name, peer != other {
                kind = .patch(peer: peer)
            }
            guard kind != port.kind else { continue }
            port.kind = kind
            updates.append(port)
        }
        guard !updates.isEmpty else { return }
        change(.ports) { state in for port in updates { state.setPort(port) } }
    }
}

extension PortNumber {
    /// Open vSwitch gives its ports numbers below 0xff00.
    static var firstReserved: UInt32 { 0xff00 }
}

extension PortState {
    func carriesSameVLANs(as other: PortState) -> Bool {
        vlanMode == other.vlanMode && tag == other.tag && trunks == other.trunks
            && customerVLANs == other.customerVLANs && qinqEtherType == other.qinqEtherType
    }
}
