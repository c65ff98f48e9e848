import Balancer
import Base
import Flow

/// A load-balanced service as configured.
public struct ServiceConfiguration: Equatable, Sendable {
    public enum Answer: String, CaseIterable, Sendable { case arp, nd, echo }

    public var name: String
    /// Nil only until it is set: a service needs one.
    public var vip: Endpoint?
    public var backends: [BackendSpec] = []
    public var algorithm = BalancingAlgorithm.roundRobin
    public var mode = BalancingMode.local
    /// Seconds; 0: none.
    public var affinity: UInt32 = 0
    /// Of `mode=cluster`.
    public var sources: ClosedRange<UInt128>?
    public var sourcesAreIPv6 = false
    public var zone = Self.standardZone
    public var whenEmpty = EmptyPolicy.reject
    public var maglevSize = Maglev.standardSize
    public var answers: [Answer] = []
    /// Nil: made from the address, if there is something to answer with.
    public var station: UInt64?
    /// Names of ports and bridges.
    public var places: [String] = []
    /// How backends are checked.
    public var check = HealthCheck()

    public static var standardZone: UInt16 { 65535 }

    public init(name: String) { self.name = name }
}

extension ServiceConfiguration: Configurable {
    static let keys: [SettingKey] =
        [
            SettingKey(
                "vip", "IP:PORT[/tcp|/udp]", "(none)",
                "address of the service, as in 10.0.0.1:80 or [2001:db8::1]:53/udp"),
            SettingKey(
                "backends", "BACKEND,...", "(none)",
                "IP:PORT[@WEIGHT][/MAC][/drain]: weight 0 to 65535, Ethernet address"),
            SettingKey("apply", "NAME,...", "(none)", "ports and bridges whose packets it takes"),
            SettingKey(
                "algorithm", BalancingAlgorithm.allCases.map(\.rawValue).joined(separator: "|"), "round-robin",
                "how a backend is chosen; rr, wrr, lc, wlc, sh and dh are short for the first six"),
            SettingKey(
                "mode", "local|cluster|dsr", "local",
                "local: backends see the client's address; cluster: one of snat; dsr: they answer clients by themselves"
            ),
            SettingKey("snat", "IP[-IP]", "(none)", "addresses that stand in for clients with mode=cluster"),
            SettingKey(
                "affinity", "SECONDS", "0", "for which a client comes back to its backend, up to 86400; 0 for none"),
            SettingKey("empty", "reject|drop", "reject", "without a backend: refuse connections, or say nothing"),
            SettingKey("zone", "N", "\(standardZone)", "connection tracking zone of its connections, 0 to 65535"),
            SettingKey(
                "maglev-size", "N", "\(Maglev.standardSize)", "entries of the table of maglev, a prime from 251"),
            SettingKey("answer", "arp,nd,echo", "(none)", "what the switch answers for the address"),
            SettingKey("mac", "MAC", "(made from the address)", "Ethernet address that answers name"),
        ] + HealthCheck.keys
    static let refusals = [
        "encap": "there are no tunnels yet: mode=dsr rewrites the Ethernet address, for backends on the same link",
        "tunnel": "there are no tunnels yet: mode=dsr rewrites the Ethernet address, for backends on the same link",
        "ip-port-mappings": "health checks come from the host itself",
    ]

    mutating func set(_ key: String, _ value: String) throws(SettingError) {
        let isEmpty = value.isEmpty
        switch key {
        case "vip": vip = try isEmpty ? nil : ServiceText.vip(value)
        case "backends":
            backends = try ServiceText.list(value).map { text throws(SettingError) in try ServiceText.backend(text) }
        case "apply": places = try ServiceText.list(value)
        case "algorithm": algorithm = try isEmpty ? .roundRobin : ServiceText.algorithm(value)
        case "mode": mode = try isEmpty ? .local : SettingValue.choice(value)
        case "snat":
            sources = nil
            if !isEmpty { (sources, sourcesAreIPv6) = try ServiceText.addresses(value) }
        case "affinity": affinity = try isEmpty ? 0 : SettingValue.integer(value, 0...86400)
        case "empty": whenEmpty = try isEmpty ? .reject : SettingValue.choice(value)
        case "zone": zone = try isEmpty ? Self.standardZone : SettingValue.integer(value, 0...65535)
        case "maglev-size":
            let size = try isEmpty ? Maglev.standardSize : SettingValue.integer(value, Maglev.sizes)
            guard Maglev.isPrime(size) else { throw SettingError("expected a prime, found \"\(value.echoed)\"") }
            maglevSize = size
        case "answer":
            answers = try ServiceText.list(value).map { text throws(SettingError) in try SettingValue.choice(text) }
        case "mac": station = try isEmpty ? nil : ServiceText.station(value)
        default: try check.set(key, value)
        }
    }

    var settings: [Setting] {
        var all: [Setting] = []
        if let vip { all.append(Setting("vip", "\(vip.text)/\(vip.protocolName)")) }
        if !backends.isEmpty {
            all.append(Setting("backends", backends.map(ServiceText.show).joined(separator: ",")))
        }
        if !places.isEmpty { all.append(Setting("apply", places.joined(separator: ","))) }
        if algorithm != .roundRobin { all.append(Setting("algorithm", algorithm.rawValue)) }
        if mode != .local { all.append(Setting("mode", mode.rawValue)) }
        if let sources {
            let ends = [sources.lowerBound, sources.upperBound].map { Endpoint.text($0, isIPv6: sourcesAreIPv6) }
            all.append(Setting("snat", ends[0] == ends[1] ? ends[0] : ends.joined(separator: "-")))
        }
        if affinity != 0 { all.append(Setting("affinity", String(affinity))) }
        if whenEmpty != .reject { all.append(Setting("empty", whenEmpty.rawValue)) }
        if zone != Self.standardZone { all.append(Setting("zone", String(zone))) }
        if maglevSize != Maglev.standardSize { all.append(Setting("maglev-size", String(maglevSize))) }
        if !answers.isEmpty { all.append(Setting("answer", answers.map(\.rawValue).joined(separator: ","))) }
        if let station { all.append(Setting("mac", SettingValue.show(macAddress: station))) }
        return all + check.settings
    }

    func validate() throws(SettingError) {
        guard let vip else { throw SettingError("a service needs vip=IP:PORT") }
        guard !places.isEmpty else {
            throw SettingError("a service needs apply=NAME: the ports or bridges that it is for")
        }
        if let twice = Self.repeated(places) { throw SettingError("apply: \"\(twice.echoed)\" is there twice") }
        if let twice = Self.repeated(answers.map(\.rawValue)) { throw SettingError("answer: \(twice) is there twice") }
        guard vip.isUnicast else { throw SettingError("vip: \(vip.text) is not the address of one host") }
        try check.validate()
        for backend in backends { try check(backend, vip) }
        if answers.contains(.arp), vip.isIPv6 {
            throw SettingError("answer: an IPv6 address is asked for by nd, not arp")
        }
        if answers.contains(.nd), !vip.isIPv6 {
            throw SettingError("answer: an IPv4 address is asked for by arp, not nd")
        }
        try checkMode(vip)
        if maglevSize != Maglev.standardSize, algorithm != .maglev {
            throw SettingError("maglev-size has no meaning with algorithm=\(algorithm.rawValue)")
        }
    }

    private static func repeated(_ words: [String]) -> String? {
        var seen: Set<String> = []
        return words.first { !seen.insert($0).inserted }
    }

    private func check(_ backend: BackendSpec, _ vip: Endpoint) throws(SettingError) {
        let endpoint = backend.endpoint()
        guard backend.isIPv6 == vip.isIPv6 else {
            throw SettingError("backends: \(endpoint.text) and vip \(vip.text) are of different families")
        }
        guard endpoint.isUnicast else {
            throw SettingError("backends: \(endpoint.text) is not the address of one host")
        }
        guard backend.address != vip.address || backend.port != vip.port else {
            throw SettingError("backends: \(endpoint.text) is the vip itself")
        }
        try check.validate(for: backend.healthAddress)
    }

    private func checkMode(_ vip: Endpoint) throws(SettingError) {
        switch mode {
        case .cluster:
            guard let sources else { throw SettingError("mode=cluster needs snat=IP[-IP]") }
            try check(sources, vip)
        case .local, .dsr:
            guard sources == nil else { throw SettingError("snat is for mode=cluster, but mode is \(mode.rawValue)") }
        }
        guard mode == .dsr else { return }
        for backend in backends {
            let text = backend.endpoint().text
            guard backend.station != nil else {
                throw SettingError(
                    "backends: \(text) needs its Ethernet address with mode=dsr, as in \(text)/02:00:00:00:00:01")
            }
            guard backend.port == vip.port else {
                throw SettingError(
                    "backends: \(text) must have the port of the vip with mode=dsr, which translates nothing")
            }
        }
    }

    /// As many stand in for clients as 4,000,000,000 connections to one backend need.
    private static var sourceLimit: UInt128 { 65536 }

    private func check(_ sources: ClosedRange<UInt128>, _ vip: Endpoint) throws(SettingError) {
        func text(_ address: UInt128) -> String { Endpoint.text(address, isIPv6: sourcesAreIPv6) }
        guard sourcesAreIPv6 == vip.isIPv6 else {
            throw SettingError("snat: \(text(sources.lowerBound)) and vip \(vip.text) are of different families")
        }
        // With so few between them, both ends tell of all.
        guard sources.upperBound - sources.lowerBound < Self.sourceLimit else {
            throw SettingError(
                "snat: \(text(sources.lowerBound))-\(text(sources.upperBound)) are more than \(Self.sourceLimit) addresses"
            )
        }
        for end in [sources.lowerBound, sources.upperBound] {
            guard Endpoint(address: end, isIPv6: sourcesAreIPv6, port: 1).isUnicast else {
                throw SettingError("snat: \(text(end)) is not the address of one host")
            }
        }
        // It would take packets that go out under its own address for its own.
        if let backend = backends.first(where: { sources.contains($0.address) }) {
            throw SettingError("snat: \(text(backend.address)) is the address of backend \(backend.endpoint().text)")
        }
    }

    /// Whether connections of this service are those of `other` too.
    func isContinued(by other: ServiceConfiguration) -> Bool {
        vip == other.vip && zone == other.zone && (mode == .dsr) == (other.mode == .dsr)
    }

    /// What a `Balancer` is told. `validate` has been called.
    func spec(_ vip: Endpoint) -> ServiceSpec {
        var spec = ServiceSpec(name: name, endpoint: vip)
        spec.backends = backends
        spec.algorithm = algorithm
        spec.mode = mode
        spec.affinity = affinity
        spec.maglevSize = maglevSize
        spec.firstSource = sources?.lowerBound ?? 0
        spec.lastSource = sources?.upperBound ?? 0
        spec.whenEmpty = whenEmpty
        spec.station = effectiveStation
        return spec
    }

    /// The service's own Ethernet address; 0 if it has none.
    var effectiveStation: UInt64 {
        if let station { return station }
        guard !answers.isEmpty, let vip else { return 0 }
        // A local unicast address that is the same in every switch: FNV-1a of the address.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for shift in stride(from: UInt128(0), to: 128, by: 8) {
            hash = (hash ^ UInt64(truncatingIfNeeded: vip.address >> shift & 0xff)) &* 0x100_0000_01b3
        }
        return (hash & 0xfcff_ffff_ffff) | 0x0200_0000_0000
    }
}
