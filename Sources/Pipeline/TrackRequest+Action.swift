import Base
import Conntrack
import Flow

extension TrackRequest {
    /// What a `ct` action says, but for what its translation finds out: a zone that comes from a field, mark and label.
    init(_ parameters: ConntrackParameters) {
        self.init()
        commits = parameters.commit
        forces = parameters.force
        if case .immediate(let number) = parameters.zone { zone = number }
        helper = parameters.alg == "ftp" ? .ftp : parameters.alg == "tftp" ? .tftp : .none
        policy = parameters.timeouts?.number ?? 0
        guard let nat = parameters.nat else { return }
        translates = true
        switch nat.kind {
        case .unspecified: kind = .none
        case .source: kind = .source
        case .destination: kind = .destination
        }
        if let addresses = nat.addresses {
            hasAddresses = true
            isIPv6 = nat.isIPv6
            firstAddress = addresses.lowerBound
            lastAddress = addresses.upperBound
        }
        if let ports = nat.ports {
            firstPort = ports.lowerBound
            lastPort = ports.upperBound
        }
        isPersistent = nat.persistent
        selection = nat.hash ? .hash : nat.random ? .random : .automatic
    }

    /// With the bits of mark and label that these steps write.
    func marking(_ steps: UnsafeBufferPointer<ActionStep>) -> TrackRequest {
        var request = self
        for step in steps {
            var (high, low) = (step.highMask, step.lowMask)
            if step.op == .move {
                let ones = step.target.width >= 128 ? ~UInt128(0) : (UInt128(1) << UInt128(step.target.width)) &- 1
                let bits = ones << UInt128(step.target.shift)
                high = UInt64(truncatingIfNeeded: step.target.isWide ? bits >> 64 : bits)
                low = UInt64(truncatingIfNeeded: bits)
            }
            switch Int(step.target.word) {
            case Slot.ctMark.word: request.markMask |= UInt32(truncatingIfNeeded: high >> 32)
            case Slot.ctLabel.word: request.labelMask |= UInt128(high) << 64 | UInt128(low)
            default: break
            }
        }
        return request
    }
}
