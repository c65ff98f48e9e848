import Balancer
import Classifier

/// A load-balanced service as translation sees it: what to look for, and what to do then. Who the backends are is known by their
/// endpoints only; which one a connection gets is not decided here.
public struct AppliedService: Equatable, Sendable {
    /// What the VIP answers by itself.
    public struct Answers: OptionSet, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        public static var arp: Answers { Answers(rawValue: 1) }
        public static var nd: Answers { Answers(rawValue: 2) }
        public static var echo: Answers { Answers(rawValue: 4) }
    }

    public var name: String
    /// In the `Balancer`.
    public var number: UInt32
    public var endpoint: Endpoint
    public var zone: UInt16
    /// Direct server return.
    public var isDirect = false
    public var steers = false
    public var answers: Answers = []
    /// Ethernet address that answers name, 48 bits.
    public var station: UInt64 = 0
    /// Packets and bytes towards the service.
    public var counter: CounterHandle
    /// Backends whose replies come back here: none for direct server return.
    public var sources: [Endpoint] = []
    /// An address that stands in for clients, for ICMP errors that are sent to it; nil if there is none, or a range.
    public var standIn: UInt128?

    public init(name: String, number: UInt32, endpoint: Endpoint, zone: UInt16, counter: CounterHandle) {
        self.name = name
        self.number = number
        self.endpoint = endpoint
        self.zone = zone
        self.counter = counter
    }
}

/// The services that are applied at one port or bridge: found in constant time whatever their number, with masks that leave other
/// traffic alone.
///
/// Looking an endpoint up goes by two steps, since an IPv6 address, protocol and port are more than 128 bits: first the address
/// gets a number, then number, protocol and port are looked up. Each step is a hash table for the answer and a trie for the mask:
/// the trie tells how many leading bits of an address, or of a port, prove that nobody has it. So traffic between strangers is
/// told apart by a few bits of addresses, and a scan of a VIP's ports by a few bits of ports.
///
/// One object for each copy of the state, changed by the control thread through `LeftRight`.
public final class ServiceScope {
    /// The port or bridge of this name.
    public let name: String
    /// VIPs and what is known of them.
    var targets = EndpointSet<AppliedService>()
    /// Backends, whose packets may be replies.
    var sources = EndpointSet<Source>()
    /// How many services answer ARP, neighbour solicitations, echo requests.
    var answering = (arp: 0, nd: 0, echo: 0)
    public private(set) var services: [String: AppliedService] = [:]

    struct Source {
        var zone: UInt16
        var uses = 0
        /// How many of them steer.
        var steering = 0
    }

    init(name: String) { self.name = name }

    var isEmpty: Bool { services.isEmpty }

    func add(_ service: AppliedService) {
        services[service.name] = service
        targets.insert(service.endpoint, service)
        if let standIn = service.standIn {
            targets.hold(standIn, isIPv6: service.endpoint.isIPv6, zone: service.zone, service: nil)
        }
        targets.hold(service.endpoint.address, isIPv6: service.endpoint.isIPv6, zone: service.zone, service: service)
        for source in service.sources {
            var entry = sources[source] ?? Source(zone: service.zone)
            entry.uses += 1
            if service.steers { entry.steering += 1 }
            sources.insert(source, entry)
            sources.hold(source.address, isIPv6: source.isIPv6, zone: service.zone, service: nil)
        }
        count(service, 1)
    }

    func remove(_ name: String) {
        guard let service = services.removeValue(forKey: name) else { return }
        targets.remove(service.endpoint)
        targets.release(service.endpoint.address, isIPv6: service.endpoint.isIPv6, service: service)
        if let standIn = service.standIn {
            targets.release(standIn, isIPv6: service.endpoint.isIPv6, service: nil)
        }
        for source in service.sources {
            guard var entry = sources[source] else { continue }
            entry.uses -= 1
            if service.steers { entry.steering -= 1 }
            if entry.uses == 0 { sources.remove(source) } else { sources.insert(source, entry) }
            sources.release(source.address, isIPv6: source.isIPv6, service: nil)
        }
        count(service, -1)
    }

    /// The service that has this endpoint.
    public func service(at endpoint: Endpoint) -> AppliedService? { targets[endpoint] }

    // Of services but those of some names: who has what a new one must not have.

    public func service(at endpoint: Endpoint, but names: Set<String>) -> AppliedService? {
        service(at: endpoint).flatMap { names.contains($0.name) ? nil : $0 }
    }

    /// Some service; all of them share a zone.
    public func anyService(but names: Set<String>) -> AppliedService? {
        services.values.first { !names.contains($0.name) }
    }

    /// Some service that answers for the address of an endpoint.
    public func answeringService(at endpoint: Endpoint, but names: Set<String>) -> AppliedService? {
        guard let address = targets.find(endpoint.address, isIPv6: endpoint.isIPv6).0 else { return nil }
        return (address.tcp + address.udp).first { !names.contains($0.name) && !$0.answers.isEmpty }
    }

    /// Some service that has the endpoint as a backend.
    public func service(withBackend endpoint: Endpoint, but names: Set<String>) -> AppliedService? {
        guard sources[endpoint] != nil else { return nil }
        return services.values.first { !names.contains($0.name) && $0.sources.contains(endpoint) }
    }

    private func count(_ service: AppliedService, _ step: Int) {
        if service.answers.contains(.arp) { answering.arp += step }
        if service.answers.contains(.nd) { answering.nd += step }
        if service.answers.contains(.echo) { answering.echo += step }
    }
}

/// Endpoints with what belongs to them, and their addresses.
struct EndpointSet<Value> {
    struct AddressKey: Hashable {
        var address: UInt128
        var isIPv6: Bool
    }

    /// What holds for an address, whatever the port.
    struct Address {
        var number: UInt32
        var uses = 0
        var zone: UInt16
        /// What it answers, counted by service, and the station that it names.
        var arp = 0
        var nd = 0
        var echo = 0
        var station: UInt64 = 0
        /// Services of each protocol: fragments, which have no ports, can be told whose they are if there is one.
        var tcp: [AppliedService] = []
        var udp: [AppliedService] = []
    }

    private var addresses: [AddressKey: Address] = [:]
    private var values: [UInt64: Value] = [:]
    private let ipv4 = ValueTrie(width: 32)
    private let ipv6 = ValueTrie(width: 128)
    /// Number of the address, protocol, port: 32, 8 and 16 bits.
    private let endpoints = ValueTrie(width: 56)
    private var nextNumber: UInt32 = 1
    private var freeNumbers: [UInt32] = []

    private func key(_ endpoint: Endpoint, _ number: UInt32) -> UInt64 {
        UInt64(number) &<< 24 | UInt64(endpoint.ipProtocol) &<< 16 | UInt64(endpoint.port)
    }

    private func number(_ endpoint: Endpoint) -> UInt32? {
        addresses[AddressKey(address: endpoint.address, isIPv6: endpoint.isIPv6)]?.number
    }

    subscript(endpoint: Endpoint) -> Value? { number(endpoint).flatMap { values[key(endpoint, $0)] } }

    /// Adds an endpoint, or changes what belongs to it.
    mutating func insert(_ endpoint: Endpoint, _ value: Value) {
        let number = makeNumber(AddressKey(address: endpoint.address, isIPv6: endpoint.isIPv6))
        let key = key(endpoint, number)
        if values.updateValue(value, forKey: key) == nil { endpoints.insert(UInt128(key)) }
    }

    mutating func remove(_ endpoint: Endpoint) {
        guard let number = number(endpoint), values.removeValue(forKey: key(endpoint, number)) != nil else { return }
        endpoints.remove(UInt128(key(endpoint, number)))
    }

    private mutating func makeNumber(_ key: AddressKey) -> UInt32 {
        if let known = addresses[key] { return known.number }
        let number = freeNumbers.popLast() ?? nextNumber
        if number == nextNumber { nextNumber += 1 }
        addresses[key] = Address(number: number, zone: 0)
        if key.isIPv6 { ipv6.insert(key.address) } else { ipv4.insert(key.address) }
        return number
    }

    /// One more use of an address; the first says its zone.
    mutating func hold(_ address: UInt128, isIPv6: Bool, zone: UInt16, service: AppliedService?) {
        let key = AddressKey(address: address, isIPv6: isIPv6)
        _ = makeNumber(key)
        guard var entry = addresses.removeValue(forKey: key) else { return }
        if entry.uses == 0 { entry.zone = zone }
        entry.uses += 1
        if let service {
            entry.count(service, 1)
            if service.endpoint.ipProtocol == 6 { entry.tcp.append(service) } else { entry.udp.append(service) }
        }
        addresses[key] = entry
    }

    mutating func release(_ address: UInt128, isIPv6: Bool, service: AppliedService?) {
        let key = AddressKey(address: address, isIPv6: isIPv6)
        guard var entry = addresses.removeValue(forKey: key) else { return }
        entry.uses -= 1
        if let service {
            entry.count(service, -1)
            entry.tcp.removeAll { $0.name == service.name }
            entry.udp.removeAll { $0.name == service.name }
        }
        guard entry.uses == 0 else {
            addresses[key] = entry
            return
        }
        freeNumbers.append(entry.number)
        if isIPv6 { ipv6.remove(address) } else { ipv4.remove(address) }
    }

    /// The address, if it is one of them; and how many leading bits of it decide that.
    func find(_ address: UInt128, isIPv6: Bool) -> (Address?, bits: Int) {
        let found = (isIPv6 ? ipv6 : ipv4).look(up: address)
        guard found.isThere else { return (nil, found.bits) }
        return (addresses[AddressKey(address: address, isIPv6: isIPv6)], found.bits)
    }

    /// What belongs to an endpoint of that address, and how many leading bits of its port decide that.
    func find(_ address: Address, ipProtocol: UInt8, port: UInt16) -> (Value?, bits: Int) {
        let key = UInt64(address.number) &<< 24 | UInt64(ipProtocol) &<< 16 | UInt64(port)
        let found = endpoints.look(up: UInt128(key))
        return (found.isThere ? values[key] : nil, max(0, found.bits - 40))
    }
}

extension EndpointSet.Address {
    fileprivate mutating func count(_ service: AppliedService, _ step: Int) {
        guard !service.answers.isEmpty else { return }
        if service.answers.contains(.arp) { arp += step }
        if service.answers.contains(.nd) { nd += step }
        if service.answers.contains(.echo) { echo += step }
        if step > 0 { station = service.station }
    }
}
