/// What turns one configuration into another, as data: steps in the order in which they have to be done. What is
/// the same in both does not occur, so it keeps forwarding.
public struct ConfigurationPlan: Equatable, Sendable {
    public enum Step: Equatable, Sendable {
        case setSettings(GlobalSettings)
        case setTracking(TrackingConfiguration)
        case setLogLevel(String)
        case deleteMirror(bridge: String, mirror: String)
        case deletePort(bridge: String, port: String)
        case deleteBridge(String)
        /// Without what the bridge contains.
        case addBridge(BridgeConfiguration)
        case changeBridge(BridgeConfiguration)
        case addPort(bridge: String, PortConfiguration)
        case changePort(bridge: String, PortConfiguration)
        /// Mappings that are to be there, before groups and flows that may name their fields.
        case addMappings(bridge: String, [String])
        /// Mappings that are not to be there any more, after flows and groups that may have named them.
        case deleteMappings(bridge: String, keeping: [String])
        /// Meters that are to be there, before flows that may use them.
        case addMeters(bridge: String, [String])
        /// Meters that are not to be there any more, after flows that may have used them.
        case deleteMeters(bridge: String, keeping: [String])
        /// Groups that are to be there, before flows that may use them.
        case addGroups(bridge: String, [String])
        case replaceFlows(bridge: String, String)
        /// Groups that are not to be there any more, after flows that may have used them.
        case deleteGroups(bridge: String, keeping: [String])
        case addMirror(bridge: String, MirrorConfiguration)
        /// Last of all, so that what can be refused is done by then, and in one step, since some may take over what others give up: a
        /// service waits where the port or bridge that it is applied at has gone.
        case setServices([ServiceConfiguration], deleting: [String])
    }

    public private(set) var steps: [Step] = []

    public init(from old: Configuration, to new: Configuration) {
        if new.settings != old.settings { steps.append(.setSettings(new.settings)) }
        // Policies that are not to be there any more stay until no flow or group names them.
        var tracking = new.tracking
        tracking.policies.merge(old.tracking.policies) { mine, _ in mine }
        if tracking != old.tracking { steps.append(.setTracking(tracking)) }
        if let level = new.logLevel, level != old.logLevel { steps.append(.setLogLevel(level)) }
        removeSurplus(old, new)
        for bridge in new.bridges {
            guard let before = old.bridge(bridge.name), !Self.mustBeRemade(before, bridge) else {
                steps.append(.addBridge(bridge.alone))
                continue
            }
            if !before.alone.isSame(as: bridge.alone) { steps.append(.changeBridge(bridge.alone)) }
        }
        // All bridges first: patch ports reach from one into another.
        for bridge in new.bridges { addPorts(Self.before(bridge, in: old), bridge) }
        for bridge in new.bridges { addRules(Self.before(bridge, in: old), bridge) }
        if tracking != new.tracking { steps.append(.setTracking(new.tracking)) }
        let before = Dictionary(old.services.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
        let wanted = Set(new.services.map(\.name))
        let gone = old.services.map(\.name).filter { !wanted.contains($0) }
        let changed = new.services.filter { before[$0.name] != $0 }
        if !changed.isEmpty || !gone.isEmpty { steps.append(.setServices(changed, deleting: gone)) }
    }

    /// What the bridge was, empty if it was not there or is made anew.
    private static func before(_ bridge: BridgeConfiguration, in old: Configuration) -> BridgeConfiguration {
        guard let before = old.bridge(bridge.name), !mustBeRemade(before, bridge) else {
            return BridgeConfiguration(name: bridge.name)
        }
        return before
    }

    /// The bridge's own port is what it is for the life of the bridge.
    private static func mustBeRemade(_ old: BridgeConfiguration, _ new: BridgeConfiguration) -> Bool {
        old.local != new.local || old.receiveFile != new.receiveFile || old.transmitFile != new.transmitFile
    }

    private mutating func removeSurplus(_ old: Configuration, _ new: Configuration) {
        for bridge in old.bridges {
            guard let after = new.bridge(bridge.name), !Self.mustBeRemade(bridge, after) else {
                steps.append(.deleteBridge(bridge.name))
                continue
            }
            // A mirror that names a port which is made anew has to be made anew, too.
            let gone = Set(bridge.ports.filter { !Self.stays($0, in: after) }.map(\.name))
            for mirror in bridge.mirrors where !Self.stays(mirror, in: after, gone) {
                steps.append(.deleteMirror(bridge: bridge.name, mirror: mirror.name))
            }
            for port in bridge.ports where gone.contains(port.name) {
                steps.append(.deletePort(bridge: bridge.name, port: port.name))
            }
        }
    }

    private static func stays(_ port: PortConfiguration, in bridge: BridgeConfiguration) -> Bool {
        bridge.ports.first { $0.name == port.name }.map { !$0.needsReopening(from: port) } ?? false
    }

    private static func stays(_ mirror: MirrorConfiguration, in bridge: BridgeConfiguration, _ gone: Set<String>)
        -> Bool
    {
        bridge.mirrors.contains(mirror) && mirror.namedPorts.allSatisfy { !gone.contains($0) }
    }

    private mutating func addPorts(_ old: BridgeConfiguration, _ new: BridgeConfiguration) {
        for port in new.ports {
            guard let before = old.ports.first(where: { $0.name == port.name }), !port.needsReopening(from: before)
            else {
                steps.append(.addPort(bridge: new.name, port))
                continue
            }
            var after = port
            after.number = port.number ?? before.number
            if after != before { steps.append(.changePort(bridge: new.name, after)) }
        }
    }

    private mutating func addRules(_ old: BridgeConfiguration, _ new: BridgeConfiguration) {
        let mapsDiffer = new.tlvMap != old.tlvMap
        if mapsDiffer, !new.tlvMap.isEmpty { steps.append(.addMappings(bridge: new.name, new.tlvMap)) }
        let metersDiffer = new.meters != old.meters
        if metersDiffer, !new.meters.isEmpty { steps.append(.addMeters(bridge: new.name, new.meters)) }
        let groupsDiffer = new.groups != old.groups
        if groupsDiffer, !new.groups.isEmpty { steps.append(.addGroups(bridge: new.name, new.groups)) }
        if let flows = new.flows, flows != old.flows { steps.append(.replaceFlows(bridge: new.name, flows)) }
        if groupsDiffer, !old.groups.isEmpty { steps.append(.deleteGroups(bridge: new.name, keeping: new.groups)) }
        if metersDiffer, !old.meters.isEmpty { steps.append(.deleteMeters(bridge: new.name, keeping: new.meters)) }
        if mapsDiffer, !old.tlvMap.isEmpty { steps.append(.deleteMappings(bridge: new.name, keeping: new.tlvMap)) }
        let gone = Set(old.ports.filter { !Self.stays($0, in: new) }.map(\.name))
        for mirror in new.mirrors where !old.mirrors.contains(mirror) || !Self.stays(mirror, in: new, gone) {
            steps.append(.addMirror(bridge: new.name, mirror))
        }
    }
}

extension BridgeConfiguration {
    /// Whether a running bridge would be as this says. What is made by the switch where nothing is said
    /// (addresses) is as it should be, whatever it is.
    fileprivate func isSame(as new: BridgeConfiguration) -> Bool {
        var wanted = new
        wanted.hardwareAddress = new.hardwareAddress ?? hardwareAddress
        wanted.datapathID = new.datapathID ?? datapathID
        wanted.mtu = new.mtu ?? mtu
        return self == wanted
    }
}
