import Base
import Flow

// The TLV map of a bridge: NXT_TLV_TABLE_MOD of Open vSwitch. Rules hold the places of the fields they name, so a mapping
// that a rule or a bucket uses can neither go nor change.

extension SwitchModel {
    /// Adds mappings, all of them or none.
    public func addMappings(_ requests: [TLVMapRequest], to bridge: String) throws(StateError) {
        let bridge = try self.bridge(bridge)
        var map = bridge.tlvMap
        for request in requests {
            do throws(TLVMapError) { try map.add(request) } catch { throw StateError(error) }
        }
        set(map, on: bridge)
    }

    /// Deletes the mappings of these fields, or all of them. One that is not there is no error, as in Open vSwitch.
    public func deleteMappings(_ numbers: [Int]?, of bridge: String) throws(StateError) {
        let bridge = try self.bridge(bridge)
        var map = bridge.tlvMap
        let doomed = numbers ?? map.mappings.map { Int($0.field.number) }
        let used = optionsInUse(of: bridge)
        for number in doomed {
            guard number < TLVMap.fieldLimit, number >= 0 else {
                throw StateError(.badTunnelField, "there is no tun_metadata\(number): fields are tun_metadata0 to 63")
            }
            if used >> UInt64(number) & 1 == 1, map[UInt8(number)] != nil {
                throw StateError(
                    .mappingInUse, "the mapping of tun_metadata\(number) is in use: flows or groups name the field")
            }
            map.remove(UInt8(number))
        }
        set(map, on: bridge)
    }

    private func set(_ map: TLVMap, on bridge: BridgeState) {
        guard map != bridge.tlvMap else { return }
        change(.settings) { $0.bridges[bridge.number]?.tlvMap = map }
    }

    /// One bit for each field that something of the bridge names. Most rules are done with after one test of a bit.
    private func optionsInUse(of bridge: BridgeState) -> UInt64 {
        var used: UInt64 = 0
        for rule in (try? selectRules(of: bridge.name)) ?? [] {
            used |= rule.matchedTunnelOptions
            if rule.traits.contains(.usesTunnelOptions) { used |= rule.actions.tunnelOptions }
        }
        for group in bridge.groups.values {
            for bucket in group.buckets { used |= bucket.actions.tunnelOptions }
            used |= group.hashedTunnelOptions
        }
        return used
    }
}

extension Rule {
    /// One bit for each `tun_metadata` field that the match asks for, present or not.
    fileprivate var matchedTunnelOptions: UInt64 {
        packed.low >> UInt64(Slot.tunMetadataPresent.word) & 1 == 0 ? 0 : match.mask[.tunMetadataPresent]
    }
}

extension Group {
    fileprivate var hashedTunnelOptions: UInt64 {
        guard case .hash(_, let fields) = writtenSelection else { return 0 }
        return fields.reduce(0) { $0 | $1.field.presence }
    }
}

extension StateError {
    init(_ error: TLVMapError) {
        let kind: Kind =
            switch error.kind {
            case .alreadyMapped: .alreadyMapped
            case .duplicate: .duplicateMapping
            case .badLength: .badOptionLength
            case .badField: .badTunnelField
            case .full: .tlvMapFull
            }
        self.init(kind, error.message)
    }
}
