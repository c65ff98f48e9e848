import Base
import Logging
import Pipeline

extension ConfiguredSwitch {
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
    func restore(_ mirrors: [MirrorConfiguration], of bridge: String) {
        guard let i = try? position(bridge) else { return }
        for mirror in mirrors where !bridges[i].mirrors.contains(mirror) {
            try? deleteMirror(mirror.name, of: bridge)
            do { try addMirror(mirror, to: bridge) } catch { log.warning("mirror \(mirror.name) is gone: \(error)") }
        }
    }
}
