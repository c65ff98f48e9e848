import Balancer
import Base

/// Why two services cannot be where they are: they would meet the same packets, at one port, at one bridge, or at a port and its
/// bridge.
struct ServiceClash: Equatable {
    enum Kind: Equatable {
        /// Both have this address, protocol and port.
        case vip(Endpoint)
        /// Zones differ: a backend's reply could be looked up in one only.
        case zone(UInt16, other: UInt16)
        /// Both answer for one address, the other with this station.
        case station(UInt64)
        /// A backend is the other's VIP.
        case backend(Endpoint)
        /// The VIP is a backend of the other.
        case chained(Endpoint)
    }

    var kind: Kind
    /// Where the other is applied.
    var place: String

    /// The key that is to be changed.
    var key: String {
        switch kind {
        case .vip, .chained: "vip"
        case .zone: "zone"
        case .station: "mac"
        case .backend: "backends"
        }
    }

    func text(other: String) -> String {
        switch kind {
        case .vip(let vip): return "\(vip.text)/\(vip.protocolName) is that of \(other) at \(place)"
        case .zone(let zone, let zoneOfOther):
            return "\(zone), but \(other) at \(place) has zone \(zoneOfOther); services that meet the same packets "
                + "share a zone"
        case .station(let station):
            return "\(other) at \(place) answers for the same address as \(SettingValue.show(macAddress: station))"
        case .backend(let backend):
            return "\(backend.text) is the vip of \(other) at \(place); services are not chained"
        case .chained(let vip):
            return "\(vip.text)/\(vip.protocolName) is a backend of \(other) at \(place); services are not chained"
        }
    }
}

/// Finds clashes among services: each in the time that it takes to read its settings, however many there are.
struct ServiceClashFinder {
    /// Some service, and where.
    private struct Holder {
        var index: Int
        var place: String
    }

    private struct Answered: Hashable {
        var address: UInt128
        var isIPv6: Bool
    }

    /// Who has what at a port or bridge, or at any port of a bridge.
    private struct Record {
        var vips: [Endpoint: Holder] = [:]
        var zones: [UInt16: Holder] = [:]
        var stations: [Answered: [UInt64: Holder]] = [:]
        var backends: [Endpoint: Holder] = [:]
    }

    private let bridgeOfPort: (String) -> String?
    private var records: [String: Record] = [:]
    /// By bridge, what is at its ports.
    private var below: [String: Record] = [:]
    private var count = 0

    /// - Parameter bridgeOfPort: nil for the name of a bridge.
    init(bridgeOfPort: @escaping (String) -> String?) { self.bridgeOfPort = bridgeOfPort }

    /// Takes one more service, which must have a VIP; or tells what it clashes with, by the order in which they came.
    mutating func add(_ service: ServiceConfiguration) -> (clash: ServiceClash, other: Int)? {
        guard let vip = service.vip else { return nil }
        for place in service.places {
            let others = [records[place], bridgeOfPort(place).map { records[$0] } ?? below[place]]
            for case let record? in others {
                if let found = Self.clash(service, vip, record) { return found }
            }
        }
        for place in service.places {
            let holder = Holder(index: count, place: place)
            Self.enter(service, vip, holder, &records[place, default: Record()])
            if let bridge = bridgeOfPort(place) {
                Self.enter(service, vip, holder, &below[bridge, default: Record()])
            }
        }
        count += 1
        return nil
    }

    private static func clash(_ service: ServiceConfiguration, _ vip: Endpoint, _ record: Record) -> (
        ServiceClash, Int
    )? {
        func clash(_ kind: ServiceClash.Kind, _ other: Holder) -> (ServiceClash, Int) {
            (ServiceClash(kind: kind, place: other.place), other.index)
        }
        if let other = record.vips[vip] { return clash(.vip(vip), other) }
        if let (zone, other) = record.zones.first(where: { $0.key != service.zone }) {
            return clash(.zone(service.zone, other: zone), other)
        }
        if !service.answers.isEmpty {
            let stations = record.stations[Answered(address: vip.address, isIPv6: vip.isIPv6)] ?? [:]
            if let (station, other) = stations.first(where: { $0.key != service.effectiveStation }) {
                return clash(.station(station), other)
            }
        }
        if let other = record.backends[vip] { return clash(.chained(vip), other) }
        for backend in service.translated(vip) {
            if let other = record.vips[backend] { return clash(.backend(backend), other) }
        }
        return nil
    }

    private static func enter(
        _ service: ServiceConfiguration, _ vip: Endpoint, _ holder: Holder, _ record: inout Record
    ) {
        record.vips[vip] = holder
        record.zones[service.zone] = record.zones[service.zone] ?? holder
        if !service.answers.isEmpty {
            let address = Answered(address: vip.address, isIPv6: vip.isIPv6)
            record.stations[address, default: [:]][service.effectiveStation] = holder
        }
        for backend in service.translated(vip) { record.backends[backend] = holder }
    }
}

extension ServiceConfiguration {
    /// Backends that packets are translated to: none for direct server return.
    func translated(_ vip: Endpoint) -> [Endpoint] {
        mode == .dsr ? [] : backends.map { $0.endpoint(ipProtocol: vip.ipProtocol) }
    }
}
