import Actions
import Base
import Flow

// Mirrors: copies of what comes in through, or goes out of, chosen ports, to a port or into a VLAN that is kept for that.
//
// A packet goes to each destination once, as it is when it is first mirrored, whatever actions change afterwards (as in
// Open vSwitch 3.1.0; later releases mirror each changed copy again). A port that a mirror sends to takes no other traffic,
// and what comes in through it is dropped.

extension Translator {
    private var mirrorCount: Int { bridge._withUnsafeGuaranteedRef { min($0.mirrors.count, 64) } }

    /// Whether a port is reserved for a mirror's output.
    func isMirrorOutput(_ port: PortIndex) -> Bool {
        bridge._withUnsafeGuaranteedRef { bridge in
            bridge.mirrors.contains { $0.outputPort == port }
        }
    }

    func mirrorIngress() {
        guard mirrorCount > 0, let port = portIndex(inPortNumber) else { return }
        mirror(port, select(port, isInput: true))
    }

    func mirrorEgress(_ port: PortIndex) {
        guard mirrorCount > 0 else { return }
        mirror(port, select(port, isInput: false))
    }

    /// The mirrors, by their bits, that want what passes this port.
    private func select(_ port: PortIndex, isInput: Bool) -> UInt64 {
        bridge._withUnsafeGuaranteedRef { bridge in
            var selected: UInt64 = 0
            for i in 0..<min(bridge.mirrors.count, 64) {
                let wanted =
                    bridge.mirrors[i].selectAll
                    || (isInput ? bridge.mirrors[i].selectSource : bridge.mirrors[i].selectDestination).contains(port)
                if wanted { selected |= 1 << UInt64(i) }
            }
            return selected
        }
    }

    private func mirror(_ port: PortIndex, _ selected: UInt64) {
        guard selected & ~mirrored != 0 else { return }
        let ownIsLast = isLast
        isLast = false
        defer { isLast = ownIsLast }
        let tags = internalTags()
        let vlans = vlans(of: port)
        guard admits(port, vlans, tags.outer.vid) else { return }
        let inside = inward(tags, vlans)
        var left = selected & ~mirrored
        while left != 0 {
            let i = left.trailingZeroBitCount
            left &= left - 1
            let mirror = bridge._withUnsafeGuaranteedRef { $0.mirrors[i] }
            if !mirror.selectVLANs.isEmpty, !mirror.selectVLANs.contains(inside.outer.vid) { continue }
            // Marked before sending: the output may be mirrored in turn.
            mirrored |= sameDestination(mirror)
            translation.credits.append(Credit(.counter, mirror.counter))
            mirrorSnapLength = mirror.snapLength
            deliver(mirror, inside)
            mirrorSnapLength = 0
            left &= ~mirrored
        }
    }

    /// The mirrors that send to where this one sends.
    private func sameDestination(_ mirror: Mirror) -> UInt64 {
        bridge._withUnsafeGuaranteedRef { bridge in
            var same: UInt64 = 0
            for i in 0..<min(bridge.mirrors.count, 64)
            where bridge.mirrors[i].outputPort == mirror.outputPort && bridge.mirrors[i].outputVLAN == mirror.outputVLAN
            {
                same |= 1 << UInt64(i)
            }
            return same
        }
    }

    private func deliver(_ mirror: Mirror, _ tags: InternalTags) {
        if let output = mirror.outputPort {
            if let port = port(output) { sendNormal(tags, to: port, vlans(of: output)) }
        } else if let vlan = mirror.outputVLAN, tags.outer.vid != vlan, !Self.isReserved(see(1, ~0xffff) >> 16) {
            var moved = tags
            moved.outer.vid = vlan
            let count = bridge._withUnsafeGuaranteedRef { $0.portOrder.count }
            for i in 0..<count {
                guard let index = bridge._withUnsafeGuaranteedRef({ i < $0.portOrder.count ? $0.portOrder[i] : nil }),
                    let port = port(index)
                else { continue }
                let vlans = vlans(of: index)
                if includes(index, vlans, moved), !isMirrorOutput(index) { sendNormal(moved, to: port, vlans) }
            }
        }
    }
}
