import Base
import Flow

// Looking up bridges and ports without copying what has references inside.

/// What translation asks about a port all the time.
struct PortFacts {
    var index: PortIndex
    var bridge: Int
    var number: PortNumber
    var noReceive: Bool
    var noForward: Bool
    var noFlood: Bool
    var isProtected: Bool
    var isPatch: Bool
    var peer: PortIndex?
}

extension Translator {
    func bridge(number: Int) -> Unmanaged<BridgeState>? {
        state._withUnsafeGuaranteedRef { state in
            guard number >= 0, number < state.bridges.count else { return nil }
            return state.bridges[number].map { .passUnretained($0) }
        }
    }

    func port(_ index: PortIndex) -> PortFacts? {
        state._withUnsafeGuaranteedRef { state in
            let i = Int(index.rawValue)
            guard i < state.ports.count else { return nil }
            return state.ports.withUnsafeBufferPointer { ports -> PortFacts? in
                guard let number = ports[i]?.number, let bridge = ports[i]?.bridge, let noReceive = ports[i]?.noReceive,
                    let noForward = ports[i]?.noForward, let noFlood = ports[i]?.noFlood,
                    let isProtected = ports[i]?.protected, let kind = ports[i]?.kind
                else { return nil }
                var facts = PortFacts(
                    index: index, bridge: bridge, number: number, noReceive: noReceive, noForward: noForward,
                    noFlood: noFlood, isProtected: isProtected, isPatch: false)
                if case .patch(let peer) = kind {
                    facts.isPatch = true
                    facts.peer = peer
                }
                return facts
            }
        }
    }

    /// The port of the present bridge that has this number.
    func portIndex(_ number: PortNumber) -> PortIndex? { bridge._withUnsafeGuaranteedRef { $0.port(number) } }

    func port(number: PortNumber) -> PortFacts? {
        guard let index = portIndex(number) else { return nil }
        return port(index)
    }

    /// Whether a port takes the packet. `no-receive` spares frames of the spanning tree (OpenFlow 1.0, 5.2.1).
    func mayReceive(_ port: PortFacts) -> Bool {
        if !port.noReceive { return true }
        return see(.ethType) == UInt64(EtherType.notEthernetII) && see(1, ~0xffff) >> 16 == 0x0180_c200_0000
    }

    /// Whether a port passes for working: `watch_port`, `bundle`.
    func isLive(_ number: PortNumber) -> Bool {
        guard let index = portIndex(number) else { return false }
        return state._withUnsafeGuaranteedRef { state in
            let i = Int(index.rawValue)
            guard let linkUp = state.ports[i]?.linkUp, let adminDown = state.ports[i]?.adminDown else { return false }
            return linkUp && !adminDown
        }
    }
}
