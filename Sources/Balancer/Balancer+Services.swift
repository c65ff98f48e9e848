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
    /// What they take.
    public private(set) var use = BalancerUse()

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
        BackendChooser(
            context: UnsafeMutableRawPointer(context), stations: stations,
            choose: { context, query in
                let table = context.assumingMemoryBound(to: BalancerTable.self)
                table.pointee.choose(query.assumingMemoryBound(to: BackendQuery.self))
            },
            conclude: { context, query, isMade in
                let table = context.assumingMemoryBound(to: BalancerTable.self)
                table.pointee.conclude(query.assumingMemoryBound(to: BackendQuery.self), isMade: isMade)
            })
    }

    private func block(_ number: UInt32) -> ChoiceBlock? {
        UnsafeMutableRawPointer(bitPattern: UInt(weft_atomic_load(table.service(number, .block)))).map(ChoiceBlock.init)
    }
}

// Changes.
extension Balancer {
    /// Services that can be had. What has been checked holds until the next change, but for services going.
    public struct Checked {
        fileprivate let specs: [ServiceSpec]
    }

    /// Whether these can be had, each in place of the service of its name, when those of the names `gone` have gone.
    public func check(_ specs: [ServiceSpec], without gone: [String] = []) throws(BalancerError) -> Checked {
        var wanted = use
        for name in gone { if let old = services[name] { wanted.remove(old.spec) } }
        var new = 0
        for spec in specs {
            try spec.check()
            let old = services[spec.name]
            if let old { wanted.remove(old.spec) }
            wanted.add(spec)
            let known = Set(old?.members.map { $0.spec.endpoint() } ?? [])
            new += spec.backends.count { !known.contains($0.endpoint()) }
        }
        try wanted.check()
        // Numbers of what goes are free later only.
        guard serviceNumbers.has(specs.count { services[$0.name] == nil }), backendNumbers.has(new) else {
            throw BalancerError("too many services or backends are new at once")
        }
        return Checked(specs: specs)
    }

    /// Adds services, or makes those of their names what is said: backends that stay keep their numbers, and so their
    /// connections, and what is known of their health.
    ///
    /// - Returns: for each the service's number, and those of backends that are gone, whose connections are to be ended when
    ///   every worker has passed a quiet point; then comes `reclaim`.
    public func set(_ checked: Checked) -> [(number: UInt32, gone: [UInt32])] { checked.specs.map(install) }

    private func install(_ spec: ServiceSpec) -> (number: UInt32, gone: [UInt32]) {
        let old = services[spec.name]
        // There are numbers: `check` has counted.
        let number = old?.number ?? serviceNumbers.take() ?? 0
        var before: [Endpoint: Member] = [:]
        for member in old?.members ?? [] { before[member.spec.endpoint()] = member }
        var members: [Member] = []
        for backend in spec.backends {
            if var member = before.removeValue(forKey: backend.endpoint()) {
                member.spec = backend
                members.append(member)
            } else {
                let member = Member(number: backendNumbers.take() ?? 0, spec: backend)
                name(member)
                members.append(member)
            }
        }
        for member in members { write(member) }
        let gone = before.values.map(\.number).sorted()
        for number in gone { weft_atomic_store(table.backend(number, .accepts), 0) }
        leavingBackends += gone
        if let old { use.remove(old.spec) } else { clear(service: number) }
        use.add(spec)
        let service = Service(number: number, spec: spec, members: members)
        services[spec.name] = service
        publish(service)
        return (number, gone)
    }

    private func clear(service number: UInt32) {
        for i in 0..<8 { weft_atomic_store(table.services + Int(number) * 8 + i, 0) }
    }

    /// Removes a service; the same is to be done as after `set`. Nil if there is none.
    public func remove(_ name: String) -> [UInt32]? {
        guard let service = services.removeValue(forKey: name) else { return nil }
        if let block = block(service.number) { leaving.append(block) }
        weft_atomic_store_release(table.service(service.number, .block), 0)
        use.remove(service.spec)
        let gone = service.members.map(\.number)
        for number in gone { weft_atomic_store(table.backend(number, .accepts), 0) }
        leavingServices.append(service.number)
        leavingBackends += gone
        return gone
    }

    /// What health checks found of a service's backends, by their numbers. Workers get one new block for all of it, and none
    /// where nothing is news; then comes `reclaim` in time.
    ///
    /// - Returns: the backends for which it is news.
    @discardableResult
    public func setHealth(_ found: [UInt32: Bool], service name: String) -> [Member] {
        setHealth(service: name) { found[$0.number] ?? $0.isHealthy }
    }

    /// All backends of a service are taken for healthy.
    public func setAllHealthy(service name: String) { setHealth(service: name) { _ in true } }

    @discardableResult
    private func setHealth(service name: String, _ isHealthy: (Member) -> Bool) -> [Member] {
        guard var service = services[name] else { return [] }
        var news: [Member] = []
        for i in service.members.indices where service.members[i].isHealthy != isHealthy(service.members[i]) {
            service.members[i].isHealthy.toggle()
            write(service.members[i])
            news.append(service.members[i])
        }
        guard !news.isEmpty else { return [] }
        services[name] = service
        publish(service)
        return news
    }

    /// Blocks that were replaced and wait for `reclaim`.
    package var leavingBlocks: Int { leaving.count }

    /// Something waits for `reclaim`.
    public var hasLeaving: Bool { !leaving.isEmpty || !leavingBackends.isEmpty || !leavingServices.isEmpty }

    /// Frees what was replaced or removed. Every worker has passed a quiet point since, and connections of backends that are
    /// gone have been ended.
    public func reclaim() {
        for block in leaving { block.deallocate() }
        leaving.removeAll()
        for number in leavingBackends {
            weft_atomic_add(table.backend(number, .generation), 1)
            backendNumbers.give(number)
        }
        leavingBackends.removeAll()
        for number in leavingServices { serviceNumbers.give(number) }
        leavingServices.removeAll()
    }

    /// Fills the slot of a number that nobody knows yet.
    private func name(_ member: Member) {
        let number = member.number
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
        /// Packets that would have begun a connection, for which there was none.
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

    /// Is told what became of it.
    package func conclude(_ query: inout BackendQuery, isMade: Bool) { table.conclude(&query, isMade: isMade) }

    public func counts(ofService number: UInt32) -> ServiceCounts {
        ServiceCounts(
            chosen: weft_atomic_load(table.service(number, .chosen)),
            refused: weft_atomic_load(table.service(number, .refused)),
            returned: weft_atomic_load(table.service(number, .returned)))
    }

    /// Connections that a backend was given.
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
            counters: counters.start.assumingMemoryBound(to: UInt64.self), seed: seed)
        return BalancerTable(
            services: services.start.assumingMemoryBound(to: UInt64.self),
            backends: backends.start.assumingMemoryBound(to: UInt64.self), connections: connections,
            affinity: affinity, seed: seed)
    }
}
