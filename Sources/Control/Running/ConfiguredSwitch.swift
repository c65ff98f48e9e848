import Base
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
    private(set) var bridges: [BridgeConfiguration] = []
    private(set) var settings = GlobalSettings()

    public init(_ device: Switch, log: Logger = Logger(label: "control")) {
        self.device = device
        self.log = log
        settings.flowLimit = device.options.cache.flowLimit
        settings.maximumIdle = Int(clamping: device.options.cache.maximumIdle)
    }

    var model: SwitchModel { device.model }
    var now: UInt64 { device.clock.milliseconds }

    // MARK: Looking things up

    func position(_ bridge: String) throws(CommandError) -> Int {
        guard let i = bridges.firstIndex(where: { $0.name == bridge }) else {
            throw .refused("no bridge named \(bridge)")
        }
        return i
    }

    func state(_ bridge: String) throws(CommandError) -> BridgeState {
        guard let state = model.state.bridge(named: bridge) else { throw .refused("no bridge named \(bridge)") }
        return state
    }

    /// A port by name; by OpenFlow number where the switch has one bridge, or where `bridge` says which.
    func port(_ text: String, bridge: String? = nil) throws(CommandError) -> PortState {
        if let bridge { return try refusing { () throws(StateError) in try model.port(text, on: bridge) } }
        if let port = model.state.port(named: text) { return port }
        if bridges.count == 1, let port = try? model.port(text, on: bridges[0].name) { return port }
        throw .refused("no port named \(text)")
    }

    /// Where a port's configuration is; nil for a bridge's own port.
    private func place(_ port: PortState) -> (bridge: Int, port: Int)? {
        for (i, bridge) in bridges.enumerated() {
            if let j = bridge.ports.firstIndex(where: { $0.name == port.name }) { return (i, j) }
        }
        return nil
    }

    func configuration(of port: PortState) -> PortConfiguration? {
        place(port).map { bridges[$0.bridge].ports[$0.port] }
    }

    // MARK: Bridges

    func addBridge(_ bridge: BridgeConfiguration) throws(CommandError) {
        let bridge = bridge.alone
        try refusing { () throws(SettingError) in try bridge.validate() }
        guard model.state.bridge(named: bridge.name) == nil else {
            throw .refused("bridge \(bridge.name) exists already")
        }
        let local = try open(localOf: bridge)
        do throws(CommandError) {
            try refusing { () throws(StateError) in
                _ = try model.addBridge(bridge.name, BridgeSettings(bridge), now: now)
            }
        } catch {
            local?.close()
            throw error
        }
        if let local, let index = model.state.bridge(named: bridge.name)?.ports[.local] {
            do throws(SwitchError) { try device.attach(local, to: index) } catch {
                try? model.deleteBridge(bridge.name)
                local.close()
                throw .refused(error.description)
            }
        }
        bridges.append(bridge)
    }

    private func open(localOf bridge: BridgeConfiguration) throws(CommandError) -> Port? {
        var options: [String: String] = [:]
        if let mtu = bridge.mtu { options["mtu"] = String(mtu) }
        if let address = bridge.hardwareAddress { options["mac"] = SettingValue.show(macAddress: address) }
        let type: PortType
        switch bridge.local {
        case .none: return nil
        case .tap: type = .internal
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
        let settings = BridgeSettings(bridge)
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

    // MARK: Ports

    func addPort(_ port: PortConfiguration, to bridge: String) throws(CommandError) {
        let i = try position(bridge)
        try refusing { () throws(SettingError) in try port.validate() }
        var made = port
        made.number = try open(port, on: bridge)
        bridges[i].ports.append(made)
    }

    /// Puts a port into the model and its device behind it; returns the port's number.
    private func open(_ port: PortConfiguration, on bridge: String) throws(CommandError) -> UInt32 {
        let number = port.number.map { PortNumber($0) }
        var request = PortRequest(port.name, number: number)
        var device: Port?
        if let peer = port.peer {
            request.kind = .patch(peer: peer)
        } else if let options = try refusing({ () throws(SettingError) in try port.portOptions() }) {
            // Names that are taken are refused before a device is touched.
            if let other = model.state.port(named: port.name) {
                throw .refused(
                    "port \(port.name) exists already on bridge \(model.state.bridges[other.bridge]?.name ?? "")")
            }
            device = try refusing { () throws(PortError) in
                try Port.open(name: port.name, options: options, log: log)
            }
        }
        let index: PortIndex
        do throws(CommandError) {
            let ready = request
            index = try refusing { () throws(StateError) in
                try model.addPort(ready, to: bridge) { (state: inout PortState) throws(StateError) in state.adopt(port)
                }
            }
        } catch {
            device?.close()
            throw error
        }
        if let device {
            do throws(CommandError) {
                if !port.isUp { try refusing { () throws(PortError) in try device.setAdmin(up: false) } }
                try refusing { () throws(SwitchError) in
                    try self.device.attach(device, to: index, options: port.options)
                }
            } catch {
                try? model.deletePort(index)
                device.close()
                throw error
            }
        }
        return model.state.port(index)?.number.rawValue ?? 0
    }

    func deletePort(_ port: PortState) throws(CommandError) {
        guard let place = place(port) else { throw .refused("\(port.name) is the bridge's own port") }
        let bridge = bridges[place.bridge]
        for mirror in bridge.mirrors where mirror.outputPort == port.name {
            log.notice("mirror \(mirror.name) of bridge \(bridge.name) goes with its output port \(port.name)")
            try deleteMirror(mirror.name, of: bridge.name)
        }
        device.detach(port.index)
        try refusing { () throws(StateError) in try model.deletePort(port.index) }
        bridges[place.bridge].ports.remove(at: place.port)
        for i in bridges[place.bridge].mirrors.indices {
            bridges[place.bridge].mirrors[i].selectedSources.removeAll { $0 == port.name }
            bridges[place.bridge].mirrors[i].selectedDestinations.removeAll { $0 == port.name }
        }
    }

    /// Makes a port as `configuration` says. Where that takes another device or number, the port is made anew.
    func changePort(_ port: PortState, to configuration: PortConfiguration) throws(CommandError) {
        guard let place = place(port) else { throw .refused("\(port.name) is the bridge's own port: use set-br") }
        let old = bridges[place.bridge].ports[place.port]
        try refusing { () throws(SettingError) in try configuration.validate() }
        var wanted = configuration
        wanted.number = configuration.number ?? old.number
        if wanted.needsReopening(from: old) {
            let bridge = bridges[place.bridge].name
            let mirrors = bridges[place.bridge].mirrors
            try deletePort(port)
            do throws(CommandError) { try addPort(wanted, to: bridge) } catch {
                try? addPort(old, to: bridge)
                restore(mirrors, of: bridge)
                throw error
            }
            restore(mirrors, of: bridge)
            return
        }
        if let device = device.ports[port.index]?.port {
            if let mtu = wanted.mtu, mtu != old.mtu { try refusing { () throws(PortError) in try device.setMTU(mtu) } }
            if wanted.isUp != old.isUp { try refusing { () throws(PortError) in try device.setAdmin(up: wanted.isUp) } }
        }
        try refusing { () throws(StateError) in
            try model.setPort(port.index) { (state: inout PortState) throws(StateError) in state.adopt(wanted) }
            if let peer = wanted.peer, peer != old.peer { try model.setPeer(of: port.index, to: peer) }
        }
        bridges[place.bridge].ports[place.port] = wanted
        device.refreshPorts()
    }

    /// Sets the link of a bridge's own port.
    func setLocal(_ port: PortState, _ change: (inout PortState) -> Void, isUp: Bool?) throws(CommandError) {
        if let isUp, let device = device.ports[port.index]?.port {
            try refusing { () throws(PortError) in try device.setAdmin(up: isUp) }
        }
        try refusing { () throws(StateError) in try model.setPort(port.index) { change(&$0) } }
        device.refreshPorts()
    }

    // MARK: Mirrors

    func addMirror(_ mirror: MirrorConfiguration, to bridge: String) throws(CommandError) {
        let i = try position(bridge)
        try refusing { () throws(SettingError) in try mirror.validate() }
        var request = MirrorRequest(mirror.name)
        func index(_ name: String) throws(CommandError) -> PortIndex { try port(name, bridge: bridge).index }
        request.selectAll = mirror.selectsAll
        for name in mirror.selectedSources { request.selectSource.insert(try index(name)) }
        for name in mirror.selectedDestinations { request.selectDestination.insert(try index(name)) }
        request.selectVLANs = mirror.selectedVLANs
        if let name = mirror.outputPort { request.outputPort = try index(name) }
        request.outputVLAN = mirror.outputVLAN
        request.snapLength = mirror.snapLength
        let ready = request
        try refusing { () throws(StateError) in try model.addMirror(ready, to: bridge, now: now) }
        bridges[i].mirrors.append(mirror)
    }

    func deleteMirror(_ name: String, of bridge: String) throws(CommandError) {
        let i = try position(bridge)
        try refusing { () throws(StateError) in try model.deleteMirror(name, of: bridge) }
        bridges[i].mirrors.removeAll { $0.name == name }
    }

    /// Makes mirrors anew that went, or lost a port, because a port was made anew.
    private func restore(_ mirrors: [MirrorConfiguration], of bridge: String) {
        guard let i = try? position(bridge) else { return }
        for mirror in mirrors where !bridges[i].mirrors.contains(mirror) {
            try? deleteMirror(mirror.name, of: bridge)
            do { try addMirror(mirror, to: bridge) } catch { log.warning("mirror \(mirror.name) is gone: \(error)") }
        }
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
