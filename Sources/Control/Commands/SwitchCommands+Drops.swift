import Base
import Dataplane
import Pipeline
import Ports

extension SwitchCommands {
    /// What was dropped that has to do with one port.
    struct PortDrops {
        let bridge: String
        let port: String
        /// Inside the switch, of frames that came in through it.
        let inside: [DropReason: UInt64]
        /// Before a worker had the frame, and on the way out.
        var receiving: [DropReason: UInt64] = [:]
        var transmitting: [DropReason: UInt64] = [:]

        var isEmpty: Bool { inside.isEmpty && receiving.isEmpty && transmitting.isEmpty }
    }

    /// Every port of every bridge, in the order of bridges and OpenFlow numbers.
    func dropsByPort() -> [PortDrops] {
        let state = model.state
        let ports = state.ports.compactMap { port in port.map { ($0, state.bridges[$0.bridge]?.name ?? "") } }
        return ports.sorted { ($0.1, $0.0.number) < ($1.1, $1.0.number) }.map { port, bridge in
            var drops = PortDrops(bridge: bridge, port: port.name, inside: device.workerDrops(of: port.index))
            if let attached = device.ports[port.index] {
                drops.receiving = attached.port.received.drops
                drops.transmitting = attached.port.transmitted.drops
            }
            return drops
        }
    }

    /// Frames that came in through no port, and what is left of ports that were deleted.
    func dropsOfNoPort() -> PortDrops {
        var drops = PortDrops(bridge: "", port: "", inside: device.workerDrops(of: .none))
        drops.transmitting = device.departedDrops
        return drops
    }

    func drops() -> CommandResult {
        let balance = device.balance
        let buffers = device.buffersInUse
        let inside = device.workerDrops
        let ports = dropsByPort()
        let others = dropsOfNoPort()
        return CommandResult(
            text: {
                var text = "received \(balance.received), injected \(balance.injected), copies \(balance.copies)"
                text += ", sent \(balance.sent), dropped \(balance.dropped), held \(balance.held)\n"
                text += Self.lines(inside, "  ")
                for drops in ports where !drops.isEmpty {
                    text += "bridge \(drops.bridge) port \(drops.port):\n" + Self.lines(drops)
                }
                if !others.isEmpty { text += "no port, or ports that are gone:\n" + Self.lines(others) }
                return text
            },
            json: {
                [
                    "received": JSONValue(balance.received), "injected": JSONValue(balance.injected),
                    "copies": JSONValue(balance.copies), "sent": JSONValue(balance.sent),
                    "dropped": JSONValue(balance.dropped),
                    "held": JSONValue(balance.held), "drops": JSONValue(drops: inside),
                    "buffers": JSONValue(UInt64(buffers)),
                    "ports": .array(
                        ports.map {
                            [
                                "bridge": .string($0.bridge), "name": .string($0.port),
                                "drops": JSONValue(drops: $0.inside), "rx": JSONValue(drops: $0.receiving),
                                "tx": JSONValue(drops: $0.transmitting),
                            ]
                        }),
                    "no_port": [
                        "drops": JSONValue(drops: others.inside), "tx": JSONValue(drops: others.transmitting),
                    ],
                ]
            })
    }

    private static func lines(_ drops: PortDrops) -> String {
        lines(drops.inside, "  ") + lines(drops.receiving, "  rx ") + lines(drops.transmitting, "  tx ")
    }

    private static func lines(_ drops: [DropReason: UInt64], _ prefix: String) -> String {
        drops.sorted { $0.key.rawValue < $1.key.rawValue }.map { "\(prefix)\($0.key.name): \($0.value)\n" }.joined()
    }
}
