import Balancer
import Base

extension Configuration {
    /// What must hold between the parts: names and numbers that are given once, and names that are there.
    func check() throws(ConfigurationError) {
        var names: [String: String] = [:]
        func take(_ name: String, _ path: String) throws(ConfigurationError) {
            if let other = names[name] {
                throw ConfigurationError(path + ".name", "\"\(name.echoed)\" is taken by \(other)")
            }
            names[name] = path
        }
        var devices: [String: String] = [:]
        func take(device: String?, _ path: String) throws(ConfigurationError) {
            guard let device else { return }
            if let other = devices[device] {
                throw ConfigurationError(path, "device \(device.echoed) is that of \(other) already")
            }
            devices[device] = path
        }
        for (i, bridge) in bridges.enumerated() {
            try take(bridge.name, "bridges[\(i)]")
            try take(device: bridge.localDevice, "bridges[\(i)]")
        }
        for (i, bridge) in bridges.enumerated() {
            var numbers: [UInt32: String] = [:]
            for (j, port) in bridge.ports.enumerated() {
                let path = "bridges[\(i)].ports[\(j)]"
                try take(port.name, path)
                try take(device: port.device, path)
                guard let number = port.number else { continue }
                if let other = numbers[number] {
                    throw ConfigurationError(path + ".ofport", "\(number) is taken by \(other)")
                }
                numbers[number] = path
            }
            try checkMirrors(bridge, "bridges[\(i)]")
        }
        try checkServices()
    }

    /// Services: names that are given once, places that are there, nothing that two of them cannot have, and room for all.
    private func checkServices() throws(ConfigurationError) {
        var names: [String: Int] = [:]
        var bridgeOfPort: [String: String] = [:]
        for bridge in bridges { for port in bridge.ports { bridgeOfPort[port.name] = bridge.name } }
        let places = Set(bridges.map(\.name) + bridgeOfPort.keys)
        let patches = Set(bridges.flatMap { $0.ports.filter { $0.kind == .patch }.map(\.name) })
        var clashes = ServiceClashFinder { [bridgeOfPort] in bridgeOfPort[$0] }
        var use = BalancerUse()
        for (i, service) in services.enumerated() {
            let path = "services[\(i)]"
            if let other = names.updateValue(i, forKey: service.name) {
                throw ConfigurationError(path + ".name", "\"\(service.name.echoed)\" is taken by services[\(other)]")
            }
            for place in service.places {
                guard places.contains(place) else {
                    throw ConfigurationError(path + ".apply", "no bridge or port named \"\(place.echoed)\"")
                }
                guard !patches.contains(place) else {
                    throw ConfigurationError(
                        path + ".apply",
                        "\(place) is a patch port; services take packets where they enter the switch")
                }
            }
            guard let vip = service.vip else { continue }
            if let (clash, other) = clashes.add(service) {
                throw ConfigurationError("\(path).\(clash.key)", clash.text(other: "services[\(other)]"))
            }
            let spec = service.spec(vip)
            do throws(BalancerError) { try spec.check() } catch { throw ConfigurationError(path, error.description) }
            use.add(spec)
        }
        do throws(BalancerError) { try use.check() } catch { throw ConfigurationError("services", error.description) }
    }

    private func checkMirrors(_ bridge: BridgeConfiguration, _ path: String) throws(ConfigurationError) {
        let ports = Set(bridge.ports.map(\.name) + [bridge.name])
        var mirrors: Set<String> = []
        for (i, mirror) in bridge.mirrors.enumerated() {
            guard mirrors.insert(mirror.name).inserted else {
                throw ConfigurationError("\(path).mirrors[\(i)].name", "\"\(mirror.name.echoed)\" is there twice")
            }
            if let unknown = mirror.namedPorts.first(where: { !ports.contains($0) }) {
                throw ConfigurationError(
                    "\(path).mirrors[\(i)]", "bridge \(bridge.name) has no port \"\(unknown.echoed)\"")
            }
        }
    }
}
