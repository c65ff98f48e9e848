import Actions
import Balancer
import Base
import Conntrack
import Flow

// Load balancing, before table 0: a packet for a service's address, or from one of its backends, is translated first, and the
// rules see it as if its sender had done that.
//
//     to a service      ct(commit,zone=Z,nat,lb=N), ct_clear, recirc(table 0)
//     from a backend    ct(zone=Z,nat), ct_clear, recirc(table 0)
//     errors about one  the same: ICMP errors to a service or from a backend belong to connections
//     anything else     nothing; the mask gains the bits that told it apart
//
// Which backend a connection gets is not known here. So one megaflow serves all clients of a service, and what it costs an
// established packet is one `ct`.

extension Translator {
    /// Takes a packet that has just been received on its way if it concerns a service. False: on to table 0.
    func balances(at port: PortFacts) -> Bool {
        let (own, all) = state._withUnsafeGuaranteedRef {
            state -> (Unmanaged<ServiceScope>?, Unmanaged<ServiceScope>?) in
            guard !state.scopes.isEmpty else { return (nil, nil) }
            let index = Int(port.index.rawValue)
            let own = index < state.portScopes.count ? state.portScopes[index] : nil
            let all = bridge._withUnsafeGuaranteedRef { $0.scope }
            return (own.map { .passUnretained($0) }, all.map { .passUnretained($0) })
        }
        guard own != nil || all != nil else { return false }
        dependencies.formUnion(.services)
        guard !isMirrorOutput(port.index), mayReceive(port) else { return false }
        switch etherType {
        case EtherType.ipv4, EtherType.ipv6:
            if etherType == EtherType.ipv6, meets(own, all, { $0.answering.nd > 0 && answersSolicitation($0) }) {
                return true
            }
            // A backend may be a client: what it sends to a service comes first.
            let isForService = isFragment ? isFragmentForService(own, all) : meets(own, all) { self.isForService($0) }
            return isForService || meets(own, all) { isFromBackend($0) }
        case EtherType.arp: return meets(own, all) { $0.answering.arp > 0 && answersARP($0) }
        default: return false
        }
    }

    /// Whether something holds for the services at the port or for those at its bridge.
    private func meets(
        _ own: Unmanaged<ServiceScope>?, _ all: Unmanaged<ServiceScope>?, _ body: (ServiceScope) -> Bool
    ) -> Bool {
        if let own, own._withUnsafeGuaranteedRef(body) { return true }
        if let all, all._withUnsafeGuaranteedRef(body) { return true }
        return false
    }

    // MARK: Reading

    /// An address of the packet, and a way to read its leading bits into the mask.
    private func destination() -> UInt128 {
        etherType == EtherType.ipv6
            ? UInt128(flow[8]) << 64 | UInt128(flow[9]) : UInt128(flow[3] & 0xffff_ffff)
    }

    private func source() -> UInt128 {
        etherType == EtherType.ipv6 ? UInt128(flow[6]) << 64 | UInt128(flow[7]) : UInt128(flow[3] >> 32)
    }

    private static func leading(_ bits: Int) -> UInt64 {
        bits <= 0 ? 0 : bits >= 64 ? ~0 : ~0 << UInt64(64 - bits)
    }

    private func readDestination(_ bits: Int) {
        if etherType == EtherType.ipv6 {
            _ = see(8, Self.leading(bits))
            _ = see(9, Self.leading(bits - 64))
        } else {
            _ = see(3, Self.leading(bits) >> 32)
        }
    }

    private func readSource(_ bits: Int) {
        if etherType == EtherType.ipv6 {
            _ = see(6, Self.leading(bits))
            _ = see(7, Self.leading(bits - 64))
        } else {
            _ = see(3, Self.leading(min(bits, 32)))
        }
    }

    private var isFragment: Bool { see(Slot.nwFrag) & FragmentBits.any != 0 }

    /// The ICMP message is an error about another packet (RFC 792; RFC 4443, section 2.1).
    private func isError(_ ipProtocol: UInt64) -> Bool {
        if etherType == EtherType.ipv4 {
            guard ipProtocol == 1 else { return false }
            switch see(Slot.tpSrc) {
            case 3, 4, 5, 11, 12: return true
            default: return false
            }
        }
        return ipProtocol == 58 && see(Slot.tpSrc) < 128
    }

    // MARK: Ways

    private func isForService(_ scope: ServiceScope) -> Bool {
        let isIPv6 = etherType == EtherType.ipv6
        let (found, bits) = scope.targets.find(destination(), isIPv6: isIPv6)
        readDestination(bits)
        guard let address = found else { return false }
        let ipProtocol = see(Slot.nwProto)
        guard ipProtocol == 6 || ipProtocol == 17 else {
            if isError(ipProtocol) {
                track(zone: address.zone, steers: false)
                return true
            }
            return address.echo > 0 && answersEcho(ipProtocol, address.station)
        }
        let port = flow[4] >> 16 & 0xffff
        let (target, portBits) = scope.targets.find(
            address, ipProtocol: UInt8(truncatingIfNeeded: ipProtocol), port: UInt16(truncatingIfNeeded: port))
        _ = see(4, (0xffff << UInt64(16 - portBits) & 0xffff) << 16)
        guard let target else { return false }
        track(target)
        return true
    }

    /// Later fragments have no ports. Where one service has the address and protocol they can be nobody else's, be it applied at
    /// the port or at its bridge.
    private func isFragmentForService(_ own: Unmanaged<ServiceScope>?, _ all: Unmanaged<ServiceScope>?) -> Bool {
        var first: AppliedService?
        var isAmbiguous = false
        _ = meets(own, all) { scope in
            let (found, bits) = scope.targets.find(destination(), isIPv6: etherType == EtherType.ipv6)
            readDestination(bits)
            guard let address = found else { return false }
            let ipProtocol = see(Slot.nwProto)
            let candidates = ipProtocol == 6 ? address.tcp : ipProtocol == 17 ? address.udp : []
            for service in candidates {
                // One that is applied at both is one.
                if let first { isAmbiguous = isAmbiguous || service.number != first.number } else { first = service }
            }
            return false
        }
        guard let first else { return false }
        guard !isAmbiguous else {
            note(.fragmentPolicy)
            trace { $0.detail("a fragment for an address of several services, dropping") }
            return true
        }
        track(first)
        return true
    }

    private func isFromBackend(_ scope: ServiceScope) -> Bool {
        let (found, bits) = scope.sources.find(source(), isIPv6: etherType == EtherType.ipv6)
        readSource(bits)
        guard let address = found else { return false }
        let ipProtocol = see(Slot.nwProto)
        guard ipProtocol == 6 || ipProtocol == 17 else {
            guard !isFragment, isError(ipProtocol) else { return false }
            track(zone: address.zone, steers: false)
            return true
        }
        if isFragment {
            track(zone: address.zone, steers: true)
            return true
        }
        let port = flow[4] >> 32 & 0xffff
        let (source, portBits) = scope.sources.find(
            address, ipProtocol: UInt8(truncatingIfNeeded: ipProtocol), port: UInt16(truncatingIfNeeded: port))
        _ = see(4, (0xffff << UInt64(16 - portBits) & 0xffff) << 32)
        guard let source else { return false }
        track(zone: source.zone, steers: source.steering > 0)
        return true
    }

    private func track(_ service: AppliedService) {
        translation.credits.append(Credit(.counter, service.counter))
        var request = TrackRequest()
        request.zone = service.zone
        request.commits = true
        request.translates = true
        request.service = service.number
        request.steers = service.steers
        request.isOneSided = service.isDirect
        trace { $0.detail("to service \(service.name): a new connection gets one of its backends") }
        track(request)
    }

    private func track(zone: UInt16, steers: Bool) {
        var request = TrackRequest()
        request.zone = zone
        request.translates = true
        request.steers = steers
        trace { $0.detail("from a backend, or about one: replies are translated back") }
        track(request)
    }

    private func track(_ request: TrackRequest) {
        mirrorIngress()
        commit()
        translation.program.track(request)
        translation.program.trackClear()
        returnsToPort = request.steers
        freeze(0, zone: request.zone, isUntracked: true)
    }

    // MARK: Answers

    private func answersARP(_ scope: ServiceScope) -> Bool {
        // The protocol address that is asked for stands where an IPv4 packet has its destination.
        let (found, bits) = scope.targets.find(UInt128(flow[3] & 0xffff_ffff), isIPv6: false)
        _ = see(3, Self.leading(bits) >> 32)
        guard let address = found, address.arp > 0, see(Slot.nwProto) == 1 else { return false }
        return answer(address.station)
    }

    /// RFC 4861, section 7.2.3.
    private func answersSolicitation(_ scope: ServiceScope) -> Bool {
        guard see(Slot.nwProto) == 58, !isFragment, see(Slot.tpSrc) == 135, see(Slot.tpDst) == 0 else { return false }
        let target = UInt128(flow[12]) << 64 | UInt128(flow[13])
        let (found, bits) = scope.targets.find(target, isIPv6: true)
        _ = see(12, Self.leading(bits))
        _ = see(13, Self.leading(bits - 64))
        guard let address = found, address.nd > 0 else { return false }
        return answer(address.station)
    }

    private func answersEcho(_ ipProtocol: UInt64, _ station: UInt64) -> Bool {
        let isRequest = etherType == EtherType.ipv4 ? ipProtocol == 1 : ipProtocol == 58
        guard isRequest, !isFragment, see(Slot.tpSrc) == (etherType == EtherType.ipv4 ? 8 : 128),
            see(Slot.tpDst) == 0
        else { return false }
        return answer(station)
    }

    private func answer(_ station: UInt64) -> Bool {
        trace { $0.detail("an address of a service: answered") }
        mirrorIngress()
        commit()
        translation.program.answer(mac: station)
        return true
    }
}
