import Base
import Dataplane
import Logging
import Pipeline
import Ports

extension ConfiguredSwitch {
    /// Adds a port. Where it `waits`, its network device need not be there yet; the port takes it when it appears.
    func addPort(_ port: PortConfiguration, to bridge: String, waits: Bool = false) throws(CommandError) {
        let i = try position(bridge)
        try refusing { () throws(SettingError) in try port.validate() }
        var made = port
        made.number = try open(port, on: bridge, waits)
        bridges[i].ports.append(made)
    }

    /// Puts a port into the model and its device behind it; returns the port's number.
    private func open(_ port: PortConfiguration, on bridge: String, _ waits: Bool) throws(CommandError) -> UInt32 {
        let number = port.number.map { PortNumber($0) }
        var request = PortRequest(port.name, number: number)
        var device: Port?
        if let peer = port.peer {
            request.kind = .patch(peer: peer)
        } else if var options = try refusing({ () throws(SettingError) in try port.portOptions() }) {
            options.waitsForDevice = waits
            // Names that are taken are refused before a device is touched.
            if let other = model.state.port(named: port.name) {
                throw .refused(
                    "port \(port.name) exists already on bridge \(model.state.bridges[other.bridge]?.name ?? "")")
            }
            if let name = port.device { try checkFree(name) }
            let ready = options
            device = try refusing { () throws(PortError) in
                try Port.open(name: port.name, options: ready, log: log)
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
            if let name = wanted.device { try checkFree(name, except: port.name) }
            let bridge = bridges[place.bridge].name
            let mirrors = bridges[place.bridge].mirrors
            try deletePort(port)
            do throws(CommandError) { try addPort(wanted, to: bridge) } catch {
                try? addPort(old, to: bridge, waits: true)
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

    /// Sets a port's device up, also where it is the device alone that was down: adding a port leaves devices as they
    /// are, but `admin=up` means what it says.
    func bringUp(_ name: String) throws(CommandError) {
        guard let port = model.state.port(named: name), let device = device.ports[port.index]?.port else { return }
        try refusing { () throws(PortError) in try device.setAdmin(up: true) }
        self.device.refreshPorts()
    }

    /// Sets the link of a bridge's own port.
    func setLocal(_ port: PortState, _ change: (inout PortState) -> Void, isUp: Bool?) throws(CommandError) {
        if let isUp, let device = device.ports[port.index]?.port {
            try refusing { () throws(PortError) in try device.setAdmin(up: isUp) }
        }
        try refusing { () throws(StateError) in try model.setPort(port.index) { change(&$0) } }
        device.refreshPorts()
    }
}
