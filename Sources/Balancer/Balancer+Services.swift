import CLinux
import Conntrack
import Memory

/// The owner of all services: the control thread's. Workers reach what it owns through `chooser`.
public final class Balancer: @unchecked Sendable {
    /// One backend of a service that runs.
    public struct Member: Sendable {
        public var number: UInt32
        public var spec: BackendSpec
        /// What a health check says of it; true where there is none.
        public var isHealthy = true

        /// May be given to new connections.
        public var accepts: Bool { isHealthy && !spec.isDrained && spec.weight > 0 }
    }

    public struct Service: Sendable {
        public let number: UInt32
        public var spec: ServiceSpec
        public var members: [Member]
    }

    public private(set) var services: [String: Service] = [:]
    /// Bytes of choice tables of all services.
    public private(set) var tableBytes = 0

    let table: BalancerTable
    private let memory: BalancerMemory
    private let context: UnsafeMutablePointer<BalancerTable>
    private let stations: UnsafeMutablePointer<UInt64>
    private var serviceNumbers = NumberPool(limit: UInt32(BalancerLimits.services))
    private var backendNumbers = NumberPool(limit: UInt32(BackendChooser.backendLimit))
    /// Blocks, services and backends that workers may still look at.
    private var leaving: [ChoiceBlock] = []
    private var leavingServices: [UInt32] = []
    private var leavingBackends: [UInt32] = []

    /// - Parameters:
    ///   - connections: how many connections each backend has, by number (`ConnectionTracker.backendCounts`).
    ///   - seed: of `random`.
    public init(connections: UnsafePointer<UInt64>, seed: UInt64) {
        memory = BalancerMemory()
        table = memory.makeTable(connections, seed)
        stations = memory.stations.start.assumingMemoryBound(to: UInt64.self)
        context = .allocate(capacity: 1)
        context.initialize(to: table)
    }

    deinit {
        for service in services.values { block(service.number)?.deallocate() }
        for block in leaving { block.deallocate() }
        context.deallocate()
    }

    /// What a tracker asks with; valid as long as this object lives.
    public var chooser: BackendChooser {
        BackendChooser(context: UnsafeMutableRawPointer(context), stations: stations) { context, query in
            let table = context.assumingMemoryBound(to: BalancerTable.self)
            table.pointee.choose(query.assumingMemoryBound(to: BackendQuery.self))
        }
    }

    private func block(_ number: UInt32) -> ChoiceBlock? {
        UnsafeMutableRawPointer(bitPattern: UInt(weft_atomic_load(table.service(number, .block)))).map(ChoiceBlock.init)
    }
}

// Changes.
extension Balancer {
    /// Whether `spec` can be had: what must hold beyond each single value. `replacing`: in place of the service of its name.
    public func check(_ spec: ServiceSpec) throws(BalancerError) {
        let old = services[spec.name]
        var seen: Set<Endpoint> = []
        for backend in spec.backends {
            let endpoint = Endpoint(
                address: backend.address, isIPv6: spec.endpoint.isIPv6, ipProtocol: spec.endpoint.ipProtocol,
                port: backend.port)
            guard seen.insert(endpoint).inserted else { throw BalancerError("backend \(endpoint.text) is there twice") }
        }
        guard spec.backends.count <= BalancerLimits.backendsPerService else {
            throw BalancerError(
                "\(spec.backends.count) backends: a service has \(BalancerLimits.backendsPerService) at the most")
        }
        if spec.algorithm == .maglev, spec.maglevSize <= spec.backends.count {
            throw BalancerError(
                "maglev-size \(spec.maglevSize): must be greater than the number of backends, \(spec.backends.count)")
        }
        if old == nil, !serviceNumbers.has(1) {
            throw BalancerError("no more than \(BalancerLimits.services - 1) services")
        }
        let new = spec.backends.count { backend in !(old?.members.contains { $0.spec.isSame(as: backend) } ?? false) }
        guard backendNumbers.has(new) else {
            throw BalancerError("no more than \(BackendChooser.backendLimit - 1) backends over all services")
        }
        let bytes = tableBytes - (old?.spec.tableBytes ?? 0) + spec.tableBytes
        guard bytes <= BalancerLimits.tableBytes else {
            throw BalancerError(
                "tables of all services would take \(bytes >> 20) MB, \(BalancerLimits.tableBytes >> 20) at the most: "
                    + "use another algorithm, or a smaller maglev-size")
        }
    }

    /// Adds a service, or makes the one of this name what `spec` says: backends that stay keep their numbers, and so their
    /// connections. Nothing is done if it is refused.
    ///
    /// - Returns: the service's number, and those of backends that are gone, whose connections are to be ended when every
    ///   worker has passed a quiet point; then comes `reclaim`.
    @discardableResult
    public func set(_ spec: ServiceSpec) throws(BalancerError) -> (number: UInt32, gone: [UInt32]) {
        try check(spec)
        let old = services[spec.name]
        guard let number = old?.number ?? serviceNumbers.take() else {
            throw BalancerError("no service number is free")
        }
        var before: [Endpoint: Member] = [:]
        for member in old?.members ?? [] { before[key(member.spec)] = member }
        var members: [Member] = []
        for backend in spec.backends {
            if var member = before.removeValue(forKey: key(backend)) {
                member.spec = backend
                members.append(member)
            } else {
                // There is one: `check` has counted.
                let member = Member(number: backendNumbers.take() ?? 0, spec: backend)
                name(member, service: number)
                members.append(member)
            }
        }
        for member in members { write(member) }
        let gone = before.values.map(\.number).sorted()
        for number in gone { weft_atomic_store(table.backend(number, .accepts), 0) }
        leavingBackends += gone
        if old == nil { for i in 0..<8 { weft_atomic_store(table.services + Int(number) * 8 + i, 0) } }
        tableBytes += spec.tableBytes - (old?.spec.tableBytes ?? 0)
        let service = Service(number: number, spec: spec, members: members)
        services[spec.name] = service
        publish(service)
        return (number, gone)
    }

    /// Removes a service; the same is to be done as after `set`. Nil if there is none.
    public func remove(_ name: String) -> [UInt32]? {
        guard let service = services.removeValue(forKey: name) else { return nil }
        if let block = block(service.number) { leaving.append(block) }
        weft_atomic_store_release(table.service(service.number, .block), 0)
        tableBytes -= service.spec.tableBytes
        let gone = service.members.map(\.number)
        for number in gone { weft_atomic_store(table.backend(number, .accepts), 0) }
        leavingServices.append(service.number)
        leavingBackends += gone
        return gone
    }

    /// What a health check found. True if that is news; then comes `reclaim` in time.
    @discardableResult
    public func setHealth(_ isHealthy: Bool, of backend: BackendSpec, service name: String) -> Bool {
        guard var service = services[name],
            let i = service.members.firstIndex(where: { $0.spec.isSame(as: backend) }),
            service.members[i].isHealthy != isHealthy
        else { return false }
        service.members[i].isHealthy = isHealthy
        services[name] = service
        write(service.members[i])
        publish(service)
        return true
    }

    /// Something waits for `reclaim`.
    public var hasLeaving: Bool { !leaving.isEmpty || !leavingBackends.isEmpty || !leavingServices.isEmpty }

    /// Frees what was replaced or removed. Every worker has passed a quiet point since, and connections of backends that are
    /// gone have been ended.
    public func reclaim() {
        for block in leaving { block.deallocate() }
        leaving.removeAll()
        for number in leavingBackends { backendNumbers.give(number) }
        leavingBackends.removeAll()
        for number in leavingServices { serviceNumbers.give(number) }
        leavingServices.removeAll()
    }

    private func key(_ backend: BackendSpec) -> Endpoint {
        Endpoint(address: backend.address, isIPv6: false, port: backend.port)
    }

    /// Fills the slot of a number that nobody knows yet.
    private func name(_ member: Member, service: UInt32) {
        let number = member.number
        weft_atomic_store(table.backend(number, .service), UInt64(service))
        weft_atomic_store(table.backend(number, .chosen), 0)
        weft_atomic_store(table.backend(number, .addressHigh), UInt64(truncatingIfNeeded: member.spec.address >> 64))
        weft_atomic_store(table.backend(number, .addressLow), UInt64(truncatingIfNeeded: member.spec.address))
        weft_atomic_store(table.backend(number, .port), UInt64(member.spec.port))
    }

    /// Writes what can change about a backend.
    private func write(_ member: Member) {
        let number = member.number
        weft_atomic_store(stations + Int(number), member.spec.station ?? 0)
        weft_atomic_store(table.backend(number, .accepts), member.accepts ? 1 : 0)
    }

    /// Workers choose by the new block from now on.
    private func publish(_ service: Service) {
        let eligible = service.members.filter(\.accepts)
        let block = ChoiceBlock(
            service.spec, numbers: eligible.map(\.number), weights: eligible.map { UInt32($0.spec.weight) },
            table: service.spec.table(eligible.map(\.spec)))
        if let old = self.block(service.number) { leaving.append(old) }
        weft_atomic_store_release(
            table.service(service.number, .block), UInt64(UInt(bitPattern: block.base)))
    }
}

// Figures.
extension Balancer {
    public struct ServiceCounts: Sendable, Equatable {
        /// Connections that were given a backend.
        public var chosen: UInt64 = 0
        /// Connections for which there was none.
        public var refused: UInt64 = 0
        /// Of those given one, how many came back to the one that their client had.
        public var returned: UInt64 = 0

        package init(chosen: UInt64, refused: UInt64, returned: UInt64) {
            self.chosen = chosen
            self.refused = refused
            self.returned = returned
        }
    }

    /// Answers a query, as the tracker gets it answered.
    package func choose(_ query: inout BackendQuery) { table.choose(&query) }

    public func counts(ofService number: UInt32) -> ServiceCounts {
        ServiceCounts(
            chosen: weft_atomic_load(table.service(number, .chosen)),
            refused: weft_atomic_load(table.service(number, .refused)),
            returned: weft_atomic_load(table.service(number, .returned)))
    }

    /// How often a backend was chosen.
    public func chosen(backend number: UInt32) -> UInt64 { weft_atomic_load(table.backend(number, .chosen)) }

    /// Pairs of client and service that were forgotten for want of room before their time was over.
    public var affinityEvictions: UInt64 { weft_atomic_load(table.affinity.counters) }
}

/// Numbers from 1 that are given out, and given back.
struct NumberPool {
    private let limit: UInt32
    private var next: UInt32 = 1
    private var free: [UInt32] = []

    init(limit: UInt32) { self.limit = limit }

    func has(_ count: Int) -> Bool { free.count + Int(limit - next) >= count }

    mutating func take() -> UInt32? {
        // Those never used last: what was resident stays so.
        if let number = free.popLast() { return number }
        guard next < limit else { return nil }
        defer { next += 1 }
        return next
    }

    mutating func give(_ number: UInt32) { free.append(number) }
}

/// The memory behind it all.
struct BalancerMemory: ~Copyable {
    let services = LineMemory(byteCount: BalancerLimits.services * 64)
    let backends = LineMemory(byteCount: BackendChooser.backendLimit * 64, isSparse: true)
    let stations = LineMemory(byteCount: BackendChooser.backendLimit * 8, isSparse: true)
    let affinity = LineMemory(byteCount: AffinityTable.capacity * AffinityTable.entryBytes, isSparse: true)
    let locks = LineMemory(byteCount: AffinityTable.lockCount * 64)
    let counters = LineMemory(byteCount: 4096)

    func makeTable(_ connections: UnsafePointer<UInt64>, _ seed: UInt64) -> BalancerTable {
        let affinity = AffinityTable(
            entries: affinity.start.assumingMemoryBound(to: UInt64.self),
            locks: locks.start.assumingMemoryBound(to: UInt64.self),
            counters: counters.start.assumingMemoryBound(to: UInt64.self))
        return BalancerTable(
            services: services.start.assumingMemoryBound(to: UInt64.self),
            backends: backends.start.assumingMemoryBound(to: UInt64.self), connections: connections,
            affinity: affinity, seed: seed)
    }
}
