import Base
import Conntrack
import Dataplane
import Flow
import FlowCache
import Logging
import Pipeline
import Ports

/// A switch together with what was asked of it: the settings of bridges, ports and mirrors as they were written, beside the
/// model and the devices that they led to. Commands and configuration files change the switch through this alone.
///
/// Each change is checked and done as a whole; what is refused leaves everything as it was. Control thread only.
public final class ConfiguredSwitch {
    public let device: Switch
    let log: Logger
    /// In the order in which they were made. `flows`, `groups` and `meters` are empty here: the model has them.
    var bridges: [BridgeConfiguration] = []
    private(set) var settings = GlobalSettings()
    var tracking = TrackingConfiguration()
    /// The tracker's numbers of its timeout policies, and the last one that was given out.
    var policyNumbers: [String: UInt8] = [:]
    var lastPolicyNumber: UInt8 = 0
    /// By name.
    var services: [String: RunningService] = [:]
    /// Backends that are checked, by number; who checks, and what was found.
    var checked: [UInt32: CheckedBackend] = [:]
    var monitor: HealthMonitor?
    let healthInbox = HealthInbox()
    /// False where nobody is there to take over what checks find.
    var checksHealth = true

    public init(_ device: Switch, log: Logger = Logger(label: "control")) {
        self.device = device
        self.log = log
        settings.flowLimit = device.options.cache.flowLimit
        settings.maximumIdle = Int(clamping: device.options.cache.maximumIdle)
        tracking.settings.maximumConnections = device.tracker.limit
    }

    deinit { monitor?.stop() }

    var model: SwitchModel { device.model }
    var now: UInt64 { device.clock.milliseconds }

    // MARK: Looking things up

    func position(_ bridge: String) throws(CommandError) -> Int {
        guard let i = bridges.firstIndex(where: { $0.name == bridge }) else {
            throw .refused("no bridge named \(bridge.echoed)")
        }
        return i
    }

    func state(_ bridge: String) throws(CommandError) -> BridgeState {
        guard let state = model.state.bridge(named: bridge) else { throw .refused("no bridge named \(bridge.echoed)") }
        return state
    }

    /// A port by name; by OpenFlow number where the switch has one bridge, or where `bridge` says which.
    func port(_ text: String, bridge: String? = nil) throws(CommandError) -> PortState {
        if let bridge { return try refusing { () throws(StateError) in try model.port(text, on: bridge) } }
        if let port = model.state.port(named: text) { return port }
        if bridges.count == 1, let port = try? model.port(text, on: bridges[0].name) { return port }
        throw .refused("no port named \(text.echoed)")
    }

    /// Where a port's configuration is; nil for a bridge's own port.
    func place(_ port: PortState) -> (bridge: Int, port: Int)? {
        for (i, bridge) in bridges.enumerated() {
            if let j = bridge.ports.firstIndex(where: { $0.name == port.name }) { return (i, j) }
        }
        return nil
    }

    func configuration(of port: PortState) -> PortConfiguration? {
        place(port).map { bridges[$0.bridge].ports[$0.port] }
    }

    /// A device can be one port only: two of them would both take each frame that it receives. `except` is the port that is
    /// about to give its device back.
    func checkFree(_ name: String, except: String? = nil) throws(CommandError) {
        for bridge in bridges {
            if bridge.localDevice == name {
                throw .refused("device \(name.echoed) is the own port of bridge \(bridge.name) already")
            }
            for port in bridge.ports where port.device == name && port.name != except {
                throw .refused("device \(name.echoed) is port \(port.name) of bridge \(bridge.name) already")
            }
        }
    }

    // MARK: Bridges

    func addBridge(_ bridge: BridgeConfiguration) throws(CommandError) {
        let bridge = bridge.alone
        try refusing { () throws(SettingError) in try bridge.validate() }
        guard model.state.bridge(named: bridge.name) == nil else {
            throw .refused("bridge \(bridge.name) exists already")
        }
        if let device = bridge.localDevice { try checkFree(device) }
        let local = try open(localOf: bridge)
        do throws(CommandError) {
            try refusing { () throws(StateError) in
                _ = try model.addBridge(bridge.name, settings(bridge), now: now)
            }
        } catch {
            local?.close()
            throw error
        }
        if let index = model.state.bridge(named: bridge.name)?.ports[.local] {
            if let local {
                do throws(SwitchError) { try device.attach(local, to: index) } catch {
                    try? model.deleteBridge(bridge.name)
                    local.close()
                    throw .refused(error.description)
                }
            } else {
                // Nothing stands behind the bridge's own port: not even a station that is learned there gets frames.
                try? model.setPort(index) { (port: inout PortState) in port.noForward = true }
            }
        }
        bridges.append(bridge)
    }

    private func settings(_ bridge: BridgeConfiguration) -> BridgeSettings {
        BridgeSettings(bridge, isTimeVirtual: device.options.isTimeVirtual)
    }

    private func open(localOf bridge: BridgeConfiguration) throws(CommandError) -> Port? {
        var options: [String: String] = [:]
        if let mtu = bridge.mtu { options["mtu"] = String(mtu) }
        let type: PortType
        switch bridge.local {
        case .none: return nil
        case .tap:
            type = .internal
            // The host's end has the address that the bridge has.
            options["mac"] = SettingValue.show(macAddress: BridgeSettings(bridge).hardwareAddress)
        case .pcap:
            type = .pcap
            options["rx"] = bridge.receiveFile
            options["tx"] = bridge.transmitFile
        }
        do throws(PortError) {
            return try Port.open(name: bridge.name, type: type.rawValue, options: options, log: log)
        } catch {
            let hint = bridge.local == .tap ? "; local=none makes a bridge without a port of its own" : ""
            throw .refused("bridge \(bridge.name): \(error.message)\(hint)")
        }
    }

    func changeBridge(_ bridge: BridgeConfiguration) throws(CommandError) {
        let i = try position(bridge.name)
        let old = bridges[i]
        try refusing { () throws(SettingError) in try bridge.validate() }
        guard bridge.local == old.local, bridge.receiveFile == old.receiveFile, bridge.transmitFile == old.transmitFile
        else { throw .refused("bridge \(bridge.name): local, rx and tx are given when the bridge is made") }
        if let mtu = bridge.mtu, mtu != old.mtu, let index = model.state.bridge(named: bridge.name)?.ports[.local],
            let port = device.ports[index]?.port
        {
            try refusing { () throws(PortError) in try port.setMTU(mtu) }
        }
        let settings = settings(bridge)
        try refusing { () throws(StateError) in
            try model.setBridge(bridge.name, now: now) { $0 = settings }
        }
        var changed = bridge.alone
        changed.ports = old.ports
        changed.mirrors = old.mirrors
        bridges[i] = changed
        device.refreshPorts()
    }

    func deleteBridge(_ name: String) throws(CommandError) {
        let i = try position(name)
        for index in try state(name).ports.values { device.detach(index) }
        try refusing { () throws(StateError) in try model.deleteBridge(name) }
        bridges.remove(at: i)
    }

    // MARK: The whole switch

    func setSettings(_ settings: GlobalSettings) throws(CommandError) {
        try refusing { () throws(SwitchError) in
            try device.setCaches(flowLimit: settings.flowLimit, maximumIdle: UInt64(settings.maximumIdle))
        }
        try refusing { () throws(StateError) in try model.setSettings(SwitchSettings(settings)) }
        self.settings = settings
    }
}

/// Runs something whose error is a refusal as it stands.
@discardableResult
func refusing<Value, Failure: Error & CustomStringConvertible>(
    _ body: () throws(Failure) -> Value
) throws(CommandError) -> Value {
    do throws(Failure) { return try body() } catch { throw CommandError.refused(error.description) }
}
