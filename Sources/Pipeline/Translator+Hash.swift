import CLinux
import Flow

// Hashes over header fields, for select groups, `multipath` and `bundle`. Which fields count is as in Open vSwitch, the
// function is not: equal flows choose equally within one switch, and that is all that is promised.

/// A running hash.
struct FieldHash {
    private var state: UInt64

    init(basis: UInt32) { state = UInt64(basis) &* 0x9e37_79b9_7f4a_7c15 ^ 0x2545_f491_4f6c_dd1d }

    @inline(__always) mutating func add(_ value: UInt64) {
        let mixed = (state ^ value) &* 0xd6e8_feb8_6659_fd93
        state = mixed ^ mixed >> 32
    }

    mutating func add(_ value: UInt128) {
        add(UInt64(truncatingIfNeeded: value >> 64))
        add(UInt64(truncatingIfNeeded: value))
    }

    var value: UInt32 {
        let mixed = (state ^ state >> 29) &* 0xbf58_476d_1ce4_e5b9
        return UInt32(truncatingIfNeeded: mixed >> 32)
    }

    /// Two words, for choosing among numbered things.
    static func pair(_ a: UInt32, _ b: UInt32) -> UInt32 {
        var hash = FieldHash(basis: b)
        hash.add(UInt64(a))
        return hash.value
    }
}

extension Translator {
    func hash(_ fields: HashFields, basis: UInt32) -> UInt32 {
        var hash = FieldHash(basis: basis)
        switch fields {
        case .ethSrc: hash.add(see(Slot.ethSrc))
        case .nwSrc: addAddress(Slot.ipv4Src, Slot.ipv6Src, &hash)
        case .nwDst: addAddress(Slot.ipv4Dst, Slot.ipv6Dst, &hash)
        case .symmetricL4:
            hash.add(see(Slot.ethSrc) ^ see(Slot.ethDst))
            hash.add(UInt64(etherType))
            addTags(&hash)
            addSymmetric(&hash, withUDP: false)
        case .symmetricL3L4: addSymmetricNetwork(&hash, withUDP: false)
        case .symmetricL3L4UDP: addSymmetricNetwork(&hash, withUDP: true)
        case .symmetricL3:
            hash.add(UInt64(etherType))
            addAddresses(&hash)
        }
        return hash.value
    }

    private func addAddress(_ ipv4: Slot, _ ipv6: Slot, _ hash: inout FieldHash) {
        if etherType == EtherType.ipv4 { hash.add(see(ipv4)) }
        if etherType == EtherType.ipv6 { hash.add(see128(ipv6)) }
    }

    private func addAddresses(_ hash: inout FieldHash) {
        if etherType == EtherType.ipv4 { hash.add(see(Slot.ipv4Src) ^ see(Slot.ipv4Dst)) }
        if etherType == EtherType.ipv6 { hash.add(see128(Slot.ipv6Src) ^ see128(Slot.ipv6Dst)) }
    }

    private func addTags(_ hash: inout FieldHash) {
        var vlan = see(0, 0x1fff)
        if vlan & 0x1000 != 0 { vlan ^= see(5, 0x1fff_0000_0000) >> 32 }
        hash.add(vlan & 0xfff)
    }

    private func addSymmetric(_ hash: inout FieldHash, withUDP: Bool) {
        guard isIP else { return }
        addAddresses(&hash)
        let ipProtocol = see(Slot.nwProto)
        hash.add(ipProtocol)
        if ipProtocol == 6 || ipProtocol == 132 || withUDP && ipProtocol == 17 {
            hash.add(see(Slot.tpSrc) ^ see(Slot.tpDst))
        }
    }

    /// Layers 3 and 4; for what is not IP, layer 2. Fragments hash without ports, so that all go one way.
    private func addSymmetricNetwork(_ hash: inout FieldHash, withUDP: Bool) {
        guard isIP else {
            hash.add(see(Slot.ethSrc) ^ see(Slot.ethDst))
            hash.add(UInt64(etherType))
            return addTags(&hash)
        }
        addAddresses(&hash)
        let ipProtocol = see(Slot.nwProto)
        hash.add(ipProtocol)
        let hasPorts = ipProtocol == 6 || ipProtocol == 132 || withUDP && ipProtocol == 17
        if hasPorts, see(Slot.nwFrag) & (FragmentBits.any | FragmentBits.later) == 0 {
            hash.add(see(Slot.tpSrc) ^ see(Slot.tpDst))
        }
    }
}
