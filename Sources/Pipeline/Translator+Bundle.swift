import Base
import Flow

// Choosing among links: `multipath` puts the number of one into a field, `bundle` sends to one that works.

extension Translator {
    func multipath(_ step: UnsafePointer<ActionStep>, _ code: Unmanaged<ActionCode>, _ i: Int) {
        guard case .multipath(let parameters) = code.takeUnretainedValue().actions[i] else { return }
        let hash = hash(parameters.fields, basis: UInt32(parameters.basis))
        let links = max(parameters.links, 1)
        let link =
            switch parameters.algorithm {
            case .moduloN: hash % links
            case .hashThreshold: links == 1 ? 0 : hash / (UInt32.max / links + 1)
            case .highestRandomWeight:
                links <= 64 ? Self.heaviest(hash, links) : Self.iterate(hash, links, modulo: 0)
            case .iterativeHash: Self.iterate(hash, links, modulo: parameters.argument)
            }
        write(step.pointee.target, UInt128(link))
    }

    /// The link with the highest random weight; only flows of a link that goes away move.
    private static func heaviest(_ hash: UInt32, _ links: UInt32) -> UInt32 {
        var best: UInt32 = 0
        var weight = FieldHash.pair(hash, 0)
        for link in 1..<max(links, 1) {
            let candidate = FieldHash.pair(hash, link)
            if candidate > weight {
                best = link
                weight = candidate
            }
        }
        return best
    }

    /// Hashes again until the result is one of the links.
    private static func iterate(_ hash: UInt32, _ links: UInt32, modulo: UInt32) -> UInt32 {
        var modulo = modulo
        if modulo < links || modulo / 2 > links {
            modulo = 1
            while modulo < links { modulo &*= 2 }
        }
        for round in 0..<1000 as Range<UInt32> {
            let link = FieldHash.pair(hash, round) % modulo
            if link < links { return link }
        }
        return 0
    }

    func bundle(_ step: UnsafePointer<ActionStep>, _ code: Unmanaged<ActionCode>, _ i: Int) {
        guard case .bundle(let parameters) = code.takeUnretainedValue().actions[i] else { return }
        let chosen =
            switch parameters.algorithm {
            case .activeBackup: parameters.members.first { isLiveMember($0) } ?? .none
            case .highestRandomWeight: heaviestMember(parameters)
            }
        guard step.pointee.flag else { return output(to: chosen) }
        // A port number of 16 bits.
        write(step.pointee.target, UInt128(chosen.rawValue & 0xffff))
    }

    private func heaviestMember(_ parameters: BundleParameters) -> PortNumber {
        // With a single member there is no choice, so nothing has to be read for it.
        guard parameters.members.count > 1 else {
            return parameters.members.first { isLiveMember($0) } ?? .none
        }
        let hash = hash(parameters.fields, basis: UInt32(parameters.basis))
        var best = PortNumber.none
        var weight: UInt32 = 0
        for (i, member) in parameters.members.enumerated() where isLiveMember(member) {
            let candidate = FieldHash.pair(UInt32(i), hash)
            if best == .none || candidate > weight {
                best = member
                weight = candidate
            }
        }
        return best
    }

    private func isLiveMember(_ number: PortNumber) -> Bool {
        switch number {
        case .inPort, .table, .normal, .flood, .all, .none: true
        case .controller: false
        default: isLive(number)
        }
    }
}
