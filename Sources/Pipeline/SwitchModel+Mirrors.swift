import Base

/// A mirror to be added: what `add-mirror` says.
public struct MirrorRequest: Sendable {
    public var name: String
    public var selectAll = false
    public var selectSource: Set<PortIndex> = []
    public var selectDestination: Set<PortIndex> = []
    public var selectVLANs: Set<UInt16> = []
    public var outputPort: PortIndex?
    public var outputVLAN: UInt16?
    public var snapLength = 0

    public init(_ name: String) { self.name = name }
}

extension SwitchModel {
    /// Most mirrors of a bridge (MAX_MIRRORS of Open vSwitch).
    public static var maximumMirrors: Int { 32 }

    /// Adds a mirror to a bridge.
    public func addMirror(_ request: MirrorRequest, to bridge: String, now: UInt64) throws(StateError) {
        let bridge = try self.bridge(bridge)
        guard !bridge.mirrors.contains(where: { $0.name == request.name }) else {
            throw StateError(.duplicate, "bridge \(bridge.name) has a mirror \(request.name) already")
        }
        guard bridge.mirrors.count < Self.maximumMirrors else {
            throw StateError(.exhausted, "a bridge has at most \(Self.maximumMirrors) mirrors")
        }
        guard (request.outputPort == nil) != (request.outputVLAN == nil) else {
            throw StateError(.invalid, "mirror \(request.name) needs either output-port or output-vlan")
        }
        let named = request.selectSource.union(request.selectDestination).union(request.outputPort.map { [$0] } ?? [])
        for index in named where state.port(index)?.bridge != bridge.number {
            throw StateError(.unknown, "mirror \(request.name) names a port that bridge \(bridge.name) does not have")
        }
        for vlan in request.selectVLANs.union(request.outputVLAN.map { [$0] } ?? []) where vlan > 4095 {
            throw StateError(.invalid, "VLAN \(vlan) is out of range, 0 to 4095")
        }
        // Open vSwitch: 14 to 65535; 0 stands for whole frames.
        guard request.snapLength == 0 || (14...65535).contains(request.snapLength) else {
            throw StateError(.invalid, "snaplen \(request.snapLength) is out of range, 14 to 65535")
        }
        guard let counter = counters.allocate(now: now) else {
            throw StateError(.exhausted, "no counters left: the switch takes 16,777,216 flows, groups and buckets")
        }
        var mirror = Mirror(name: request.name, counter: counter)
        mirror.selectAll = request.selectAll
        mirror.selectSource = request.selectSource
        mirror.selectDestination = request.selectDestination
        mirror.selectVLANs = request.selectVLANs
        mirror.outputPort = request.outputPort
        mirror.outputVLAN = request.outputVLAN
        mirror.snapLength = request.snapLength
        let ready = mirror
        change(.settings) { $0.bridges[bridge.number]?.mirrors.append(ready) }
        // A mirror's output VLAN is not learned in, and nothing is learned behind its output port.
        bridge.stations.flush()
    }

    public func deleteMirror(_ name: String, of bridge: String) throws(StateError) {
        let bridge = try self.bridge(bridge)
        guard let mirror = bridge.mirrors.first(where: { $0.name == name }) else {
            throw StateError(.unknown, "bridge \(bridge.name) has no mirror \(name.echoed)")
        }
        change(.settings) { $0.bridges[bridge.number]?.mirrors.removeAll { $0.name == name } }
        counters.release(mirror.counter)
    }
}

extension Mirror {
    func without(_ port: PortIndex) -> Mirror {
        var mirror = self
        mirror.selectSource.remove(port)
        mirror.selectDestination.remove(port)
        if mirror.outputPort == port { mirror.outputPort = nil }
        return mirror
    }
}
